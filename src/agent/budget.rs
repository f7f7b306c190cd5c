//! What a run may spend on its model, and what a reply cost. Pure, but for the port that says what was spent.
//!
//! Owns when a model is not asked any more. Nothing is reserved beforehand: a run asks before each question, so a budget is
//! overrun by one reply for each run in flight at most. Knows only replies that were kept: one that was lost on its way,
//! and was asked for again, is known to nobody but the server that wants money for it.

use std::time::Duration;

use async_trait::async_trait;

use crate::agent::journal::JournalError;
use crate::agent::model::Usage;
use crate::agent::run::RunError;
use crate::clock::Timestamp;
use crate::config::{BudgetsConfig, Micros, ModelConfig, Prices};

/// No honest reply has more tokens; a server that says so must not make sums overflow.
const MOST_TOKENS: u64 = 1_000_000_000;

/// No honest reply costs more.
const MOST_COST: i64 = 1_000_000_000_000;

/// What was spent on replies within some bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Replies that were kept.
    pub replies: u64,
    /// Calls in them.
    pub calls: u64,
    /// Tokens, read and written.
    pub tokens: u64,
    /// Money, in the configured currency.
    pub cost: Micros,
}

/// What was spent so far, by everything that has a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spending {
    /// By the run, in all of its generations.
    pub run: Spent,
    /// By its customer today.
    pub customer: Spent,
    /// By everybody today.
    pub day: Spent,
}

/// Whether there is room for another question to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Left,
    /// The run has used up its own: what it has stands, and the rules add what is owed.
    RunSpent(String),
    /// The day's or the customer's is used up.
    Later {
        /// Which, and when there is room again.
        reason: String,
        /// How long that is.
        wait: Duration,
    },
}

/// Where a run asks whether it may ask its model once more.
#[async_trait]
pub trait Budget: Send + Sync {
    /// Whether there is room.
    async fn room(&self) -> Result<Room, JournalError>;
}

/// The run's own budget that is used up, if one is; one of more than this run defers it.
pub(super) async fn spent(budget: Option<&dyn Budget>) -> Result<Option<String>, RunError> {
    let Some(budget) = budget else {
        return Ok(None);
    };
    let room = budget.room().await;
    match room.map_err(|error| RunError::Retry(Box::new(error)))? {
        Room::Left => Ok(None),
        Room::RunSpent(reason) => Ok(Some(reason)),
        Room::Later { reason, wait } => Err(RunError::Deferred {
            reason,
            retry_after: Some(wait),
        }),
    }
}

/// The configured budgets and prices.
#[derive(Debug, Clone)]
pub struct Budgets {
    bounds: BudgetsConfig,
    prices: Prices,
    currency: String,
}

/// A budget of everybody's day, and what is used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfDay {
    /// The last part of its key.
    pub name: &'static str,
    /// What was used.
    pub spent: u64,
    /// What may be.
    pub bound: u64,
    /// Both are millionths of the currency's unit, and not tokens.
    pub is_money: bool,
}

impl OfDay {
    /// Whether nothing is left of it.
    pub fn is_spent(&self) -> bool {
        self.spent >= self.bound
    }
}

impl Budgets {
    /// As configured.
    pub fn new(config: &ModelConfig) -> Self {
        Self {
            bounds: config.budgets,
            prices: config.prices.clone(),
            currency: config.currency.clone(),
        }
    }

