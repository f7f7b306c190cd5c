//! `get_payment_history`: what the occurrence's customer paid lately. It can never be asked about anyone else.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Context, Contract, Currency, Effect, Facts, Money, MoneyError, Outcome, Payment, Tool,
    ToolError, arguments,
};

const NAME: &str = "get_payment_history";

const DESCRIPTION: &str = "Read the latest payments of this event's customer, newest first. Use it when the tone or \
    the urgency of a message depends on whether the customer usually pays, or how often this payment failed. Each \
    payment has an id, a status, an amount in minor units with its currency, the time it was created (seconds since \
    1970) and, after a failed try, the decline code. `paid` sums up those that succeeded, one amount for each currency. \
    The customer is fixed by the event. Nothing is changed. The figures are for you to judge by; never write them into \
    a message.";

const MOST: u32 = 50;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// How many payments to read.
    #[schemars(range(min = 1, max = 50))]
    limit: u32,
}

/// Reads the latest payments of the context's customer.
#[derive(Debug, Clone, Copy, Default)]
pub struct GetPaymentHistory;

impl GetPaymentHistory {
    async fn read(
        arguments: &Value,
        context: &Context,
        facts: &dyn Facts,
    ) -> Result<Outcome, ToolError> {
        let Some(customer) = &context.customer else {
            return Err(ToolError::TellModel(
                "no_customer: this event belongs to no customer, so there is no history; go on without it".to_owned(),
            ));
        };
        let Arguments { limit } = arguments::read(NAME, arguments)?;
        if !(1..=MOST).contains(&limit) {
            return Err(arguments::mend(
                NAME,
                &format!("`limit` is {limit}, write a number from 1 to {MOST}"),
            ));
        }
        let mut payments = facts
            .payment_history(&context.account, context.livemode, customer, limit)
            .await?;
        // The bound holds even for a store that does not keep to it: what is too much is paid for in tokens.
        payments.truncate(usize::try_from(limit).unwrap_or_default());
        Ok(Outcome {
            result: json!({ "paid": paid(&payments), "payments": payments }),
            proposal: None,
        })
    }
}

/// What succeeded, by currency: a model that added them up itself would mix them. A sum that is too large to count is
/// left out.
fn paid(payments: &[Payment]) -> Vec<Money> {
    let mut sums: BTreeMap<Currency, Result<Money, MoneyError>> = BTreeMap::new();
    for payment in payments.iter().filter(|p| p.status == "succeeded") {
        let currency = payment.amount.currency;
        let sum = sums
            .remove(&currency)
            .unwrap_or(Ok(Money::new(0, currency)));
        sums.insert(currency, sum.and_then(|sum| sum.plus(payment.amount)));
    }
    sums.into_values().filter_map(Result::ok).collect()
}

impl Tool for GetPaymentHistory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn contract(&self) -> Contract {
        arguments::contract::<Arguments>(NAME, DESCRIPTION)
    }

    fn call<'a>(
        &'a self,
        arguments: &'a Value,
        context: &'a Context,
        facts: &'a dyn Facts,
    ) -> BoxFuture<'a, Result<Outcome, ToolError>> {
        Box::pin(Self::read(arguments, context, facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_paid_is_summed_up_by_currency() {
        let payment = |status: &str, amount, code| Payment {
            id: "pi_1".to_owned(),
            status: status.to_owned(),
            amount: Money::new(amount, Currency::new(code).unwrap()),
            created: 0,
            decline_code: None,
        };
        let sums = paid(&[
            payment("succeeded", 500, "jpy"),
            payment("succeeded", 1099, "eur"),
            payment("requires_payment_method", 9999, "eur"),
            payment("succeeded", 1, "eur"),
            payment("succeeded", i64::MAX, "usd"),
            payment("succeeded", 1, "usd"),
        ]);
        assert_eq!(
            serde_json::to_value(sums).unwrap(),
            json!([{"amount": 1100, "currency": "eur"}, {"amount": 500, "currency": "jpy"}])
        );
    }
}
