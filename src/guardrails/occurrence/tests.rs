use std::collections::BTreeSet;

use super::*;

const AMOUNT: i64 = 4900;

/// A fact of kind failure about `nodes`, `at` seconds.
fn failure(name: &str, lead: Option<Lead>, nodes: &[(NodeKind, &str)], at: i64) -> Fact {
    Fact {
        name: name.to_owned(),
        kind: FactKind::Failure,
        lead,
        nodes: nodes
            .iter()
            .map(|(kind, id)| Node::new(*kind, *id))
            .collect(),
        charge: None,
        attempt: None,
        customer: Some("cus_1".to_owned()),
        amount: Some((AMOUNT, "eur".to_owned())),
        trial_end: None,
        reason: None,
        created: Timestamp::from_seconds(at),
    }
}

fn payment(id: &str, charge: &str, at: i64) -> Fact {
    let nodes = [(NodeKind::PaymentIntent, id), (NodeKind::Charge, charge)];
    Fact {
        charge: Some(charge.to_owned()),
        ..failure("payment", Some(Lead::PaymentFailed), &nodes, at)
    }
}

fn invoice(id: &str, attempt: i64, at: i64) -> Fact {
    let nodes = [(NodeKind::Invoice, id), (NodeKind::Subscription, "sub_1")];
    Fact {
        attempt: Some((id.to_owned(), attempt)),
        ..failure("invoice", Some(Lead::InvoicePaymentFailed), &nodes, at)
    }
}

fn past_due(latest: &str, at: i64) -> Fact {
    let nodes = [
        (NodeKind::Invoice, latest),
        (NodeKind::Subscription, "sub_1"),
    ];
    Fact {
        amount: None,
        ..failure("past_due", Some(Lead::SubscriptionPastDue), &nodes, at)
    }
}

fn candidate(id: &str, fact: &Fact, open: bool) -> Candidate {
    Candidate {
        occurrence: Occurrence::open(id.to_owned(), fact),
        open,
    }
}

/// What becomes of `fact` beside `candidates`: the occurrence it joins, or `new`, and whatever merges into that.
fn placed(fact: &Fact, links: &[(NodeKind, &str)], candidates: &[Candidate]) -> String {
    let linked: BTreeSet<Node> = links
        .iter()
        .map(|(kind, id)| Node::new(*kind, *id))
        .chain(fact.nodes.iter().cloned())
        .collect();
    let placement = place(fact, &linked, candidates, "new".to_owned());
    let mut text = placement.occurrence.id;
    for merged in placement.merged {
        text = format!("{text} <- {merged}");
    }
    text
}

#[test]
fn a_link_joins_whatever_became_of_the_other() {
    let link = [(NodeKind::Invoice, "in_1")];
    for open in [true, false] {
        let there = [candidate("a", &invoice("in_1", 1, 100), open)];
        assert_eq!(placed(&payment("pi_1", "ch_1", 101), &link, &there), "a");
        assert_eq!(placed(&payment("pi_1", "ch_1", 106), &link, &there), "new");
    }
}

#[test]
fn two_charges_are_two_failures_however_near() {
    let there = [candidate("a", &payment("pi_1", "ch_1", 100), true)];
    assert_eq!(placed(&payment("pi_1", "ch_2", 102), &[], &there), "new");
    assert_eq!(placed(&payment("pi_1", "ch_1", 9_000), &[], &there), "a");
}

#[test]
fn two_attempts_and_two_invoices_are_two_failures() {
    let there = [candidate("a", &invoice("in_1", 1, 100), true)];
    assert_eq!(placed(&invoice("in_1", 1, 9_000), &[], &there), "a");
    assert_eq!(placed(&invoice("in_1", 2, 101), &[], &there), "new");
    assert_eq!(placed(&invoice("in_2", 1, 101), &[], &there), "new");
}

#[test]
fn the_one_with_effects_survives() {
    let there = [
        candidate("a", &invoice("in_1", 1, 100), true),
        candidate("b", &payment("pi_1", "ch_1", 101), false),
    ];
    let link = [(NodeKind::Invoice, "in_1")];
    let told_again = Fact {
        name: "charge".to_owned(),
        lead: None,
        ..payment("pi_1", "ch_1", 101)
    };
    assert_eq!(placed(&told_again, &link, &there), "b <- a");
}

