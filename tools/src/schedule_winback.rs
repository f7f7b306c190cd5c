//! `schedule_winback`: a mail in some days to a customer who left. It can never make an offer of its own.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Campaign, Context, Contract, Effect, Facts, Outcome, Proposal, Tool, ToolError, arguments,
};

const NAME: &str = "schedule_winback";

const DESCRIPTION: &str = "Schedule one win-back mail for the subscription that ended, some days from now. Use it \
    when the customer may want to return; leave it when they were not satisfied with something that has not changed. \
    One per ended subscription, so a second call changes nothing. The customer, the subscription and any offer are \
    fixed: this tool cannot promise a discount. The mail is dropped if the customer comes back before it is due.";

const LONGEST_DELAY: u32 = 90;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// In how many days.
    #[schemars(range(min = 1, max = 90))]
    delay_days: u32,
    /// What the mail puts to the customer.
    campaign: Campaign,
}

/// Proposes a win-back for the context's subscription.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScheduleWinback;

impl ScheduleWinback {
    fn propose(arguments: &Value, context: &Context) -> Result<Outcome, ToolError> {
        let Some(subscription) = &context.subscription else {
            return Err(ToolError::TellModel(
                "no_subscription: this event belongs to no subscription, so nobody can be won back; go on without it"
                    .to_owned(),
            ));
        };
        let Arguments {
            delay_days,
            campaign,
        } = arguments::read(NAME, arguments)?;
        if !(1..=LONGEST_DELAY).contains(&delay_days) {
            let problem =
                format!("`delay_days` is {delay_days}, write a number from 1 to {LONGEST_DELAY}");
            return Err(arguments::mend(NAME, &problem));
        }
        Ok(Outcome {
            result: json!({ "status": "proposed", "delay_days": delay_days, "campaign": campaign }),
            proposal: Some(Proposal::ScheduleWinback {
                subscription: subscription.clone(),
                delay_days,
                campaign,
            }),
        })
    }
}

impl Tool for ScheduleWinback {
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
