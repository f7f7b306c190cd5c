//! The model: whether its servers would answer, and who decides follow-ups at the moment.

use std::sync::Arc;
use std::time::Duration;

use super::finding::Finding;
use crate::agent::budget::{Budgets, Decider};
use crate::agent::openai::{Found, OpenAi, Probed};
use crate::clock::Clock;
use crate::config::{Config, Micros};
use crate::http::decides::{decider, used};
use crate::store::Decisions;
use crate::telemetry::in_one_line;

/// Each endpoint, asked as cheaply as it can be; none where there is no model.
pub(super) async fn endpoints(
    config: &Config,
    clock: Arc<dyn Clock>,
    limit: Duration,
) -> Vec<Finding> {
    match OpenAi::new(&config.model, clock) {
        Ok(None) => Vec::new(),
        Ok(Some(model)) => model.probe(limit).await.iter().map(endpoint).collect(),
        Err(error) => vec![Finding::failed(
            CHECK,
            in_one_line(&error),
            "correct OPENAI_API_KEY, or the `api_key` of the endpoint that is named",
        )],
    }
}

const CHECK: &str = "model endpoint";

fn endpoint(probed: &Probed) -> Finding {
    let Probed {
        endpoint,
        model,
        found,
    } = probed;
    let told = |what: &str| format!("{model} at `{endpoint}`: {what}");
    match found {
        Found::Listed => Finding::ok(CHECK, told("in its list of models (GET /models)")),
        Found::Answers => Finding::ok(
            CHECK,
            told("it answered a question of a few tokens (POST /chat/completions)"),
        ),
        Found::Key(status) => Finding::failed(
            CHECK,
            told(&match status {
                403 => "the key may not use this model (403)".to_owned(),
                status => format!("the key is not taken ({status})"),
            }),
            &format!(
                "set {} to a key that may use this model",
                key(endpoint, "api_key", "OPENAI_API_KEY")
            ),
        ),
        Found::Missing => Finding::failed(
            CHECK,
            told("it has no such model, or nothing is at its address (404)"),
            &format!(
                "correct {}, or {}: at most servers the address ends in /v1",
                key(endpoint, "name", "OPENAI_MODEL"),
                key(endpoint, "base_url", "OPENAI_BASE_URL"),
            ),
        ),
        Found::Spent(why) => Finding::warning(
            CHECK,
            told(why),
            "look after the account at the model's provider; the rules decide what has waited for `follow_up.decide_by`",
        ),
        Found::Away(why) => Finding::warning(
            CHECK,
            told(why),
            &format!(
                "check {} and what stands between; the rules decide what has waited for `follow_up.decide_by`",
                key(endpoint, "base_url", "OPENAI_BASE_URL")
            ),
        ),
        Found::Refused(why) => Finding::failed(
            CHECK,
            told(why),
            "see `[model.profile]` in billhook.default.toml for what servers differ in; the rules decide meanwhile",
        ),
    }
}

/// How a setting of an endpoint is called: the first one's by its variable.
fn key(endpoint: &str, field: &str, variable: &str) -> String {
    if endpoint == "first" {
        variable.to_owned()
    } else {
        format!("model.endpoints.{endpoint}.{field}")
    }
}

/// Who decides, what is used of the day's budgets, and what waits since when.
pub(super) fn decides(config: &Config, decisions: &Decisions) -> Finding {
    const CHECK: &str = "decisions";
    let is_configured = config.model.is_configured();
    let budgets = is_configured.then(|| Budgets::new(&config.model));
    let budgets = budgets.as_ref();
    let mut told = Vec::new();
    for (why, waiting) in &decisions.deferred {
        told.push(format!(
            "{} wait since {} ({why}: {})",
            waiting.count, waiting.since, waiting.reason
        ));
    }
    let (tokens, cost) = used(decisions, budgets);
    for budget in budgets
        .iter()
        .flat_map(|budgets| budgets.of_day(tokens, cost))
    {
        let amount = |number: u64| {
            if budget.is_money {
                Micros(i64::try_from(number).unwrap_or(i64::MAX)).to_string()
            } else {
                number.to_string()
            }
        };
        told.push(format!(
            "today {} of model.budgets.{} = {}",
            amount(budget.spent),
            budget.name,
            amount(budget.bound)
        ));
    }
    let say = |by: &str| {
        let all = std::iter::once(by).chain(told.iter().map(String::as_str));
        all.collect::<Vec<_>>().join("; ")
    };
    match decider(decisions, budgets) {
        Decider::Rules => Finding::ok(CHECK, say("by the rules: there is no model")),
        Decider::Model => Finding::ok(CHECK, say("by the model")),
        Decider::Deferred => Finding::warning(
            CHECK,
            say("deferred: the model is away or may not be asked"),
            "mend the endpoint or raise the budget; what waits is asked again by itself, and decided by the rules at \
             `follow_up.decide_by`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::doctor::finding::Outcome;
    use crate::clock::Timestamp;
    use crate::store::Waiting;

    fn config(settings: &[(&str, &str)]) -> Config {
        let settings = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let environment: BTreeMap<String, String> = settings.collect();
        Config::from_layers(None, &environment).unwrap()
    }

    #[test]
    fn who_decides_is_said_with_what_is_used_and_what_waits() {
        let mut decisions = Decisions::default();
        let found = decides(&config(&[]), &decisions);
        assert_eq!(found.found, "by the rules: there is no model");
        let model = config(&[
            ("OPENAI_API_KEY", "sk-1"),
            ("OPENAI_MODEL", "m"),
            ("BILLHOOK__MODEL__PRICES__M__INPUT", "1"),
            ("BILLHOOK__MODEL__PRICES__M__OUTPUT", "1"),
            ("BILLHOOK__MODEL__BUDGETS__COST_PER_DAY", "20"),
        ]);
        decisions.tokens = 12_000;
        decisions.cost = [("usd".to_owned(), 1_250_000)].into();
        let found = decides(&model, &decisions);
        assert_eq!(
            (found.outcome, found.found.as_str()),
            (
                Outcome::Ok,
                "by the model; today 12000 of model.budgets.tokens_per_day = 100000000; \
                 today 1.25 of model.budgets.cost_per_day = 20"
            )
        );
        let waiting = Waiting {
            count: 7,
            since: Timestamp::from_seconds(1_800_000_000),
            reason: "first: answered 529".to_owned(),
        };
        decisions.deferred = [("model".to_owned(), waiting)].into();
        let found = decides(&model, &decisions);
        assert_eq!(found.outcome, Outcome::Warning);
        let said = "deferred: the model is away or may not be asked; 7 wait since 2027-01-15T08:00:00Z (model: first: answered 529)";
        assert!(found.found.starts_with(said), "{}", found.found);
    }
}
