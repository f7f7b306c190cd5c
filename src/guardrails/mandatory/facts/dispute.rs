//! What events say of a dispute: that a bank asks, and that the payment is contested.
//!
//! These are two facts, because finance has to act on each: an inquiry moves no money, and a dispute takes it and sets
//! another deadline (docs.stripe.com/disputes/how-disputes-work). Every event of a dispute tells the one that its status
//! stands for, so finance hears once of each, whichever event comes first and whichever never comes.

use super::{Fact, FactKind, Lead, base};
use crate::stripe::event::Event;
use crate::stripe::view::{Family, View};

/// `charge.dispute.created`, `.updated`, `.funds_withdrawn`, `.closed`: each leads, and all but the first join. One that
/// is over in the business's favour asks for nothing, which the stop conditions find.
pub fn dispute_told(event: &Event, fields: &View) -> Vec<Fact> {
    tell(event, fields, true)
}

/// `charge.dispute.funds_reinstated`: good news, and never the first of a dispute that needs an answer.
pub fn dispute_attached(event: &Event, fields: &View) -> Vec<Fact> {
    tell(event, fields, false)
}

fn tell(event: &Event, fields: &View, leads: bool) -> Vec<Fact> {
    let Some(base) = base(event, fields, Family::Dispute) else {
        return Vec::new();
    };
    let (word, lead) = if is_inquiry(fields) {
        ("inquiry", Lead::InquiryOpened)
    } else {
        ("opened", Lead::DisputeOpened)
    };
    let mut fact = base.fact(
        format!("dispute:{}:{word}", base.id),
        FactKind::Dispute,
        leads.then_some(lead),
    );
    // A dispute names its customer only inside an expanded charge.
    fact.customer = fields.text("customer").map(str::to_owned);
    vec![fact]
}

/// Whether a bank only asks: every status of an inquiry begins so.
pub fn is_inquiry(dispute: &View) -> bool {
    dispute
        .text("status")
        .is_some_and(|status| status.starts_with("warning_"))
}
