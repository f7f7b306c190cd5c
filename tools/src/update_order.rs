//! `update_order`: hold an order, or end a hold that a model placed. It can never say what was paid or refunded.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proposal::OrderNote;
use crate::{
    Context, Contract, Effect, Facts, OrderChange, Outcome, Proposal, Tool, ToolError, arguments,
};

const NAME: &str = "update_order";

const DESCRIPTION: &str = "Hold the order of this event so that it is not fulfilled for now, or release an earlier \
    hold. Use `hold` only when something about the payment gives a person a reason to look before goods leave. A hold \
    ends by itself after 72 hours. One change per order and occurrence: a hold placed now cannot be released in this \
    run, only in a later occurrence, and only holds that a model placed can be released. The order is fixed by the \
    event. This tool cannot change whether an order is paid, refunded, disputed or canceled: that follows from Stripe.";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// What to do.
    change: OrderChange,
    /// Why, as a code.
    note: OrderNote,
}

/// Holds the context's order, or releases a hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateOrder;

impl UpdateOrder {
    fn propose(arguments: &Value, context: &Context) -> Result<Outcome, ToolError> {
        let Some(order) = &context.order else {
            return Err(ToolError::TellModel(
                "no_order: this event belongs to no order, so nothing can be held or released; go on without it"
                    .to_owned(),
            ));
        };
        let Arguments { change, note } = arguments::read(NAME, arguments)?;
        if change == OrderChange::Hold && note == OrderNote::Resolved {
            return Err(arguments::mend(
                NAME,
                "`resolved` is no reason to hold, give the reason for the hold",
            ));
        }
        Ok(Outcome {
            result: json!({ "status": "proposed", "change": change, "note": note }),
            proposal: Some(Proposal::UpdateOrder {
                order: order.clone(),
                change,
                note,
            }),
        })
    }
}

impl Tool for UpdateOrder {
    fn name(&self) -> &'static str {
        NAME
    }

    fn effect(&self) -> Effect {
        Effect::Database
    }

    fn contract(&self) -> Contract {
        arguments::contract::<Arguments>(NAME, DESCRIPTION)
    }

    fn call<'a>(
        &'a self,
        arguments: &'a Value,
        context: &'a Context,
        _facts: &'a dyn Facts,
    ) -> BoxFuture<'a, Result<Outcome, ToolError>> {
        Box::pin(async move { Self::propose(arguments, context) })
    }
}
