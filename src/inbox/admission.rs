//! Which events are worked on: everything that is signed is stored, and this says what is only stored.

use crate::guardrails::mandatory::rule_of;
use crate::store::Reach;
pub use crate::stripe::event::OWN_ACCOUNT;
use crate::stripe::event::{Event, is_thin};

/// What the configuration lets in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Whether events about real money are worked on.
    pub accept_livemode: bool,
    /// Whether test events are worked on.
    pub accept_testmode: bool,
    /// The accounts whose events are worked on; empty for all.
    pub accounts: Vec<String>,
    /// Which thin events can be fetched.
    pub reach: Reach,
}

/// What Stripe sends to try out an event destination.
const PING: &str = "v2.core.event_destination.ping";

/// What the way by which an event came says of it. The default says nothing.
#[derive(Debug, Clone, Default)]
pub struct Receiver {
    /// The account of events that name none.
    pub account: Option<String>,
    /// The mode of the events that are worked on.
    pub livemode: Option<bool>,
}

impl Admission {
    /// The account an event belongs to, and why nobody will work on it, if so.
    pub fn judge(&self, event: &Event, receiver: &Receiver) -> (String, Option<String>) {
        let account = event
            .owner()
            .or(receiver.account.as_deref())
            .unwrap_or(OWN_ACCOUNT)
            .to_owned();
        let ignored = self.reason(event, &account, receiver);
        (account, ignored)
    }

