//! Caps at their edges, and asked by two processes at once.

use std::time::Duration;

use billhook::config::CapsConfig;
use billhook::store::{Clearance, Policy, SendOutcome, Store};
use futures::future::join_all;

use super::LONG;
use super::queued::{Wanted, claim, go, queue, shown};
use crate::support::bench::{Bench, policy};

on_both!(
    a_customer_has_room_again_to_the_microsecond,
    two_processes_share_the_cap_of_a_customer,
    two_processes_share_the_cap_of_an_address,
    two_processes_share_the_cap_of_a_playbook,
    one_address_counts_whoever_has_it,
    a_flood_is_spread_over_the_hours,
    what_waits_for_another_cap_takes_no_slot_of_a_flood,
    a_cap_of_nothing_lets_nothing_go,
    what_waits_goes_when_its_cap_is_raised,
    what_did_not_leave_does_not_count,
);

const DAY: Duration = Duration::from_hours(24);
const TICK: Duration = Duration::from_micros(1);

fn with(caps: CapsConfig) -> Policy {
    Policy { caps, ..policy() }
}

async fn a_customer_has_room_again_to_the_microsecond(bench: Bench) {
    let store = &bench.store;
    for intent in ["pi_1", "pi_2", "pi_3"] {
        queue(&bench, &Wanted::mail("cus_1", intent)).await;
        assert_eq!(go(store).await, 1);
    }
    let gone = bench.now();
    queue(&bench, &Wanted::mail("cus_1", "pi_4")).await;
    queue(&bench, &Wanted::mail("cus_2", "pi_5")).await;
    assert_eq!(go(store).await, 1, "another customer has room");
    let waits = shown(store, "pi_4").await;
    assert_eq!(
        waits.reason.as_deref(),
        Some("caps.mails_per_customer_per_day = 3: no room for customer cus_1")
    );
    // The first of the three went twenty seconds before the last.
    let room = gone.minus(Duration::from_secs(20)).plus(DAY);
    assert_eq!(waits.not_before, Some(room.iso()));
    bench.clock.advance(room.minus(TICK).since(bench.now()));
    assert_eq!(go(store).await, 0, "a microsecond early");
    bench.clock.advance(TICK);
    assert_eq!(go(store).await, 1);
    assert_eq!(shown(store, "pi_4").await.reason, None);
}

/// Eight mails that one cap counts together, asked by two processes at once; says how many may go.
async fn race(bench: &Bench, caps: CapsConfig, mail: impl Fn(usize) -> Asked) -> usize {
    for n in 0..8 {
        let Asked { customer, address } = mail(n);
        let intent = format!("pi_{n}");
        queue(bench, &Wanted::failure(&customer, &intent, &address)).await;
    }
    let one = bench.process_with(with(caps)).await;
    let other = bench.process_with(with(caps)).await;
    let claimed = claim(&one).await;
    assert_eq!(claimed.len(), 8);
    let asked = claimed.iter().enumerate().map(|(n, message)| {
        let store = if n % 2 == 0 { &one } else { &other };
        store.begin_sending(message, LONG)
    });
    let answers = join_all(asked).await;
    let gone = answers
        .into_iter()
        .filter(|answer| *answer.as_ref().unwrap() == Clearance::Go(None));
    gone.count()
}

struct Asked {
    customer: String,
    address: String,
}

/// Room for hundreds, but where a test says otherwise.
const WIDE: CapsConfig = CapsConfig {
    mails_per_customer_per_day: 100,
    failure_mails_per_recipient_per_day: 100,
    mails_per_playbook_per_hour: 100,
};

async fn two_processes_share_the_cap_of_a_customer(bench: Bench) {
    let caps = CapsConfig {
        mails_per_customer_per_day: 3,
        ..WIDE
    };
    let gone = race(&bench, caps, |n| Asked {
        customer: "cus_1".to_owned(),
        address: format!("ada{n}@example.com"),
    });
    assert_eq!(gone.await, 3);
}

async fn two_processes_share_the_cap_of_an_address(bench: Bench) {
    let caps = CapsConfig {
        failure_mails_per_recipient_per_day: 2,
        ..WIDE
    };
    let gone = race(&bench, caps, |n| Asked {
        customer: format!("cus_{n}"),
        address: format!("ada+{n}@example.com"),
    });
    assert_eq!(gone.await, 2);
}

async fn two_processes_share_the_cap_of_a_playbook(bench: Bench) {
    let caps = CapsConfig {
        mails_per_playbook_per_hour: 5,
        ..WIDE
    };
    let gone = race(&bench, caps, |n| Asked {
        customer: format!("cus_{n}"),
        address: format!("ada{n}@example.com"),
    });
    assert_eq!(gone.await, 5);
}

async fn one_address_counts_whoever_has_it(bench: Bench) {
    let store = &bench.store;
    for (customer, intent, address) in [
        ("cus_1", "pi_1", "ada@example.com"),
        ("cus_2", "pi_2", "Ada+Shop@Example.com."),
        ("cus_3", "pi_3", "eve@example.com"),
    ] {
        queue(&bench, &Wanted::failure(customer, intent, address)).await;
    }
    assert_eq!(go(store).await, 2);
    let waits = shown(store, "pi_2").await;
    assert_eq!(
        waits.reason.as_deref(),
        Some(
            "caps.failure_mails_per_recipient_per_day = 1: no room for this address, for failure mails"
        )
    );
    assert_eq!(waits.status, "pending");
    // A mail that tells no failure is another matter.
    queue(&bench, &Wanted::mail("cus_2", "pi_4")).await;
    assert_eq!(go(store).await, 1);
    bench.clock.advance(DAY);
    assert_eq!(go(store).await, 1);
    assert_eq!(shown(store, "pi_2").await.status, "sent");
}

