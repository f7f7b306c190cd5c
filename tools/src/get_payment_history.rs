//! `get_payment_history`: what the occurrence's customer paid lately. It can never be asked about anyone else.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Context, Contract, Effect, Facts, Outcome, Tool, ToolError, arguments};

const NAME: &str = "get_payment_history";

const DESCRIPTION: &str = "Read the latest payments of this event's customer, newest first. Use it when the tone or \
    the urgency of a message depends on whether the customer usually pays, or how often this payment failed. Each \
    payment has an id, a status, an amount in minor units with its currency, the time it was created (seconds since \
    1970) and, after a failed try, the decline code. The customer is fixed by the event. Nothing is changed. The \
    figures are for you to judge by; never write them into a message.";

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
            result: json!({ "payments": payments }),
            proposal: None,
        })
    }
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
