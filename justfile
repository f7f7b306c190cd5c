# Recipes for the short way; CONTRIBUTING.md has the plain commands.

# List the recipes.
default:
    @just --list

# Formatting, lints and documentation.
check:
    cargo fmt --all --check && cargo clippy --workspace --all-targets --locked -- -D warnings && RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --workspace --locked

# All tests, with a PostgreSQL and a Redis of their own; arguments go to cargo nextest.
test *ARGS:
    scripts/test --services cargo nextest run --workspace --locked {{ARGS}}

# Kill the service so many times on each database, under load, and check that nothing was lost or done twice.
kills KILLS="500" SEED="1":
    BILLHOOK_TEST_KILLS={{KILLS}} BILLHOOK_TEST_SEED={{SEED}} scripts/test --services cargo test --locked --test it kills:: -- --nocapture --test-threads=1

# Sample events through the whole service, with nothing configured.
demo *ARGS:
    cargo run -- demo {{ARGS}}

# Write the tool contracts that a model sees.
schemas:
    cargo run --quiet -- tools export

# Ten times what can be worked off, for a minute, on both databases; arguments such as --seconds 10.
overload *ARGS:
    scripts/test --services cargo bench --bench overload -- {{ARGS}}

# Everything that CI runs.
ci:
    scripts/test
