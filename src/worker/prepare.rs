//! What a run's proposals write, rendered before the finishing transaction: messages, schedules, holds.
//!
//! It must never write anything itself, nor let a model's words past the second filter.

use std::time::Duration;

use billhook_tools::{OrderChange, Priority, Proposal};
use serde_json::json;

use super::decide::{Deciding, Undecided};
use crate::agent::brief::{Brief, Dispute};
use crate::clock::Timestamp;
use crate::guardrails::limits::prose::Refusal;
use crate::guardrails::limits::rendered::check_rendered;
use crate::guardrails::precondition::Purpose;
use crate::outbox::{
    MailFacts, Notice, Prose, RenderError, RenderedMail, message_id, render_mail, render_notice,
};
use crate::store::{Action, Channel, NewMessage};
use crate::stripe::event::OWN_ACCOUNT;

/// How long a hold lasts that a model places.
const HOLD: Duration = Duration::from_hours(72);

/// Why a mail cannot leave as it was written.
#[derive(Debug, thiserror::Error)]
enum Unsendable {
    /// It has no form.
    #[error("the mail cannot be rendered")]
    Render(#[from] RenderError),
    /// Rendered, it holds what no mail may hold.
    #[error("the rendered mail is refused")]
    Refused(#[from] Refusal),
}

impl From<Unsendable> for Undecided {
    fn from(error: Unsendable) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl Deciding {
    pub(super) fn prepare(
        &self,
        key: &str,
        proposal: &Proposal,
        brief: &Brief,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Action, Undecided> {
        let message_id = message_id(key, &self.from).ok_or_else(|| {
            Undecided::Failed("`EMAIL_FROM` is no address; Message-IDs need its domain".into())
        })?;
        Ok(match proposal {
            Proposal::SendEmail { subject, body, .. } => {
                let prose = Prose {
                    subject: subject.clone(),
                    body: body.clone(),
                };
                Action::Send(Box::new(self.mail(&prose, brief, purpose, message_id)?))
            }
            Proposal::NotifySales { priority, summary } => {
                let to = (Channel::Sales, *priority);
                Action::Send(Box::new(
                    self.notice(to, summary, brief, purpose, message_id),
                ))
            }
            Proposal::NotifyFinance { priority, summary } => {
                let to = (Channel::Finance, *priority);
                Action::Send(Box::new(
                    self.notice(to, summary, brief, purpose, message_id),
                ))
            }
            Proposal::ScheduleWinback {
                subscription,
                delay_days,
                campaign,
            } => Action::Schedule {
                playbook: "winback_due".to_owned(),
                due_at: now.plus(Duration::from_secs(u64::from(*delay_days) * 86_400)),
                subscription: subscription.clone(),
                data: json!({ "campaign": campaign }),
            },
            Proposal::UpdateOrder {
                order,
                change: OrderChange::Hold,
                note,
            } => Action::Hold {
                order: order.clone(),
                reason: serde_json::to_value(note)
                    .ok()
                    .and_then(|v| v.as_str().map(str::to_owned))
                    .unwrap_or_default(),
                ends_at: now.plus(HOLD),
            },
            Proposal::UpdateOrder {
                order,
                change: OrderChange::Release,
                ..
            } => Action::Release {
                order: order.clone(),
            },
        })
    }

    /// Whether a model's mail comes out as one that may be sent. Found at the end of the run it would be too late:
    /// the model could not mend it, and the rules would not write instead.
    pub(super) fn rehearse(&self, proposal: &Proposal, brief: &Brief) -> Result<(), Refusal> {
        let Proposal::SendEmail { subject, body, .. } = proposal else {
            return Ok(());
        };
        let prose = Prose {
            subject: subject.clone(),
            body: body.clone(),
        };
        match self.render(&prose, brief) {
            // A broken frame or link is not the model's to mend.
            Ok(_) | Err(Unsendable::Render(RenderError::Frame { .. } | RenderError::Link)) => {
                Ok(())
            }
            Err(Unsendable::Refused(refusal)) => Err(refusal),
            Err(Unsendable::Render(error)) => Err(Refusal {
                rule: "not_rendered",
                reason: error.to_string(),
            }),
        }
    }

    fn render(&self, prose: &Prose, brief: &Brief) -> Result<RenderedMail, Unsendable> {
        let facts = MailFacts {
            greeting_name: brief.greeting_name.clone(),
            language: brief.language.clone(),
            locale: brief.locale.clone(),
            business_name: self.settings.business_name.clone(),
            support_email: self.settings.support_email.clone(),
            values: brief.values.clone(),
            update_payment_link: brief.link.clone(),
        };
        let rendered = render_mail(prose, &facts, &self.prompts)?;
        // The second filter: with every fact taken out, nothing that looks like a link, an address or a number may be
        // left in what the customer will read.
        let mut known: Vec<&str> = facts.values.values().map(String::as_str).collect();
        known.extend(
            [
                &facts.greeting_name,
                &facts.support_email,
                &facts.update_payment_link,
            ]
            .into_iter()
            .flatten()
            .map(String::as_str),
        );
        known.push(&facts.business_name);
        check_rendered(&rendered.text, &known, &brief.language)?;
        Ok(rendered)
    }

    fn mail(
        &self,
        prose: &Prose,
        brief: &Brief,
        purpose: Purpose,
        message_id: String,
    ) -> Result<NewMessage, Undecided> {
        let rendered = self.render(prose, brief)?;
        Ok(NewMessage {
            channel: Channel::Email,
            purpose,
            recipient: brief.recipient.clone(),
            message_id,
            subject: rendered.subject,
            text: rendered.text,
            html: Some(rendered.html),
            notice: None,
            first_contact: brief.first_contact,
            reason: None,
        })
    }

    fn notice(
        &self,
        (channel, priority): (Channel, Priority),
        summary: &str,
        brief: &Brief,
        purpose: Purpose,
        message_id: String,
    ) -> NewMessage {
        let mut fields = Vec::new();
        let mut field = |name: &str, value: Option<String>| {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        };
        for (name, value) in &brief.particulars {
            field(name, Some(value.clone()));
        }
        field("Customer", brief.bound.customer.clone());
        let order = brief.bound.order.clone();
        field("Order", order.filter(|order| is_plain(order)));
        field("Subscription", brief.bound.subscription.clone());
        let connected = (brief.bound.account != OWN_ACCOUNT).then(|| brief.bound.account.clone());
        field("Account", connected);
        field("Mode", (!brief.bound.livemode).then(|| "test".to_owned()));
        let notice = Notice {
            title: brief
                .dispute
                .as_ref()
                .map_or(title(purpose), Dispute::title)
                .to_owned(),
            priority,
            summary: summary.to_owned(),
            fields,
        };
        let rendered = render_notice(&notice);
        NewMessage {
            channel,
            purpose,
            recipient: None,
            message_id,
            subject: rendered.subject,
            text: rendered.text,
            html: None,
            notice: Some(rendered.chat),
            first_contact: false,
            reason: self.no_way.get(&channel).cloned(),
        }
    }
}

/// Whether an order's reference is nothing more. Whoever opens a payment link may choose it, and could else write to the
/// business's own people.
fn is_plain(reference: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '#');
    reference.len() <= 40 && reference.chars().all(plain)
}

fn title(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::PaymentSucceeded => "Large payment",
        Purpose::PaymentFailed => "Payment failed",
        Purpose::InvoicePaymentFailed => "Invoice payment failed",
        Purpose::SubscriptionPastDue => "Subscription past due",
        Purpose::SubscriptionEnded => "Subscription ended",
        Purpose::WinbackDue => "Win-back due",
        Purpose::DisputeOpened => "Payment disputed",
        Purpose::TrialEnding => "Trial ending",
        Purpose::PayoutFailed => "Payout failed",
        Purpose::InvoiceFinalizationFailed => "Invoice not finalized",
        Purpose::InvoiceOverpaid => "Invoice overpaid",
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn a_reference_is_shown_where_it_is_nothing_more() {
        for reference in ["1001", "#A-17_b", "pi_3Nabc"] {
            assert!(is_plain(reference), "{reference}");
        }
        for message in [
            "call me now",
            "evil.example",
            "https://evil.example",
            "<!channel>",
            "=cmd()",
            "@all",
            "x\ny",
        ] {
            assert!(!is_plain(message), "{message}");
        }
        assert!(!is_plain(&"1".repeat(41)));
    }
}
