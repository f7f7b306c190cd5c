//! What tools propose, and the key under which each proposal takes effect at most once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Context;

/// How soon the reader should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Worth knowing.
    Normal,
    /// Worth a look today.
    High,
}

/// What is put to a customer who left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Campaign {
    /// A plain word that they are welcome back.
    ComeBack,
    /// A question about what was missing.
    AskWhy,
}

/// What may be done to an order: nothing that Stripe decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderChange {
    /// Keep the order from being fulfilled for now; the hold ends by itself.
    Hold,
    /// End a hold that a model placed for an earlier occurrence.
    Release,
}

/// Why an order is held or released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderNote {
    /// The payment behaves unlike the customer's earlier ones.
    UnusualPayment,
    /// Several tries failed before this one.
    RepeatedFailures,
    /// A person should look before goods leave.
    NeedsReview,
    /// What the hold was for is settled.
    Resolved,
}

/// Something a tool wants done. It becomes an effect when the run finishes, unless its key already took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Proposal {
    /// Hold an order, or release a hold.
    UpdateOrder {
        /// The order's id.
        order: String,
        /// What to do.
        change: OrderChange,
        /// Why.
        note: OrderNote,
    },
    /// A mail to the occurrence's customer.
    SendEmail {
        /// The customer's id; the address is looked up when the message is rendered.
        customer: String,
        /// Why the mail is sent; stop conditions hang on it.
        purpose: String,
        /// Subject, as prose with placeholders.
        subject: String,
        /// Body, as prose with placeholders.
        body: String,
    },
    /// A word to sales.
    NotifySales {
        /// How soon to look.
        priority: Priority,
        /// One or two sentences.
        summary: String,
    },
    /// A word to finance.
    NotifyFinance {
        /// How soon to look.
        priority: Priority,
        /// One or two sentences.
        summary: String,
    },
    /// A win-back mail in some days.
    ScheduleWinback {
        /// The subscription that ended.
        subscription: String,
        /// In how many days, 1 to 90.
        delay_days: u32,
        /// What is put to the customer.
        campaign: Campaign,
    },
}

impl Proposal {
    /// The tool that makes such a proposal.
    pub fn tool(&self) -> &'static str {
        match self {
            Self::UpdateOrder { .. } => "update_order",
            Self::SendEmail { .. } => "send_email",
            Self::NotifySales { .. } => "notify_sales",
            Self::NotifyFinance { .. } => "notify_finance",
            Self::ScheduleWinback { .. } => "schedule_winback",
        }
    }

    /// The key of the effect: made of what the event, the playbook and the database fix, never of what a model chose.
    ///
    /// Two proposals with one key have one effect, whatever their arguments; the first stands.
    pub fn effect_key(&self, context: &Context) -> String {
        let subject = match self {
            Self::UpdateOrder { order, .. } => order.clone(),
            Self::SendEmail { customer, .. } => format!("{customer}\n{}", context.stage),
            Self::NotifySales { .. } => "sales".to_owned(),
            Self::NotifyFinance { .. } => "finance".to_owned(),
            Self::ScheduleWinback { subscription, .. } => subscription.clone(),
        };
        let mut hash = Sha256::new();
        for part in [
            self.tool(),
            &context.account,
            mode(context.livemode),
            &context.occurrence,
            &subject,
        ] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }
}

fn mode(livemode: bool) -> &'static str {
    if livemode { "live" } else { "test" }
}
