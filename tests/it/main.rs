//! All integration tests in one binary: one link step instead of a dozen.
//!
//! Each file here is named by a `mod` line; a test fails on one that was forgotten. The lines carry `cfg(test)` so that
//! clippy grants what it grants to tests (unwrap, indexing) to the functions they share, too.

#[cfg(test)]
mod agent;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod backfill;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod convergence;
#[cfg(test)]
mod disputes;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fetches;
#[cfg(test)]
mod follow_ups;
#[cfg(test)]
mod hints;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod outbox;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod store;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod support;
#[cfg(test)]
mod trials;
