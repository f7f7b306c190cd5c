//! Two processes over one database, and everybody decides at once.

use std::sync::Arc;

use billhook::store::{Decision, SqlStore, Store, Verdict};
use futures::future::join_all;

use super::{approve, deny, hold, is, messages, owed_mail, waiting};
use crate::store::queued::{claim, go};
use crate::support::bench::{Bench, policy};

on_both!(
    of_all_who_decide_at_once_one_does,
    of_those_who_come_when_its_time_is_over_one_settles_it,
);

const ROUNDS: usize = 8;

/// Everything that may end a wait, several times over, by several processes.
async fn all_at_once(stores: &[Arc<SqlStore>], id: &str, verdicts: &[Verdict]) -> Vec<Decision> {
    let deciding = stores.iter().flat_map(|store| {
        verdicts.iter().map(async move |verdict| {
            let decided = store.decide_approval(id, verdict, "a race").await;
            decided.unwrap()
        })
    });
    let expiring = stores.iter().map(async |store| {
        store.expire_approvals(1).await.unwrap();
    });
    let (decided, _) = tokio::join!(join_all(deciding), join_all(expiring));
    decided
}

async fn of_all_who_decide_at_once_one_does(bench: Bench) {
    let stores = [bench.store.clone(), bench.another_process().await];
    for round in 0..ROUNDS {
        let intent = format!("pi_{round}");
        let held = hold(&bench, &intent, owed_mail(&intent)).await;
        let mut verdicts = [approve(&held), deny(), approve(&held)];
        verdicts.rotate_left(round % 2);
        let decisions = all_at_once(&stores, &held.id, &verdicts).await;
        let done = decisions.iter().filter(|one| **one == Decision::Done);
        assert_eq!(done.count(), 1, "{decisions:?}");
        let ended = waiting(&bench, &intent).await.status;
        let rest = decisions.iter().filter(|one| **one != Decision::Done);
        rest.for_each(|one| assert_eq!(*one, Decision::Over(ended.clone())));
        let expected = match ended.as_str() {
            "approved" => vec![is("the model", "pending")],
            "denied" => vec![is("the model", "denied"), is("the rules", "pending")],
            other => panic!("it is {other}"),
        };
        assert_eq!(messages(&bench, &intent).await, expected);
        assert_eq!(go(&bench.store).await, 1, "one mail leaves, never two");
    }
}

async fn of_those_who_come_when_its_time_is_over_one_settles_it(bench: Bench) {
    let stores = [bench.store.clone(), bench.another_process().await];
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let intent = format!("pi_{round}");
        let held = hold(&bench, &intent, owed_mail(&intent)).await;
        all.push((intent, held));
    }
    bench.clock.advance(policy().approvals_expire);
    for (intent, held) in all {
        let verdicts = [approve(&held), deny()];
        let decisions = all_at_once(&stores, &held.id, &verdicts).await;
        let expired = Decision::Over("expired".to_owned());
        assert!(decisions.iter().all(|one| *one == expired), "{decisions:?}");
        assert_eq!(
            messages(&bench, &intent).await,
            [is("the model", "expired"), is("the rules", "pending")]
        );
    }
    assert_eq!(go(&bench.store).await, ROUNDS);
    assert!(claim(&bench.store).await.is_empty());
}