    fn reason(&self, event: &Event, account: &str, receiver: &Receiver) -> Option<String> {
        let foreign = !self.accounts.is_empty()
            && account != OWN_ACCOUNT
            && !self.accounts.iter().any(|own| own == account);
        if foreign {
            return Some(format!("account {account} is not among `stripe.accounts`"));
        }
        // Live endpoints of connected accounts receive test events, too (docs.stripe.com/connect/webhooks).
        if let Some(livemode) = receiver.livemode.filter(|mode| *mode != event.livemode) {
            let mode = if event.livemode { "live" } else { "test" };
            return Some(format!(
                "a {mode} event at an endpoint whose `livemode` is {livemode}"
            ));
        }
        if event.livemode && !self.accept_livemode {
            return Some(
                "live events are not accepted: `stripe.accept_livemode` is false".to_owned(),
            );
        }
        if !event.livemode && !self.accept_testmode {
            return Some(
                "test events are not accepted: `stripe.accept_testmode` is false".to_owned(),
            );
        }
        if event.kind == PING {
            return Some(
                "a ping: Stripe reaches this endpoint, and nothing is to be done".to_owned(),
            );
        }
        if is_thin(&event.kind) {
            let mode = if event.livemode { "live" } else { "test" };
            return (!self.reach.covers(event.livemode)).then(|| {
                format!("a thin event, which only names its object: set STRIPE_SECRET_KEY to a key of {mode} mode to have it fetched")
            });
        }
        if rule_of(&event.kind).is_none() {
            return Some(format!("nothing handles events of type {}", event.kind));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn event(json: &serde_json::Value) -> Event {
        Event::parse(json.to_string().as_bytes(), Timestamp::default()).unwrap()
    }

    fn judged(admission: &Admission, json: &serde_json::Value, endpoint: Option<&str>) -> String {
        let receiver = Receiver {
            account: endpoint.map(str::to_owned),
            livemode: None,
        };
        let (account, ignored) = admission.judge(&event(json), &receiver);
        format!("{account}: {}", ignored.as_deref().unwrap_or("worked on"))
    }

    fn everything() -> Admission {
        Admission {
            accept_livemode: true,
            accept_testmode: true,
            accounts: Vec::new(),
            reach: Reach::Nothing,
        }
    }

    #[test]
    fn the_events_account_wins_over_the_endpoints() {
        let own = serde_json::json!({"id": "evt_1", "type": "invoice.paid"});
        let connected =
            serde_json::json!({"id": "evt_1", "type": "invoice.paid", "account": "acct_2"});
        let all = everything();
        assert_eq!(judged(&all, &own, None), "self: worked on");
        assert_eq!(judged(&all, &own, Some("acct_1")), "acct_1: worked on");
        assert_eq!(
            judged(&all, &connected, Some("acct_1")),
            "acct_2: worked on"
        );
    }

    #[test]
    fn a_type_that_nobody_handles_is_ignored() {
        let json = serde_json::json!({"id": "evt_1", "type": "issuing_card.created"});
        assert_eq!(
            judged(&everything(), &json, None),
            "self: nothing handles events of type issuing_card.created"
        );
    }

    #[test]
    fn each_mode_can_be_switched_off_alone() {
        let live = serde_json::json!({"id": "evt_1", "type": "invoice.paid", "livemode": true});
        let test = serde_json::json!({"id": "evt_1", "type": "invoice.paid", "livemode": false});
        let only_live = Admission {
            accept_testmode: false,
            ..everything()
        };
        let only_test = Admission {
            accept_livemode: false,
            ..everything()
        };
        assert_eq!(judged(&only_live, &live, None), "self: worked on");
        assert_eq!(judged(&only_test, &test, None), "self: worked on");
        assert!(judged(&only_live, &test, None).contains("test events are not accepted"));
        assert!(judged(&only_test, &live, None).contains("live events are not accepted"));
    }

    #[test]
    fn other_accounts_are_foreign_and_self_never_is() {
        let admission = Admission {
            accounts: vec!["acct_1".to_owned()],
            ..everything()
        };
        let own = serde_json::json!({"id": "evt_1", "type": "invoice.paid"});
        let foreign =
            serde_json::json!({"id": "evt_1", "type": "invoice.paid", "account": "acct_2"});
        assert_eq!(judged(&admission, &own, None), "self: worked on");
        assert_eq!(
            judged(&admission, &own, Some("acct_1")),
            "acct_1: worked on"
        );
        assert_eq!(
            judged(&admission, &foreign, Some("acct_1")),
            "acct_2: account acct_2 is not among `stripe.accounts`"
        );
    }

    #[test]
    fn an_organizations_events_belong_to_the_last_account_of_their_context() {
        for (context, account, expected) in [
            (serde_json::json!(null), None, "self"),
            (serde_json::json!(""), None, "self"),
            (serde_json::json!("acct_2"), None, "acct_2"),
            (serde_json::json!("acct_1/acct_2"), None, "acct_2"),
            (serde_json::json!("acct_1/acct_2/"), None, "acct_2"),
            (serde_json::json!("/"), None, "self"),
            (serde_json::json!(["acct_2"]), None, "self"),
            // Connect names the account itself, and beside it the way there.
            (serde_json::json!("acct_1/acct_2"), Some("acct_2"), "acct_2"),
        ] {
            let json = serde_json::json!({
                "id": "evt_1", "type": "invoice.paid", "context": context, "account": account,
            });
            assert_eq!(
                judged(&everything(), &json, None),
                format!("{expected}: worked on"),
                "{context}"
            );
        }
        let json = serde_json::json!({"id": "evt_1", "type": "invoice.paid", "context": "acct_2"});
        assert_eq!(
            judged(&everything(), &json, Some("acct_1")),
            "acct_2: worked on"
        );
    }

    #[test]
    fn an_endpoint_may_be_for_one_mode() {
        for (mode, livemode, expected) in [
            (None, true, None),
            (None, false, None),
            (Some(true), true, None),
            (Some(false), false, None),
            (
                Some(true),
                false,
                Some("a test event at an endpoint whose `livemode` is true"),
            ),
            (
                Some(false),
                true,
                Some("a live event at an endpoint whose `livemode` is false"),
            ),
        ] {
            let receiver = Receiver {
                account: None,
                livemode: mode,
            };
            let json =
                serde_json::json!({"id": "evt_1", "type": "invoice.paid", "livemode": livemode});
            let (_, ignored) = everything().judge(&event(&json), &receiver);
            assert_eq!(ignored.as_deref(), expected, "{mode:?} {livemode}");
        }
    }

    #[test]
    fn a_thin_event_is_worked_on_where_a_key_reaches_it() {
        let thin = |kind: &str, livemode: bool| {
            serde_json::json!({
                "id": "evt_1", "object": "v2.core.event", "type": kind, "livemode": livemode,
                "created": "2026-10-01T09:12:33.120Z",
            })
        };
        let meter = "v1.billing.meter.no_meter_found";
        let without = |mode: &str| {
            format!(
                "self: a thin event, which only names its object: set STRIPE_SECRET_KEY to a key of {mode} mode to have it fetched"
            )
        };
        let worked_on = || "self: worked on".to_owned();
        for (reach, livemode, expected) in [
            (Reach::Nothing, true, without("live")),
            (Reach::Nothing, false, without("test")),
            (Reach::Mode(true), true, worked_on()),
            (Reach::Mode(true), false, without("test")),
            (Reach::Either, false, worked_on()),
        ] {
            let admission = Admission {
                reach,
                ..everything()
            };
            assert_eq!(judged(&admission, &thin(meter, livemode), None), expected);
            assert_eq!(
                judged(&admission, &thin(PING, livemode), None),
                "self: a ping: Stripe reaches this endpoint, and nothing is to be done"
            );
        }
    }
}
