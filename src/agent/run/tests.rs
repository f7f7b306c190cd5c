//! The loop over a journal in memory: what runs side by side, what runs once, what is asked again after a crash.

mod scene;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use billhook_tools::Proposal;
use serde_json::{Value, json};

use self::scene::{Gate, Scene, call, done, history, ids, mail, notice, reply, results};
use super::RunError;
use crate::agent::journal::Judged;
use crate::agent::model::Message;
use crate::agent::rules::Rules;
use crate::agent::scripted::Scripted;

#[tokio::test]
async fn reads_of_one_reply_run_side_by_side_and_are_journaled_in_its_order() {
    // None of them is answered before all three are asked.
    let scene = Scene::new(Gate::opening_at(3));
    let model = Scripted::new([
        reply([
            history(0, 1),
            mail(1, "Good day."),
            history(2, 2),
            notice(3),
            history(4, 3),
        ]),
        done(),
    ]);
    let (decided, steps) = scene.whole(&model).await;
    let results = results(&steps);
    assert_eq!(
        ids(&results),
        ["call_0", "call_1", "call_2", "call_3", "call_4"]
    );
    for (at, payment) in [(0, "pi_1"), (2, "pi_2"), (4, "pi_3")] {
        assert_eq!(results[at].result["payments"][0]["id"], payment, "{at}");
    }
    let tools: Vec<_> = decided.proposals.iter().map(|(_, p)| p.tool()).collect();
    assert_eq!(tools, ["send_email", "notify_sales"]);
}

#[tokio::test]
async fn no_more_reads_run_at_once_than_are_allowed() {
    let scene = Scene::new(Gate::opening_at(4));
    let reads = (1..=16).map(|n| history(n, u32::try_from(n).unwrap()));
    let model = Scripted::new([reply(reads), done()]);
    let (_, steps) = scene.whole(&model).await;
    assert_eq!(scene.gate.made(), 16);
    assert_eq!(scene.gate.most.load(Ordering::SeqCst), 4);
    let results = results(&steps);
    let model_s: Vec<_> = results.iter().filter(|judged| !judged.by_rules).collect();
    assert_eq!(model_s.len(), 16);
    for (at, judged) in model_s.iter().enumerate() {
        let id = format!("pi_{}", at + 1);
        assert_eq!(judged.result["payments"][0]["id"], Value::from(id));
    }
}

#[tokio::test]
async fn a_read_that_fails_is_made_again_and_nothing_else_is_lost() {
    // The journal dies with each number of steps: the reply, three reads, a mail.
    for dies_at in 0..5 {
        let scene = Scene::new(Gate::opening_at(1));
        let first = [
            history(0, 1),
            history(1, 2),
            mail(2, "Good day."),
            history(3, 3),
        ];
        let model = Arc::new(Scripted::answering(move |request, _| {
            let known = request.messages.iter();
            let known = known.filter(|m| matches!(m, Message::Assistant { .. }));
            Ok(match known.count() {
                0 => reply(first.clone()),
                _ => done(),
            })
        }));
        let (died, steps) = scene.decide(model.as_ref(), Vec::new(), dies_at).await;
        assert!(matches!(died, Err(RunError::Retry(_))), "{dies_at}");
        assert_eq!(steps.len(), dies_at);
        scene.gate.limits.lock().unwrap().clear();
        let (decided, steps) = scene.decide(model.as_ref(), steps, usize::MAX).await;
        decided.unwrap();
        // Only what has no result is read again.
        let again: &[u32] = match dies_at {
            0 | 1 => &[1, 2, 3],
            2 => &[2, 3],
            _ => &[3],
        };
        let mut limits = scene.gate.limits.lock().unwrap().clone();
        limits.sort_unstable();
        assert_eq!(limits, again, "{dies_at}");
        let model_s = results(&steps);
        let model_s: Vec<_> = model_s.into_iter().filter(|j| !j.by_rules).collect();
        assert_eq!(ids(&model_s), ["call_0", "call_1", "call_2", "call_3"]);
        // One reply at most was paid twice.
        assert_eq!(model.asked().len(), 2 + usize::from(dies_at == 0));
    }
}

#[tokio::test]
async fn identical_calls_of_one_reply_run_once() {
    let scene = Scene::new(Gate::opening_at(1));
    let spaced = call(1, "get_payment_history", "{ \"limit\" : 7 }");
    let again = || mail(2, "Good day.");
    let swapped = call(
        4,
        "send_email",
        "{\"body\": \"Good day.\", \"subject\": \"About your payment\"}",
    );
    let model = Scripted::new([
        reply([history(0, 7), spaced, again(), history(3, 7), swapped]),
        done(),
    ]);
    let (decided, steps) = scene.whole(&model).await;
    assert_eq!(scene.gate.made(), 1);
    let results = results(&steps);
    for at in [1, 3] {
        let mut answer = results[0].result.clone();
        answer["duplicate"] = true.into();
        assert_eq!(results[at].result, answer, "{at}");
    }
    assert_eq!(results[0].result.get("duplicate"), None);
    assert_eq!(
        results[4].result,
        json!({ "status": "duplicate", "conflict": false })
    );
    assert_eq!(results[4].proposal, results[2].proposal);
    assert_eq!(
        decided
            .proposals
            .iter()
            .filter(|(_, p)| p.tool() == "send_email")
            .count(),
        1
    );
}

