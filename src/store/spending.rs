//! What replies of models used: counted with the reply's own commit, by run, by customer and day, and by day.
//!
//! Of a run and of a customer there is one writer, who holds the lane. The rows of a day are everybody's: each run goes to
//! one of several, and writes it last, so that commits hardly wait for each other there.

use std::collections::BTreeMap;

use super::database::{Transaction, args, statements};
use super::error::StoreError;
use super::records::ClaimedRun;
use super::sql_store::SqlStore;
use crate::clock::Timestamp;

statements! {
    OF_RUN: "UPDATE runs SET replies = replies + 1, calls = calls + $2, input_tokens = input_tokens + $3, output_tokens = output_tokens + $4, \
        cached_tokens = cached_tokens + $5, reasoning_tokens = reasoning_tokens + $6, estimated = estimated + $7, \
        unpriced = unpriced + CASE WHEN coalesce(cost_currency, $10) = $10 THEN CAST($8 AS BIGINT) ELSE 1 END, \
        cost = cost + CASE WHEN coalesce(cost_currency, $10) = $10 THEN CAST($9 AS BIGINT) ELSE 0 END, \
        cost_currency = coalesce(cost_currency, $10) WHERE id = $1";
    /// Whoever comes with a day that is over, by a clock that is a little late, is counted with the new one.
    OF_LANE: "UPDATE lanes SET spent_replies = 1 + CASE WHEN spent_day >= $2 THEN spent_replies ELSE 0 END, \
        spent_tokens = CAST($3 AS BIGINT) + CASE WHEN spent_day >= $2 THEN spent_tokens ELSE 0 END, \
        spent_cost = CAST($4 AS BIGINT) + CASE WHEN spent_day >= $2 AND spent_currency = $5 THEN spent_cost ELSE 0 END, \
        spent_currency = $5, spent_day = CASE WHEN spent_day >= $2 THEN spent_day ELSE $2 END WHERE lane = $1";
    OF_DAY: "INSERT INTO spending (day, shard, currency, replies, input_tokens, output_tokens, cached_tokens, reasoning_tokens, estimated, unpriced, cost) \
        VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (day, shard, currency) DO UPDATE SET replies = spending.replies + 1, \
        input_tokens = spending.input_tokens + excluded.input_tokens, output_tokens = spending.output_tokens + excluded.output_tokens, \
        cached_tokens = spending.cached_tokens + excluded.cached_tokens, reasoning_tokens = spending.reasoning_tokens + excluded.reasoning_tokens, \
        estimated = spending.estimated + excluded.estimated, unpriced = spending.unpriced + excluded.unpriced, cost = spending.cost + excluded.cost";
    SPENT: "SELECT r.replies, r.calls, r.input_tokens + r.output_tokens AS tokens, CASE WHEN r.cost_currency = $3 THEN r.cost ELSE 0 END AS cost, \
            CASE WHEN l.spent_day >= $2 THEN l.spent_replies ELSE 0 END AS lane_replies, CASE WHEN l.spent_day >= $2 THEN l.spent_tokens ELSE 0 END AS lane_tokens, \
            CASE WHEN l.spent_day >= $2 AND l.spent_currency = $3 THEN l.spent_cost ELSE 0 END AS lane_cost \
        FROM runs r JOIN lanes l ON l.lane = r.lane WHERE r.id = $1";
    /// A sum of 64 bits is a number of any length to PostgreSQL.
    DAY: "SELECT currency, CAST(sum(replies) AS BIGINT) AS replies, CAST(sum(input_tokens + output_tokens) AS BIGINT) AS tokens, CAST(sum(cost) AS BIGINT) AS cost, \
            CAST(sum(unpriced) AS BIGINT) AS unpriced FROM spending WHERE day = $1 GROUP BY currency";
    /// Few runs at most times, and all that wait while a model is away. What a budget says of itself starts with its key.
    DEFERRED: "SELECT CASE WHEN reason LIKE 'model.budgets.%_per_customer_per_day %' THEN 'customer_budget' WHEN reason LIKE 'model.budgets.%' THEN 'day_budget' \
            ELSE 'model' END AS why, count(*) AS n, min(decide_by) AS first, max(reason) AS reason FROM runs \
        WHERE status IN ('waiting', 'running', 'deferred') AND status = 'deferred' GROUP BY 1";
}

/// The rows that a day has at most, for each currency.
const SHARDS: u64 = 32;

/// What one reply of a model used. No number is larger than an honest one may be, so that sums cannot overflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSpending {
    /// Calls in it.
    pub calls: i64,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// Of those read, taken from a cache.
    pub cached_tokens: i64,
    /// Of those written, spent on reasoning.
    pub reasoning_tokens: i64,
    /// The tokens are estimates.
    pub is_estimated: bool,
    /// What it cost, in millionths of the currency's unit; none where the price is not known.
    pub cost: Option<i64>,
    /// The currency.
    pub currency: String,
}

/// What was used within some bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Replies that were kept.
    pub replies: u64,
    /// Calls in them; of a run only.
    pub calls: u64,
    /// Tokens, read and written.
    pub tokens: u64,
    /// Millionths of the currency's unit.
    pub cost: i64,
}

