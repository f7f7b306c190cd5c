//! Pages of lists: a page goes on after a row that is there, or is refused.

use std::fmt::Debug;

use billhook::store::{
    Channel, EventFilter, LedgerFilter, Listing, MessageFilter, ObjectFilter, Page, Store,
    StoreError,
};

use super::queued::{Wanted, queue};
use crate::support::bench::Bench;

on_both!(
    a_page_after_no_row_is_refused,
    messages_are_found_by_channel,
);

/// What a list says that was to go on after a row it does not have.
fn refused<T: Debug>(listed: Result<Listing<T>, StoreError>) -> String {
    match listed {
        Err(error @ StoreError::NoSuch { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

fn of_status(status: &str) -> EventFilter {
    EventFilter {
        status: Some(status.to_owned()),
        ..EventFilter::default()
    }
}

async fn a_page_after_no_row_is_refused(bench: Bench) {
    queue(&bench, &Wanted::mail("cus_1", "pi_1")).await;
    let store = &bench.store;
    let page = Page {
        limit: 10,
        starting_after: Some("evt_x".to_owned()),
    };
    let mut said = Vec::new();
    let of_customer = EventFilter {
        customer: Some("cus_1".to_owned()),
        ..EventFilter::default()
    };
    for filter in [
        EventFilter::default(),
        of_customer,
        of_status("pending"),
        of_status("dead"),
        of_status("done"),
    ] {
        said.push(refused(store.events(&filter, &page).await));
    }
    said.push(refused(store.runs(&page).await));
    said.push(refused(store.tool_calls(&page).await));
    for status in [None, Some("pending"), Some("failed"), Some("sent")] {
        for channel in [None, Some(Channel::Email)] {
            let status = status.map(str::to_owned);
            let filter = MessageFilter { status, channel };
            said.push(refused(store.messages(&filter, &page).await));
        }
    }
    for (account, livemode) in [(None, None), (Some("self"), Some(true))] {
        let filter = ObjectFilter {
            kind: "payment_intent".to_owned(),
            account: account.map(str::to_owned),
            livemode,
        };
        said.push(refused(store.objects(&filter, &page).await));
        // A row of another account is none of this list.
        let after = |id: &str| Page {
            limit: 10,
            starting_after: Some(id.to_owned()),
        };
        store.objects(&filter, &after("pi_1")).await.unwrap();
        let elsewhere = ObjectFilter {
            account: Some("acct_1".to_owned()),
            ..filter
        };
        said.push(refused(store.objects(&elsewhere, &after("pi_1")).await));
    }
    said.push(refused(store.ledger(&LedgerFilter::default(), &page).await));
    said.dedup();
    assert_eq!(
        said.join("\n")
            .replace("; a page goes on after the id of a row of its list", ""),
        "no such event: 'evt_x'\nno such run: 'evt_x'\nno such tool call: 'evt_x'\nno such message: 'evt_x'\n\
         no such payment intent: 'evt_x'\nno such payment intent: 'pi_1'\nno such payment intent: 'evt_x'\n\
         no such payment intent: 'pi_1'\nno such ledger entry: 'evt_x'"
    );
}

async fn messages_are_found_by_channel(bench: Bench) {
    queue(&bench, &Wanted::mail("cus_1", "pi_1")).await;
    queue(&bench, &Wanted::notice("cus_2", "pi_2")).await;
    let page = Page {
        limit: 10,
        starting_after: None,
    };
    for (channel, status, expected) in [
        (None, None, vec!["sales", "email"]),
        (Some(Channel::Email), None, vec!["email"]),
        (Some(Channel::Sales), None, vec!["sales"]),
        (Some(Channel::Finance), None, vec![]),
        (Some(Channel::Sales), Some("pending"), vec!["sales"]),
        (Some(Channel::Sales), Some("sent"), vec![]),
        (Some(Channel::Sales), Some("failed"), vec![]),
    ] {
        let status = status.map(str::to_owned);
        let filter = MessageFilter { status, channel };
        let found = bench.store.messages(&filter, &page).await.unwrap().data;
        let mut found: Vec<String> = found.into_iter().map(|found| found.channel).collect();
        found.sort_by(|a, b| b.cmp(a));
        assert_eq!(found, expected, "{filter:?}");
    }
}
