//! Prices under names with points in them, and budgets that may be left open.

use super::*;

#[test]
fn prices_are_read_under_the_names_of_models_as_they_are_written() {
    let config = from_file(
        "[model]\ncurrency = \"eur\"\n\
         [model.prices.\"GPT-4.1-mini\"]\ninput = 0.40\ncached_input = \"0.10\"\noutput = 1.6\n\
         [model.prices.\"vendor/m.2\"]\ninput = 3\noutput = \"15\"\n",
    )
    .unwrap();
    let price = config.model.prices.of("gpt-4.1-mini-2025-04-14").unwrap();
    assert_eq!(
        (price.input, price.cached_input, price.output),
        (Micros(400_000), Some(Micros(100_000)), Micros(1_600_000))
    );
    let price = config.model.prices.of("vendor/m.2").unwrap();
    assert_eq!((price.input.0, price.cached_input), (3_000_000, None));
    assert_eq!(config.model.currency, "eur");
    let prefix = "BILLHOOK__MODEL__PRICES__GPT-4.1-MINI__";
    let config = from_environment(&[
        (&format!("{prefix}INPUT"), "0.4"),
        (&format!("{prefix}OUTPUT"), "1.6"),
    ])
    .unwrap();
    let price = config.model.prices.of("gpt-4.1-mini").unwrap();
    assert_eq!(price.input.0, 400_000);
}

#[test]
fn a_budget_is_a_number_or_nothing() {
    let config = from_file(
        "[model.budgets]\ntokens_per_day = \"\"\ncalls_per_run = 0\ntokens_per_run = \"7\"\ncost_per_day = 0.5\ncost_per_run = 2\n",
    )
    .unwrap();
    let budgets = config.model.budgets;
    assert_eq!(
        (budgets.tokens_per_day, budgets.calls_per_run),
        (None, Some(0))
    );
    assert_eq!(budgets.tokens_per_run, Some(7));
    assert_eq!(
        (budgets.cost_per_day, budgets.cost_per_run),
        (Some(Micros(500_000)), Some(Micros(2_000_000)))
    );
}

#[test]
fn what_is_no_price_and_no_budget_is_refused() {
    for (text, expected) in [
        (
            "[model.budgets]\ntokens_per_day = 1.5",
            "`model.budgets.tokens_per_day`: write a whole number",
        ),
        (
            "[model.budgets]\ntokens_per_day = -1",
            "write a whole number, or \"\" for no bound",
        ),
        (
            "[model.budgets]\ncost_per_day = -0.5",
            "`model.budgets.cost_per_day`: write an amount such as",
        ),
        ("[model.budgets]\ncost_per_day = true", "write a number"),
        (
            "[model.budgets]\ncost_per_dya = 1",
            "`model.budgets` has calls_per_run",
        ),
        (
            "[model.prices.m]\ninput = 0.0000001\noutput = 1",
            "at most six decimals",
        ),
        (
            "[model.prices.m]\ninput = 1",
            "`model.prices.m.output`: it is missing",
        ),
        (
            "[model.prices.m]\ninputs = 1",
            "a price is [model.prices.\"MODEL\"] with `input`",
        ),
        ("[model.prices]\nm = 1", "a price is [model.prices"),
        ("[model]\ncurrency = \"dollar\"", "`model.currency`"),
    ] {
        let error = refusal(from_file(text)).replace(" in billhook.toml", "");
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_budget_in_money_needs_the_price_of_every_model_that_is_asked() {
    let asked = "[model]\napi_key = \"sk-1\"\nname = \"m\"\nfallbacks = [\"spare\"]\n\
        [model.endpoints.spare]\nbase_url = \"https://llm.example/v1\"\nname = \"n\"\n";
    let price = |model: &str| format!("[model.prices.{model}]\ninput = 1\noutput = 1\n");
    for key in ["cost_per_run", "cost_per_customer_per_day", "cost_per_day"] {
        let budget = format!("[model.budgets]\n{key} = 1\n");
        let error = refusal(from_file(&format!("{asked}{budget}{}", price("m"))));
        let said = "nobody knows what the model `n` costs: write [model.prices.\"n\"]";
        assert!(error.contains(key) && error.contains(said), "{error}");
        from_file(&format!("{asked}{budget}{}{}", price("m"), price("n"))).unwrap();
        // Where nobody is asked, nothing is spent.
        from_file(&budget).unwrap();
    }
}
