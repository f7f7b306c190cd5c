//! The only way for a tool to learn something: a read-only port, implemented over the store by the root package.

use futures::future::BoxFuture;
use serde::Serialize;

use crate::Money;

/// One payment of a customer, as much of it as a tool may see: no name, address or card digits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Payment {
    /// The payment intent's id.
    pub id: String,
    /// Stripe's status of the payment intent.
    pub status: String,
    /// What it is about, in minor units of its currency.
    pub amount: Money,
    /// When it was created: seconds since 1970, as Stripe writes it.
    pub created: i64,
    /// Stripe's decline code of the last error, when the last try failed.
    pub decline_code: Option<String>,
}

/// The facts could not be read; the reason is for the log, not for a model.
#[derive(Debug, thiserror::Error)]
#[error("reading {what} failed")]
pub struct FactsError {
    /// What was to be read.
    pub what: &'static str,
    /// Why that failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What tools may read. The customer is fixed by the run's context, so a foreign one cannot be asked for.
pub trait Facts: Send + Sync {
    /// The customer's latest payments, newest first.
    fn payment_history<'a>(
        &'a self,
        account: &'a str,
        livemode: bool,
        customer: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Payment>, FactsError>>;
}
