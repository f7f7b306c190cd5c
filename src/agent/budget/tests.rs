//! What is asked of a budget, and what a reply costs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::Config;

/// What is spent more.
type Spend = fn(&mut Spending);

/// Eight in the morning.
const MORNING: Timestamp = Timestamp(1_800_000_000_000_000);

fn budgets(settings: &[(&str, &str)]) -> Budgets {
    let settings = settings.iter().map(|(key, value)| {
        let key = format!("BILLHOOK__MODEL__{}", key.replace('.', "__").to_uppercase());
        (key, (*value).to_owned())
    });
    let environment: BTreeMap<String, String> = settings.collect();
    Budgets::new(&Config::from_layers(None, &environment).unwrap().model)
}

fn priced() -> Budgets {
    budgets(&[
        ("prices.small.input", "0.40"),
        ("prices.small.cached_input", "0.10"),
        ("prices.small.output", "1.60"),
        ("prices.plain.input", "3"),
        ("prices.plain.output", "15"),
    ])
}

fn usage(input: u64, cached: u64, output: u64, reasoning: u64) -> Usage {
    Usage {
        input_tokens: input,
        cached_tokens: cached,
        output_tokens: output,
        reasoning_tokens: reasoning,
        estimated: false,
    }
}

fn spent(replies: u64, calls: u64, tokens: u64, cost: i64) -> Spent {
    Spent {
        replies,
        calls,
        tokens,
        cost: Micros(cost),
    }
}

#[test]
fn cached_tokens_are_part_of_what_is_read_and_reasoning_of_what_is_written() {
    let budgets = priced();
    let cost = |model: &str, usage| budgets.cost(model, &usage).map(|cost| cost.0);
    // 600 at 0.40, 400 at 0.10 and 100 at 1.60 for a million.
    assert_eq!(
        cost("small", usage(1000, 400, 100, 90)),
        Some(240 + 40 + 160)
    );
    assert_eq!(cost("small", usage(1000, 400, 100, 0)), Some(440));
    // Without a price of their own, cached tokens cost what others do.
    assert_eq!(cost("plain", usage(1000, 400, 100, 0)), Some(4500));
    // More from the cache than was read at all is no discount.
    assert_eq!(cost("small", usage(1000, 5000, 0, 0)), Some(100));
    assert_eq!(cost("small", usage(0, 0, 0, 0)), Some(0));
    assert_eq!(cost("other", usage(1000, 0, 0, 0)), None);
    assert_eq!(cost("", usage(0, 0, 0, 0)), Some(0));
}

#[test]
fn a_million_replies_cost_a_million_times_what_one_does() {
    let budgets = budgets(&[("prices.m.input", "0.1"), ("prices.m.output", "0.7")]);
    // 0.1 and 0.7 are no binary fractions: as floats this sum drifts.
    let one = budgets.cost("m", &usage(30, 0, 10, 0)).unwrap().0;
    let sum: i64 = (0..1_000_000)
        .map(|_| budgets.cost("m", &usage(30, 0, 10, 0)).unwrap().0)
        .sum();
    assert_eq!((one, sum), (10, 10_000_000));
}

#[test]
fn what_a_server_claims_cannot_overflow() {
    let budgets = priced();
    let most = usage(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    assert_eq!(budgets.cost("plain", &most), Some(Micros(18_000_000_000)));
    let dear = self::budgets(&[
        ("prices.m.input", "9000000000000"),
        ("prices.m.output", "9000000000000"),
    ]);
    assert_eq!(dear.cost("m", &most), Some(Micros(MOST_COST)));
    let mut sum = most;
    sum.add(most);
    assert_eq!(sum.input_tokens, u64::MAX);
}

proptest! {
    #[test]
    fn a_reply_is_never_counted_cheaper_than_it_is(
        input in 0_u64..10_000_000, cached in 0_u64..10_000_000, output in 0_u64..10_000_000
    ) {
        let cost = priced().cost("small", &usage(input, cached, output, 0)).unwrap().0;
        let cached = cached.min(input);
        let exact = (input - cached) * 400_000 + cached * 100_000 + output * 1_600_000;
        let counted = u64::try_from(cost).unwrap() * 1_000_000;
        prop_assert!(counted >= exact && counted - exact < 1_000_000);
    }
}

#[test]
fn each_budget_is_named_when_it_is_spent() {
    let all = [
        ("calls_per_run", "9"),
        ("tokens_per_run", "100"),
        ("cost_per_run", "0.05"),
        ("replies_per_customer_per_day", "5"),
        ("tokens_per_customer_per_day", "200"),
        ("cost_per_customer_per_day", "0.10"),
        ("tokens_per_day", "1000"),
        ("cost_per_day", "2"),
    ];
    let keys = all.map(|(key, bound)| (format!("budgets.{key}"), bound));
    let budgets = budgets(&keys.each_ref().map(|(key, bound)| (key.as_str(), *bound)));
    let below = Spending {
        run: spent(0, 8, 99, 49_999),
        customer: spent(4, 0, 199, 99_999),
        day: spent(0, 0, 999, 1_999_999),
    };
    assert_eq!(budgets.room(&below, MORNING), Room::Left);
    let cases: [(&str, Spend); 8] = [
        ("calls_per_run = 9 is", |s| s.run.calls += 1),
        ("tokens_per_run = 100 is", |s| s.run.tokens += 1),
        ("cost_per_run = 0.05 usd is", |s| s.run.cost.0 += 1),
        ("replies_per_customer_per_day = 5 is", |s| {
            s.customer.replies += 1;
        }),
        ("tokens_per_customer_per_day = 200 is", |s| {
            s.customer.tokens += 1;
        }),
        ("cost_per_customer_per_day = 0.10 usd is", |s| {
            s.customer.cost.0 += 1;
        }),
        ("tokens_per_day = 1000 is", |s| s.day.tokens += 1),
        ("cost_per_day = 2 usd is", |s| s.day.cost.0 += 1),
    ];
    for (at, (words, spend)) in cases.into_iter().enumerate() {
        let mut spending = below;
        spend(&mut spending);
        let expected = format!("model.budgets.{words} spent");
        match budgets.room(&spending, MORNING) {
            Room::RunSpent(reason) if at < 3 => assert_eq!(reason, expected),
            Room::Later { reason, wait } if at >= 3 => {
                // 2027-01-15T08:00:00Z.
                assert_eq!(
                    reason,
                    format!("{expected}; there is room again at 2027-01-16T00:00:00Z")
                );
                assert_eq!(wait, Duration::from_hours(16));
            }
            room => panic!("{words}: {room:?}"),
        }
    }
}

#[test]
fn nothing_may_be_spent_of_0_and_everything_of_nothing() {
    let none = budgets(&[("budgets.tokens_per_day", "0")]);
    assert!(matches!(
        none.room(&Spending::default(), MORNING),
        Room::Later { .. }
    ));
    let open: Vec<(String, &str)> = ["calls_per_run", "tokens_per_run"]
        .into_iter()
        .chain([
            "replies_per_customer_per_day",
            "tokens_per_customer_per_day",
            "tokens_per_day",
        ])
        .map(|key| (format!("budgets.{key}"), ""))
        .collect();
    let open: Vec<(&str, &str)> = open
        .iter()
        .map(|(key, bound)| (key.as_str(), *bound))
        .collect();
    let much = spent(u64::MAX, u64::MAX, u64::MAX, i64::MAX);
    let spending = Spending {
        run: much,
        customer: much,
        day: much,
    };
    assert_eq!(budgets(&open).room(&spending, MORNING), Room::Left);
}