#[test]
fn past_due_is_never_a_second_failure() {
    for open in [true, false] {
        let failed = [candidate("a", &invoice("in_1", 1, 100), open)];
        // Days later, of the same invoice; in the same second, whichever invoice it calls the latest.
        assert_eq!(placed(&past_due("in_1", 400_000), &[], &failed), "a");
        assert_eq!(placed(&past_due("in_2", 101), &[], &failed), "a");
        assert_eq!(placed(&past_due("in_2", 400_000), &[], &failed), "new");
    }
    // A failure that comes days after "past due" was written about is news.
    let told = [candidate("a", &past_due("in_1", 100), false)];
    assert_eq!(placed(&invoice("in_1", 1, 101), &[], &told), "a");
    assert_eq!(placed(&invoice("in_1", 1, 400_000), &[], &told), "new");
    let waits = [candidate("a", &past_due("in_1", 100), true)];
    assert_eq!(placed(&invoice("in_1", 1, 400_000), &[], &waits), "a");
}

#[test]
fn past_due_follows_from_the_nearest_attempt() {
    let there = [
        candidate("a", &invoice("in_1", 1, 100), false),
        candidate("b", &invoice("in_1", 2, 300_000), true),
    ];
    assert_eq!(placed(&past_due("in_1", 300_001), &[], &there), "b");
}

#[test]
fn a_match_needs_customer_amount_second_and_no_rival() {
    let failed = invoice("in_1", 1, 100);
    let there = [candidate("a", &failed, true)];
    assert_eq!(placed(&payment("pi_1", "ch_1", 105), &[], &there), "a");
    assert_eq!(placed(&payment("pi_1", "ch_1", 106), &[], &there), "new");
    let another_amount = Fact {
        amount: Some((900, "eur".to_owned())),
        ..payment("pi_1", "ch_1", 101)
    };
    assert_eq!(placed(&another_amount, &[], &there), "new");
    let somebody_else = Fact {
        customer: Some("cus_2".to_owned()),
        ..payment("pi_1", "ch_1", 101)
    };
    assert_eq!(placed(&somebody_else, &[], &there), "new");
    let rivals = [
        candidate("a", &failed, true),
        candidate("b", &invoice("in_2", 1, 100), true),
    ];
    assert_eq!(placed(&payment("pi_1", "ch_1", 101), &[], &rivals), "new");
}

#[test]
fn an_attempt_is_matched_once() {
    let mut matched = candidate("a", &invoice("in_1", 1, 100), true);
    matched.occurrence.add(&payment("pi_1", "ch_1", 100));
    matched.occurrence.matched = true;
    assert_eq!(
        placed(&payment("pi_2", "ch_2", 101), &[], &[matched]),
        "new"
    );
}

/// A match is a guess: it may spare a payment's mail, and never an invoice's.
#[test]
fn a_match_never_swallows_the_mail_of_an_invoice() {
    let written = [candidate("a", &invoice("in_1", 1, 100), false)];
    assert_eq!(placed(&payment("pi_1", "ch_1", 101), &[], &written), "a");
    let written = [candidate("a", &payment("pi_1", "ch_1", 100), false)];
    assert_eq!(placed(&invoice("in_1", 1, 101), &[], &written), "new");
    let counted = Fact {
        lead: None,
        ..invoice("in_1", 1, 101)
    };
    assert_eq!(placed(&counted, &[], &written), "new");
}

#[test]
fn a_payment_that_came_in_is_its_own_news() {
    let success = |id: &str, at| Fact {
        kind: FactKind::Success,
        lead: Some(Lead::PaymentSucceeded),
        ..payment(id, &format!("ch_{id}"), at)
    };
    let paid = |id: &str, at| Fact {
        kind: FactKind::Success,
        lead: None,
        attempt: None,
        ..invoice(id, 0, at)
    };
    let link = [(NodeKind::Invoice, "in_1")];
    let mut half = candidate("a", &success("pi_1", 100), false);
    half.occurrence.add(&paid("in_1", 100));
    assert_eq!(placed(&success("pi_2", 101), &link, &[half]), "new");
    // The next invoice of the subscription is paid by another payment.
    let there = [candidate("a", &paid("in_1", 100), true)];
    assert_eq!(placed(&paid("in_2", 101), &[], &there), "new");
}
