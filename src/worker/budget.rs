//! A run's budgets over the store: what was used is read before each question.

use async_trait::async_trait;

use crate::agent::budget::{Budget, Budgets, Room, Spending, Spent};
use crate::agent::journal::{Entry, JournalError};
use crate::clock::Clock;
use crate::config::Micros;
use crate::store::{ClaimedRun, NewSpending, Store, Used};

/// Says whether a run may ask its model once more.
pub(super) struct StoreBudget<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) clock: &'a dyn Clock,
    pub(super) run: &'a ClaimedRun,
    pub(super) budgets: &'a Budgets,
}

#[async_trait]
impl Budget for StoreBudget<'_> {
    async fn room(&self) -> Result<Room, JournalError> {
        let now = self.clock.now();
        let used = self
            .store
            .used_so_far(self.run, self.budgets.currency())
            .await
            .map_err(|error| JournalError(Box::new(error)))?;
        let spending = Spending {
            run: spent(&used.run),
            customer: spent(&used.lane),
            day: spent(&used.day),
        };
        let room = self.budgets.room(&spending, now);
        if let Room::RunSpent(reason) | Room::Later { reason, .. } = &room {
            tracing::warn!(run.id = %self.run.id, reason, "the model is not asked: a budget is spent");
        }
        Ok(room)
    }
}

fn spent(used: &Used) -> Spent {
    Spent {
        replies: used.replies,
        calls: used.calls,
        tokens: used.tokens,
        cost: Micros(used.cost),
    }
}

/// What a model's reply used; none for any other step.
pub(super) fn spending(entry: &Entry, budgets: &Budgets) -> Option<NewSpending> {
    let Entry::Reply {
        reply,
        by_rules: false,
    } = entry
    else {
        return None;
    };
    let usage = reply.usage.bounded();
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Some(NewSpending {
        calls: whole(reply.calls.len() as u64),
        input_tokens: whole(usage.input_tokens),
        output_tokens: whole(usage.output_tokens),
        cached_tokens: whole(usage.cached_tokens),
        reasoning_tokens: whole(usage.reasoning_tokens),
        is_estimated: usage.estimated,
        cost: budgets.cost(&reply.model, &usage).map(|cost| cost.0),
        currency: budgets.currency().to_owned(),
    })
}

/// Counts what was kept for `/metrics`.
pub(super) fn count(spent: &NewSpending) {
    for (kind, tokens) in [
        ("input", spent.input_tokens),
        ("cached_input", spent.cached_tokens),
        ("output", spent.output_tokens),
        ("reasoning", spent.reasoning_tokens),
    ] {
        metrics::counter!("billhook_model_tokens_total", "kind" => kind)
            .increment(u64::try_from(tokens).unwrap_or(0));
    }
    if let Some(cost) = spent.cost {
        metrics::counter!("billhook_model_cost_micros_total", "currency" => spent.currency.clone())
            .increment(u64::try_from(cost).unwrap_or(0));
    }
}