#[tokio::test]
async fn the_same_read_in_a_later_reply_is_made() {
    let scene = Scene::new(Gate::opening_at(1));
    let model = Scripted::new([reply([history(0, 7)]), reply([history(1, 7)]), done()]);
    let (_, steps) = scene.whole(&model).await;
    assert_eq!(scene.gate.made(), 2);
    assert!(
        results(&steps)
            .iter()
            .all(|judged| judged.result.get("duplicate").is_none())
    );
}

#[tokio::test]
async fn a_repeated_call_is_answered_from_the_journal_after_a_crash() {
    let scene = Scene::new(Gate::opening_at(1));
    let model = Scripted::new([reply([history(0, 7), history(1, 7)])]);
    // The reply and the first read.
    let (_, steps) = scene.decide(&model, Vec::new(), 2).await;
    assert_eq!((steps.len(), scene.gate.made()), (2, 1));
    let (decided, steps) = scene.decide(&model, steps, usize::MAX).await;
    decided.unwrap();
    assert_eq!(scene.gate.made(), 1);
    assert_eq!(results(&steps)[1].result["duplicate"], true);
}

#[tokio::test]
async fn a_wrong_call_that_is_repeated_in_one_reply_is_one_correction() {
    let scene = Scene::new(Gate::opening_at(1));
    let wrong = |id| call(id, "send_email", "{\"subject\": ");
    let unknown = |id| call(id, "send_money", "{}");
    let model = Scripted::new([
        reply((0..8).map(wrong)),
        reply((0..8).map(unknown)),
        reply([mail(0, "Good day.")]),
        done(),
    ]);
    let (decided, steps) = scene.whole(&model).await;
    assert_eq!(model.asked().len(), 4, "two corrections were not too many");
    let (_, proposal) = &decided.proposals[0];
    assert!(matches!(proposal, Proposal::SendEmail { body, .. } if body == "Good day."));
    let results = results(&steps);
    let refused = |judged: &&&Judged| judged.refused.is_some();
    assert_eq!(results.iter().filter(refused).count(), 16);
    for judged in results.iter().take(8) {
        assert_eq!(judged.result["error"], "invalid_arguments");
    }
    let offered = "get_payment_history, send_email, notify_sales";
    for judged in results.iter().skip(8).take(8) {
        let reason = judged.result["reason"].as_str().unwrap();
        assert!(reason.contains(offered), "{reason}");
    }
    assert_eq!(scene.gate.made(), 0);
}

#[tokio::test]
async fn what_was_malformed_is_never_run() {
    let scene = Scene::new(Gate::opening_at(1));
    let twisted = [
        "",
        "{",
        "[]",
        "null",
        "7",
        "\"{}\"",
        "{\"limit\":7} {}",
        "{\"limit\":7,\"limit\":8}",
        "{\"limit\":7,}",
        "{\"limit\":\"7\"}",
        "{\"limit\":7,\"customer\":\"cus_2\"}",
        "{}",
    ];
    let calls = twisted.into_iter().enumerate();
    let calls = calls.map(|(id, text)| call(id, "get_payment_history", text));
    let model = Scripted::new([reply(calls)]);
    let (_, steps) = scene.whole(&model).await;
    assert_eq!(scene.gate.made(), 0);
    let model_s = results(&steps);
    let model_s: Vec<_> = model_s.into_iter().filter(|j| !j.by_rules).collect();
    assert_eq!(model_s.len(), twisted.len());
    for judged in model_s {
        assert_eq!(judged.result["error"], "invalid_arguments", "{judged:?}");
    }
}

#[tokio::test]
async fn rules_that_take_over_keep_what_stands_and_add_the_rest() {
    // The model's reply is journaled, its calls are not all judged, and then the rules decide.
    for known in 1..=3 {
        let scene = Scene::new(Gate::opening_at(1));
        let model = Scripted::new([reply([history(0, 7), mail(1, "Good day.")])]);
        let (_, steps) = scene.decide(&model, Vec::new(), known).await;
        assert_eq!(steps.len(), known);
        let (decided, steps) = scene.decide(&Rules, steps, usize::MAX).await;
        let decided = decided.unwrap();
        assert_eq!(decided.proposals.len(), 1, "{known}");
        let (_, proposal) = &decided.proposals[0];
        assert!(matches!(proposal, Proposal::SendEmail { body, .. } if body == "Good day."));
        let by_model = results(&steps)
            .iter()
            .filter(|judged| !judged.by_rules)
            .count();
        // Read again only where the answer was not journaled.
        let read = 1 + usize::from(known == 1);
        assert_eq!((by_model, scene.gate.made()), (2, read), "{known}");
    }
}

#[tokio::test]
async fn rules_that_take_over_do_what_was_refused_to_the_model() {
    let scene = Scene::new(Gate::opening_at(1));
    let model = Scripted::new([reply([mail(0, "Pay at evil.example now."), history(1, 7)])]);
    let (_, steps) = scene.decide(&model, Vec::new(), 2).await;
    let (decided, steps) = scene.decide(&Rules, steps, usize::MAX).await;
    let decided = decided.unwrap();
    let results = results(&steps);
    assert!(results[0].refused.is_some());
    assert_eq!(decided.proposals.len(), 1);
    let rules: Vec<_> = results.iter().filter(|judged| judged.by_rules).collect();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].call.name, "send_email");
    assert_eq!(rules[0].proposal.as_ref(), decided.proposals.first());
}
