//! `send_email`: the words of a mail to the occurrence's customer. It can never name a recipient, amount or link.

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Context, Contract, Effect, Facts, Outcome, Proposal, Tool, ToolError, arguments};

const NAME: &str = "send_email";

const DESCRIPTION: &str = "Propose one mail to this event's customer. You choose only the words: the recipient and \
    the purpose are fixed, and one mail is sent per customer and occurrence, so a second call changes nothing. Write \
    plain text in the customer's language. Every amount, date, name and link is a placeholder in double braces such as \
    `{{amount}}`; use only the placeholders you were given, they are filled in later. Not allowed: digits, web or mail \
    addresses, phone numbers, amounts or percentages in words, HTML, and any promise of a refund, credit or discount, \
    any threat of legal steps, any request for card data or passwords. A mail that breaks a rule is refused with the \
    rule's name.";

const LONGEST_SUBJECT: usize = 120;
const LONGEST_BODY: usize = 4000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The subject, on a single line.
    #[schemars(length(min = 1, max = 120))]
    subject: String,
    /// The whole text of the mail as plain text, blank lines between paragraphs.
    #[schemars(length(min = 1, max = 4000))]
    body: String,
}

/// Proposes a mail to the context's customer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendEmail;

impl SendEmail {
    fn propose(arguments: &Value, context: &Context) -> Result<Outcome, ToolError> {
        let Some(customer) = &context.customer else {
            return Err(ToolError::TellModel(
                "no_recipient: this event belongs to no customer, so nobody can be written to; tell sales instead \
                 with notify_sales if that tool is offered"
                    .to_owned(),
            ));
        };
        let Arguments { subject, body } = arguments::read(NAME, arguments)?;
        arguments::check_text(NAME, "subject", &subject, LONGEST_SUBJECT)?;
        arguments::check_single_line(NAME, "subject", &subject)?;
        arguments::check_text(NAME, "body", &body, LONGEST_BODY)?;
        Ok(Outcome {
            result: json!({ "status": "proposed" }),
            proposal: Some(Proposal::SendEmail {
                customer: customer.clone(),
                purpose: context.purpose.clone(),
                subject,
                body,
            }),
        })
    }
}

impl Tool for SendEmail {
    fn name(&self) -> &'static str {
        NAME
    }

    fn effect(&self) -> Effect {
        Effect::Outbox
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