/// What was used so far, by everything that has a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsedSoFar {
    /// By the run, in all its generations.
    pub run: Used,
    /// In its lane on the day.
    pub lane: Used,
    /// By everybody on the day.
    pub day: Used,
}

/// What models did today, and which runs wait for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Decisions {
    /// Replies of today.
    pub replies: u64,
    /// Tokens of today, read and written.
    pub tokens: u64,
    /// What they cost, in millionths of the unit, by currency.
    pub cost: BTreeMap<String, u64>,
    /// Replies of today whose price is not known.
    pub unpriced: u64,
    /// Runs that wait, by what they wait for: `model`, `day_budget` or `customer_budget`.
    pub deferred: BTreeMap<String, Waiting>,
}

/// Runs that wait for the same thing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Waiting {
    /// How many.
    pub count: u64,
    /// When the first of them became due.
    pub since: Timestamp,
    /// What one of them was told.
    pub reason: String,
}

impl SqlStore {
    /// Counts a reply. Last in its transaction: the row of the day is shared with other runs.
    pub(super) async fn spend(
        &self,
        tx: &mut Transaction,
        run: &ClaimedRun,
        spent: &NewSpending,
    ) -> Result<(), StoreError> {
        let currency = &spent.currency;
        let (cost, unpriced) = spent.cost.map_or((0, true), |cost| (cost, false));
        let of_run = args![
            &run.id,
            spent.calls,
            spent.input_tokens,
            spent.output_tokens,
            spent.cached_tokens,
            spent.reasoning_tokens,
            spent.is_estimated,
            unpriced,
            cost,
            currency,
        ];
        tx.run(&OF_RUN, of_run).await?;
        let day = self.clock.now().day();
        let tokens = spent.input_tokens + spent.output_tokens;
        let of_lane = args![&run.lane, day, tokens, cost, currency];
        tx.run(&OF_LANE, of_lane).await?;
        let of_day = args![
            day,
            shard(&run.lane),
            currency,
            spent.input_tokens,
            spent.output_tokens,
            spent.cached_tokens,
            spent.reasoning_tokens,
            spent.is_estimated,
            unpriced,
            cost,
        ];
        tx.run(&OF_DAY, of_day).await.map(drop)
    }

    pub(super) async fn read_used(
        &self,
        run: &ClaimedRun,
        currency: &str,
    ) -> Result<UsedSoFar, StoreError> {
        let day = self.clock.now().day();
        let row = self.db.row(&SPENT, args![&run.id, day, currency]).await?;
        let row = row.ok_or_else(|| StoreError::no_such("run", &run.id))?;
        let count = |column| row.int(column).map(|n| u64::try_from(n).unwrap_or(0));
        let mut used = UsedSoFar {
            run: Used {
                replies: count("replies")?,
                calls: count("calls")?,
                tokens: count("tokens")?,
                cost: row.int("cost")?,
            },
            lane: Used {
                replies: count("lane_replies")?,
                calls: 0,
                tokens: count("lane_tokens")?,
                cost: row.int("lane_cost")?,
            },
            day: Used::default(),
        };
        let today = self.used_on(day).await?;
        used.day = Used {
            replies: today.replies,
            calls: 0,
            tokens: today.tokens,
            cost: today
                .cost
                .get(currency)
                .map_or(0, |cost| i64::try_from(*cost).unwrap_or(i64::MAX)),
        };
        Ok(used)
    }

    async fn used_on(&self, day: i64) -> Result<Decisions, StoreError> {
        let mut used = Decisions::default();
        for row in self.db.rows(&DAY, args![day]).await? {
            let count = |column| row.int(column).map(|n| u64::try_from(n).unwrap_or(0));
            used.replies += count("replies")?;
            used.tokens += count("tokens")?;
            used.unpriced += count("unpriced")?;
            used.cost.insert(row.text("currency")?, count("cost")?);
        }
        Ok(used)
    }

    /// What models did today, and which runs wait for one now.
    pub(super) async fn decisions(&self) -> Result<Decisions, StoreError> {
        let mut decisions = self.used_on(self.clock.now().day()).await?;
        for row in self.db.rows(&DEFERRED, args![]).await? {
            let waiting = Waiting {
                count: u64::try_from(row.int("n")?).unwrap_or(0),
                // The rules decide so long after a run became due.
                since: row.time("first")?.minus(self.policy.decide_by),
                reason: row.opt_text("reason")?.unwrap_or_default(),
            };
            decisions.deferred.insert(row.text("why")?, waiting);
        }
        Ok(decisions)
    }
}

/// Which of a day's rows a lane counts in: FNV-1a, which is the same in every process.
fn shard(lane: &str) -> i64 {
    let hash = lane.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::try_from(hash % SHARDS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lanes_are_spread_over_the_rows_of_a_day() {
        let shards: BTreeSet<i64> = (0..1000)
            .map(|n| shard(&format!("self/live/customer/cus_{n}")))
            .collect();
        assert_eq!(shards.len(), usize::try_from(SHARDS).unwrap());
        assert!(shards.iter().all(|shard| (0..32).contains(shard)));
    }
}
