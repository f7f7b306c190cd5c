//! What a restricted key may be allowed: the names in Stripe's answers, and where the Dashboard has them.
//!
//! The first are Stripe's for good (docs.stripe.com/keys/permissions-reference); what the Dashboard calls a row is for
//! people to find it, and nothing hangs on it.

/// Permissions that what is asked here may need, without `rak_` and what may be done, and the Dashboard's rows.
const ROWS: [(&str, &str); 20] = [
    ("charge", "Charges and Refunds"),
    ("checkout_session", "Checkout Sessions"),
    ("connected_account", "Connected accounts"),
    ("coupon", "Coupons"),
    ("credit_note", "Credit notes"),
    ("customer", "Customers"),
    ("dispute", "Disputes"),
    ("entitlement", "Entitlements"),
    ("event", "Events"),
    ("invoice", "Invoices"),
    ("payment_intent", "Payment Intents"),
    ("payment_method", "Payment Methods"),
    ("payout", "Payouts"),
    ("plan", "Prices"),
    ("product", "Products"),
    ("refund", "Charges and Refunds"),
    ("review", "Reviews"),
    ("setup_intent", "Setup Intents"),
    ("subscription", "Subscriptions"),
    ("subscription_schedule", "Subscription schedules"),
];

/// How a permission is called where it is given: `Subscriptions: Read` for `rak_subscription_read`.
pub(super) fn in_dashboard(permission: &str) -> Option<String> {
    let (what, may) = permission.strip_prefix("rak_")?.rsplit_once('_')?;
    let (_, row) = ROWS.iter().find(|(known, _)| *known == what)?;
    let may = match may {
        "read" => "Read",
        "write" => "Write",
        _ => return None,
    };
    Some(format!("{row}: {may}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_is_named_as_the_dashboard_has_it_or_not_at_all() {
        for (permission, row) in [
            ("rak_charge_read", Some("Charges and Refunds: Read")),
            ("rak_plan_read", Some("Prices: Read")),
            ("rak_payment_intent_write", Some("Payment Intents: Write")),
            (
                "rak_subscription_schedule_read",
                Some("Subscription schedules: Read"),
            ),
            ("rak_tomorrow_read", None),
            ("rak_charge_dream", None),
            ("charge_read", None),
            ("rak_", None),
        ] {
            assert_eq!(in_dashboard(permission).as_deref(), row, "{permission}");
        }
    }
}