async fn a_flood_is_spread_over_the_hours(bench: Bench) {
    let narrow = CapsConfig {
        mails_per_playbook_per_hour: 2,
        ..policy().caps
    };
    let store = bench.process_with(with(narrow)).await;
    let customers: Vec<String> = (0..7).map(|n| format!("cus_{n}")).collect();
    let intents: Vec<String> = (0..7).map(|n| format!("pi_{n}")).collect();
    for (customer, intent) in customers.iter().zip(&intents) {
        queue(&bench, &Wanted::mail(customer, intent)).await;
    }
    assert_eq!(go(&store).await, 2);
    let mut slots = Vec::new();
    for intent in &intents {
        let message = shown(&store, intent).await;
        if message.status == "pending" {
            let reason = message.reason.unwrap();
            assert!(
                reason.starts_with("caps.mails_per_playbook_per_hour = 2: no room for playbook"),
                "{reason}"
            );
            slots.push(message.not_before.unwrap());
        }
    }
    // Two an hour, not five at once.
    slots.sort();
    let hour = Duration::from_hours(1);
    let expected = [1, 1, 2, 2, 3].map(|n| bench.now().plus(hour * n).iso());
    assert_eq!(slots, expected);
    for sent in [2, 2, 1, 0] {
        bench.clock.advance(hour);
        assert_eq!(go(&store).await, sent);
    }
}

async fn what_waits_for_another_cap_takes_no_slot_of_a_flood(bench: Bench) {
    let narrow = CapsConfig {
        mails_per_playbook_per_hour: 2,
        mails_per_customer_per_day: 1,
        ..policy().caps
    };
    let store = bench.process_with(with(narrow)).await;
    for (customer, intent) in [("cus_1", "pi_1"), ("cus_2", "pi_2")] {
        queue(&bench, &Wanted::mail(customer, intent)).await;
    }
    assert_eq!(go(&store).await, 2);
    for (customer, intent) in [("cus_1", "pi_3"), ("cus_2", "pi_4")] {
        queue(&bench, &Wanted::mail(customer, intent)).await;
    }
    assert_eq!(go(&store).await, 0);
    let tomorrow = shown(&store, "pi_3").await.reason.unwrap();
    assert!(
        tomorrow.starts_with("caps.mails_per_customer_per_day"),
        "{tomorrow}"
    );
    // Nobody else has mails of this hour, so the next hour is free for whoever is new.
    for (customer, intent) in [("cus_3", "pi_5"), ("cus_4", "pi_6"), ("cus_5", "pi_7")] {
        queue(&bench, &Wanted::mail(customer, intent)).await;
    }
    assert_eq!(go(&store).await, 0);
    for sent in [2, 1, 0] {
        bench.clock.advance(Duration::from_hours(1));
        assert_eq!(go(&store).await, sent);
    }
    bench.clock.advance(DAY);
    assert_eq!(go(&store).await, 2, "tomorrow's");
}

async fn a_cap_of_nothing_lets_nothing_go(bench: Bench) {
    let none = CapsConfig {
        mails_per_customer_per_day: 0,
        ..policy().caps
    };
    let closed = bench.process_with(with(none)).await;
    for intent in ["pi_1", "pi_2"] {
        queue(&bench, &Wanted::mail("cus_1", intent)).await;
    }
    assert_eq!(go(&closed).await, 0);
    let waits = shown(&closed, "pi_1").await;
    assert_eq!(waits.not_before, Some(bench.now().plus(DAY).iso()));
    for _ in 0..2 {
        bench.clock.advance(DAY);
        assert_eq!(go(&closed).await, 0);
    }
    for intent in ["pi_1", "pi_2"] {
        let waits = shown(&closed, intent).await;
        assert_eq!(waits.not_before, waits.expires_at, "never after its end");
    }
    bench.clock.advance(DAY);
    assert_eq!(go(&closed).await, 0);
    for intent in ["pi_1", "pi_2"] {
        let ended = shown(&closed, intent).await;
        assert_eq!(
            (ended.status.as_str(), ended.reason.as_deref()),
            (
                "expired",
                Some(
                    "not sent in time: caps.mails_per_customer_per_day = 0: no room for customer cus_1"
                )
            )
        );
    }
}

async fn what_waits_goes_when_its_cap_is_raised(bench: Bench) {
    let none = CapsConfig {
        mails_per_customer_per_day: 0,
        ..policy().caps
    };
    let closed = bench.process_with(with(none)).await;
    queue(&bench, &Wanted::mail("cus_1", "pi_1")).await;
    assert_eq!(go(&closed).await, 0);
    bench.clock.advance(DAY);
    assert_eq!(go(&bench.store).await, 1);
}

async fn what_did_not_leave_does_not_count(bench: Bench) {
    let store = &bench.store;
    let failed = SendOutcome::Failed {
        reason: "smtp 550".to_owned(),
    };
    let unknown = SendOutcome::Unknown {
        reason: "no answer".to_owned(),
    };
    for (intent, outcome) in [
        ("pi_1", &failed),
        ("pi_2", &unknown),
        ("pi_3", &SendOutcome::Sent),
    ] {
        queue(&bench, &Wanted::failure("cus_1", intent, "ada@example.com")).await;
        let claimed = claim(store).await;
        let clearance = store.begin_sending(&claimed[0], LONG).await.unwrap();
        let expected = if intent == "pi_3" {
            // What may have left counts.
            Clearance::Stop
        } else {
            Clearance::Go(None)
        };
        assert_eq!(clearance, expected, "{intent}");
        if clearance == Clearance::Go(None) {
            store.settle_message(&claimed[0], outcome).await.unwrap();
        }
    }
}
