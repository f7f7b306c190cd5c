//! Where Stripe's API has an object, and the lists inside of it that an event may cut short
//! (docs.stripe.com/api, docs.stripe.com/api/pagination).
//!
//! Knows paths, and asks nobody. Ids come from events: what could lead elsewhere has no path.

use crate::stripe::view::Family;

/// A list inside of an object, of which an event shows the first items only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    /// The key under which the object has it.
    pub name: &'static str,
    /// The field of the view that says whether it was cut short.
    pub mark: &'static str,
    /// Where all of it is listed: below the object itself where the path has a `*`, which stands for its id.
    path: &'static str,
    /// The parameter that names the object, where the path does not.
    pub filter: Option<&'static str>,
    /// What its items are, where they have rows of their own.
    pub members: Option<Family>,
}

impl List {
    /// Where it is listed for the object `id`; none where that is no id.
    pub fn path(&self, id: &str) -> Option<String> {
        is_segment(id).then(|| self.path.replace('*', id))
    }
}

const fn list(name: &'static str, mark: &'static str, path: &'static str) -> List {
    List {
        name,
        mark,
        path,
        filter: None,
        members: None,
    }
}

/// The lists of a family that may be cut short.
pub fn lists(family: Family) -> &'static [List] {
    match family {
        Family::Subscription => {
            const LISTS: [List; 1] = [List {
                filter: Some("subscription"),
                ..list("items", "items_incomplete", "/v1/subscription_items")
            }];
            &LISTS
        }
        Family::Invoice => {
            const LISTS: [List; 2] = [
                list("lines", "lines_incomplete", "/v1/invoices/*/lines"),
                List {
                    filter: Some("invoice"),
                    members: Some(Family::InvoicePayment),
                    ..list("payments", "payments_incomplete", "/v1/invoice_payments")
                },
            ];
            &LISTS
        }
        Family::Charge => {
            const LISTS: [List; 1] = [List {
                filter: Some("charge"),
                members: Some(Family::Refund),
                ..list("refunds", "refunds_incomplete", "/v1/refunds")
            }];
            &LISTS
        }
        Family::Entitlements => {
            const LISTS: [List; 1] = [List {
                filter: Some("customer"),
                ..list(
                    "entitlements",
                    "features_incomplete",
                    "/v1/entitlements/active_entitlements",
                )
            }];
            &LISTS
        }
        _ => &[],
    }
}

/// The path of one object; none where Stripe's API has none, or where `id` is none.
pub fn path(family: Family, id: &str) -> Option<String> {
    let folder = match family {
        Family::Customer => "customers",
        Family::Subscription => "subscriptions",
        Family::SubscriptionSchedule => "subscription_schedules",
        Family::Invoice => "invoices",
        Family::InvoicePayment => "invoice_payments",
        Family::CreditNote => "credit_notes",
        Family::PaymentIntent => "payment_intents",
        Family::Charge => "charges",
        Family::Refund => "refunds",
        Family::Dispute => "disputes",
        Family::EarlyFraudWarning => "radar/early_fraud_warnings",
        Family::Review => "reviews",
        Family::CheckoutSession => "checkout/sessions",
        Family::PaymentMethod => "payment_methods",
        Family::SetupIntent => "setup_intents",
        Family::Mandate => "mandates",
        Family::Payout => "payouts",
        Family::Account => "accounts",
        Family::Product => "products",
        Family::Price => "prices",
        Family::Coupon => "coupons",
        // Shown by what they belong to, and nowhere else.
        Family::Entitlements | Family::Discount | Family::Capability => return None,
    };
    is_segment(id).then(|| format!("/v1/{folder}/{id}"))
}

/// Whether a text can stand between two slashes of a path and nothing else can be meant by it.
fn is_segment(id: &str) -> bool {
    !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stripe::view::view;

    #[test]
    fn an_id_leads_to_its_object_and_nowhere_else() {
        assert_eq!(
            path(Family::Subscription, "sub_1").as_deref(),
            Some("/v1/subscriptions/sub_1")
        );
        assert_eq!(path(Family::Discount, "di_1"), None);
        for id in ["", "..", "a/b", "a?b", "a#b", "a%2fb", "a b", "é", "a\\b"] {
            assert_eq!(path(Family::Charge, id), None, "{id}");
            assert_eq!(lists(Family::Invoice)[0].path(id), None, "{id}");
        }
        assert_eq!(
            lists(Family::Invoice)[0].path("in_1").as_deref(),
            Some("/v1/invoices/in_1/lines")
        );
    }

    /// A mark that no view has would have a list asked for for ever, or never.
    #[test]
    fn every_list_is_marked_by_the_view_of_its_family() {
        let mut count = 0;
        for family in Family::ALL {
            for list in lists(family) {
                let cut = json!({ list.name: { "data": [], "has_more": true } });
                assert_eq!(view(family, &cut).flag(list.mark), Some(true), "{list:?}");
                count += 1;
            }
        }
        assert_eq!(count, 5);
    }
}
