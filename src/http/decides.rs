//! Who decides follow-ups now, and what is used of the day's budgets, as Prometheus text.

use std::fmt::Write;

use crate::agent::budget::{Budgets, Decider};
use crate::store::{Decisions, Waiting};

/// What a run may wait for, shown also where none does: a series that vanishes keeps its last value in many a dashboard.
const WHY: [&str; 3] = ["model", "day_budget", "customer_budget"];

/// Who decides, of a store's counts and the budgets of the model, if there is one.
pub fn decider(decisions: &Decisions, budgets: Option<&Budgets>) -> Decider {
    let waiting = decisions.deferred.get("model").map_or(0, |one| one.count);
    Decider::of(budgets, used(decisions, budgets), waiting)
}

/// Tokens, and money in the currency of the budgets.
pub fn used(decisions: &Decisions, budgets: Option<&Budgets>) -> (u64, u64) {
    let cost = budgets.and_then(|budgets| decisions.cost.get(budgets.currency()));
    (decisions.tokens, cost.copied().unwrap_or(0))
}

pub(super) fn gauges(decisions: &Decisions, budgets: Option<&Budgets>) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    if write(&mut text, decisions, budgets).is_err() {
        text.clear();
    }
    text
}

fn write(text: &mut String, decisions: &Decisions, budgets: Option<&Budgets>) -> std::fmt::Result {
    head(
        text,
        "billhook_decisions_by",
        "1 for who decides follow-ups now: the model, the rules, or nobody until the model may be asked again.",
    )?;
    let now = decider(decisions, budgets);
    for by in Decider::ALL {
        let is = u8::from(by == now);
        writeln!(text, "billhook_decisions_by{{by=\"{}\"}} {is}", by.as_str())?;
    }
    head(
        text,
        "billhook_runs_deferred",
        "Runs that wait for a model, by why it is not asked.",
    )?;
    let waiting = |why: &str| decisions.deferred.get(why);
    for why in WHY {
        let count = waiting(why).map_or(0, |waiting| waiting.count);
        writeln!(text, "billhook_runs_deferred{{why=\"{why}\"}} {count}")?;
    }
    head(
        text,
        "billhook_runs_deferred_since_timestamp_seconds",
        "When the first of the runs that wait for a model became due; 0 where none waits.",
    )?;
    for why in WHY {
        let since = waiting(why).map_or(0, |Waiting { since, .. }| since.seconds());
        writeln!(
            text,
            "billhook_runs_deferred_since_timestamp_seconds{{why=\"{why}\"}} {since}"
        )?;
    }
    let Some(budgets) = budgets else {
        return Ok(());
    };
    head(
        text,
        "billhook_model_budget_spent_ratio",
        "How much of a budget of the day is used; 1 is all of it.",
    )?;
    let (tokens, cost) = used(decisions, Some(budgets));
    for budget in budgets.of_day(tokens, cost) {
        let (name, ratio) = (budget.name, Ratio(budget.spent, budget.bound));
        writeln!(
            text,
            "billhook_model_budget_spent_ratio{{budget=\"{name}\"}} {ratio}"
        )?;
    }
    Ok(())
}

fn head(text: &mut String, name: &str, help: &str) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge")
}

/// A part of a whole to four digits; nothing may be used of 0, so that is used up.
struct Ratio(u64, u64);

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(part, whole) = *self;
        let parts = if whole == 0 {
            10_000
        } else {
            u128::from(part) * 10_000 / u128::from(whole)
        };
        write!(f, "{}.{:04}", parts / 10_000, parts % 10_000)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Timestamp;
    use crate::config::Config;

    fn budgets(settings: &[(&str, &str)]) -> Budgets {
        let settings = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let environment: BTreeMap<String, String> = settings.collect();
        Budgets::new(&Config::from_layers(None, &environment).unwrap().model)
    }

    fn by(text: &str) -> Vec<&str> {
        let is_one =
            |line: &&str| line.starts_with("billhook_decisions_by") && line.ends_with(" 1");
        text.lines().filter(is_one).collect()
    }

    #[test]
    fn who_decides_is_the_rules_without_a_model_and_a_model_that_may_be_asked() {
        let mut decisions = Decisions {
            tokens: 750,
            ..Decisions::default()
        };
        assert_eq!(
            by(&gauges(&decisions, None)),
            ["billhook_decisions_by{by=\"rules\"} 1"]
        );
        let budgets = budgets(&[("BILLHOOK__MODEL__BUDGETS__TOKENS_PER_DAY", "1000")]);
        let text = gauges(&decisions, Some(&budgets));
        assert_eq!(by(&text), ["billhook_decisions_by{by=\"model\"} 1"]);
        let ratio = "billhook_model_budget_spent_ratio{budget=\"tokens_per_day\"} 0.7500\n";
        assert!(text.contains(ratio), "{text}");
        // One customer's budget is no reason to say that the model does not decide.
        let waiting = Waiting {
            count: 3,
            since: Timestamp::from_seconds(70),
            reason: String::new(),
        };
        let deferred = &mut decisions.deferred;
        deferred.insert("customer_budget".to_owned(), waiting.clone());
        let text = gauges(&decisions, Some(&budgets));
        assert_eq!(by(&text), ["billhook_decisions_by{by=\"model\"} 1"]);
        decisions.deferred.insert("model".to_owned(), waiting);
        let text = gauges(&decisions, Some(&budgets));
        assert_eq!(by(&text), ["billhook_decisions_by{by=\"deferred\"} 1"]);
        for line in [
            "billhook_runs_deferred{why=\"model\"} 3\n",
            "billhook_runs_deferred{why=\"day_budget\"} 0\n",
            "billhook_runs_deferred_since_timestamp_seconds{why=\"model\"} 70\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn a_day_that_is_spent_defers_whatever_waits() {
        let budgets = budgets(&[("BILLHOOK__MODEL__BUDGETS__COST_PER_DAY", "2")]);
        let spent = |cost: u64| Decisions {
            cost: [("usd".to_owned(), cost), ("eur".to_owned(), 9_000_000)].into(),
            ..Decisions::default()
        };
        assert_eq!(decider(&spent(1_999_999), Some(&budgets)), Decider::Model);
        assert_eq!(
            decider(&spent(2_000_000), Some(&budgets)),
            Decider::Deferred
        );
        let text = gauges(&spent(3_000_000), Some(&budgets));
        let ratio = "billhook_model_budget_spent_ratio{budget=\"cost_per_day\"} 1.5000\n";
        assert!(text.contains(ratio), "{text}");
    }
}
