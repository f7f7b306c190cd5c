//! What tools may read, over the store: the [`billhook_tools::Facts`] port.

use std::sync::Arc;

use billhook_tools::{Currency, Facts, FactsError, Money, Payment};
use futures::future::BoxFuture;
use serde_json::Value;

use crate::guardrails::limits::untrusted::is_id;
use crate::store::{ObjectRow, Store};
use crate::stripe::text::is_a_code;

/// Facts read from the store.
pub struct StoreFacts {
    store: Arc<dyn Store>,
}

impl StoreFacts {
    /// Facts of this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

impl Facts for StoreFacts {
    fn payment_history<'a>(
        &'a self,
        account: &'a str,
        livemode: bool,
        customer: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Payment>, FactsError>> {
        Box::pin(async move {
            let rows = self
                .store
                .payment_history(account, livemode, customer, limit)
                .await
                .map_err(|error| FactsError {
                    what: "the payment history",
                    source: Box::new(error),
                })?;
            Ok(rows.iter().filter_map(payment).collect())
        })
    }
}

/// A payment intent as a tool may see it; one without an amount tells nothing and is left out.
fn payment(row: &ObjectRow) -> Option<Payment> {
    let text = |field: &str| row.data.get(field).and_then(Value::as_str);
    let amount = row.data.get("amount").and_then(Value::as_i64)?;
    let currency = Currency::new(text("currency")?).ok()?;
    // A model reads this: what is no word of Stripe's is no status, and an id is nothing but an id.
    let code = |field: &str| {
        text(field)
            .filter(|code| is_a_code(code))
            .map(str::to_owned)
    };
    Some(Payment {
        id: Some(row.id.clone()).filter(|id| is_id(id))?,
        status: code("status").unwrap_or_else(|| "unknown".to_owned()),
        amount: Money::new(amount, currency),
        created: row.data.get("created").and_then(Value::as_i64).unwrap_or(0),
        decline_code: code("error_decline_code"),
    })
}