    /// The currency of everything that is money here.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// What a reply of a model cost; none where its price is not known. Without a token it cost nothing, whoever gave it: so
    /// is the reply that stands for a refusal. Rounded up to a whole millionth, so that a budget is
    /// never found emptier than it is.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<Micros> {
        if usage.input_tokens == 0 && usage.output_tokens == 0 {
            return Some(Micros(0));
        }
        let price = self.prices.of(model)?;
        let usage = usage.bounded();
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let part = |tokens: u64, price: Micros| i128::from(tokens) * i128::from(price.0);
        let whole = part(usage.input_tokens - cached, price.input)
            + part(cached, price.cached_input.unwrap_or(price.input))
            + part(usage.output_tokens, price.output);
        let micros = (whole + 999_999) / 1_000_000;
        Some(Micros(
            i64::try_from(micros).unwrap_or(MOST_COST).min(MOST_COST),
        ))
    }

    /// Whether there is room for another question.
    pub fn room(&self, spending: &Spending, now: Timestamp) -> Room {
        let bounds = &self.bounds;
        let spent = &spending.run;
        let of_run = self.first_spent([
            (
                "calls_per_run",
                spent.calls,
                Bound::of(bounds.calls_per_run),
            ),
            (
                "tokens_per_run",
                spent.tokens,
                Bound::of(bounds.tokens_per_run),
            ),
            (
                "cost_per_run",
                of(spent.cost),
                Bound::money(bounds.cost_per_run),
            ),
        ]);
        if let Some(reason) = of_run {
            return Room::RunSpent(reason);
        }
        let spent = &spending.customer;
        let of_customer = self.first_spent([
            (
                "replies_per_customer_per_day",
                spent.replies,
                Bound::of(bounds.replies_per_customer_per_day),
            ),
            (
                "tokens_per_customer_per_day",
                spent.tokens,
                Bound::of(bounds.tokens_per_customer_per_day),
            ),
            (
                "cost_per_customer_per_day",
                of(spent.cost),
                Bound::money(bounds.cost_per_customer_per_day),
            ),
        ]);
        let spent = &spending.day;
        let of_day = self.first_spent([
            (
                "tokens_per_day",
                spent.tokens,
                Bound::of(bounds.tokens_per_day),
            ),
            (
                "cost_per_day",
                of(spent.cost),
                Bound::money(bounds.cost_per_day),
            ),
        ]);
        let Some(reason) = of_customer.or(of_day) else {
            return Room::Left;
        };
        let again = now.midnight();
        Room::Later {
            reason: format!("{reason}; there is room again at {again}"),
            wait: again.since(now),
        }
    }

    /// The budgets of everybody's day that are set, and how much of each is used.
    pub fn of_day(&self, tokens: u64, cost: u64) -> Vec<OfDay> {
        [
            ("tokens_per_day", tokens, self.bounds.tokens_per_day, false),
            ("cost_per_day", cost, self.bounds.cost_per_day.map(of), true),
        ]
        .into_iter()
        .filter_map(|(name, spent, bound, is_money)| {
            Some(OfDay {
                name,
                spent,
                bound: bound?,
                is_money,
            })
        })
        .collect()
    }

    fn first_spent<const N: usize>(&self, budgets: [(&str, u64, Bound); N]) -> Option<String> {
        budgets
            .into_iter()
            .find_map(|(name, spent, bound)| match bound {
                Bound::Count(most) if spent >= most => {
                    Some(format!("model.budgets.{name} = {most} is spent"))
                }
                Bound::Money(most) if spent >= of(most) => Some(format!(
                    "model.budgets.{name} = {most} {} is spent",
                    self.currency
                )),
                _ => None,
            })
    }
}

/// A bound, in what it counts.
#[derive(Clone, Copy)]
enum Bound {
    Open,
    Count(u64),
    Money(Micros),
}

impl Bound {
    fn of(most: Option<u64>) -> Self {
        most.map_or(Self::Open, Self::Count)
    }

    fn money(most: Option<Micros>) -> Self {
        most.map_or(Self::Open, Self::Money)
    }
}

fn of(amount: Micros) -> u64 {
    u64::try_from(amount.0).unwrap_or(0)
}

/// Who decides follow-ups at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decider {
    /// A model.
    Model,
    /// A model that is away or may not be asked: they wait for it, and the rules decide those that have waited for long.
    Deferred,
    /// The rules, since there is no model.
    Rules,
}

impl Decider {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Model, Self::Deferred, Self::Rules];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Deferred => "deferred",
            Self::Rules => "rules",
        }
    }

    /// Who decides now, by the budgets of a model, if there is one, what is used of those of the day, and the number of runs
    /// that wait for the model itself.
    pub fn of(budgets: Option<&Budgets>, (tokens, cost): (u64, u64), waiting: u64) -> Self {
        let Some(budgets) = budgets else {
            return Self::Rules;
        };
        let mut of_day = budgets.of_day(tokens, cost).into_iter();
        if waiting > 0 || of_day.any(|budget| budget.is_spent()) {
            Self::Deferred
        } else {
            Self::Model
        }
    }
}

impl Usage {
    /// The same, no count larger than any honest one.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            input_tokens: self.input_tokens.min(MOST_TOKENS),
            output_tokens: self.output_tokens.min(MOST_TOKENS),
            cached_tokens: self.cached_tokens.min(MOST_TOKENS),
            reasoning_tokens: self.reasoning_tokens.min(MOST_TOKENS),
            estimated: self.estimated,
        }
    }
}

#[cfg(test)]
mod tests;
