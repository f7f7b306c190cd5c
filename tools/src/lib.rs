//! The tools a language model may call, and nothing that could touch the world.
//!
//! This crate owns the arguments, the contracts that a model sees, and what a call comes to: an answer read through
//! [`Facts`], or a [`Proposal`] that somebody else checks and carries out. It must never gain a dependency that does
//! I/O: code that a model can reach cannot reach the network, the database or the mailer, and the manifest proves it.
//!
//! A new tool is one file here (copy the smallest, `notify_sales.rs`), one line in [`all`], and
//! `billhook tools export`, which writes its contract to `tools/NAME.json`.

mod arguments;
pub mod facts;
pub mod get_payment_history;
pub mod money;
mod notice;
pub mod notify_finance;
pub mod notify_sales;
pub mod proposal;
pub mod schedule_winback;
pub mod schema;
pub mod send_email;
pub mod tool;
pub mod update_order;

pub use facts::{Facts, FactsError, Payment};
pub use money::{Currency, Exponents, Flow, Money, MoneyError};
pub use proposal::{Campaign, OrderChange, OrderNote, Priority, Proposal};
pub use schema::{SchemaError, strict};
pub use tool::{Context, Contract, Effect, Outcome, Tool, ToolError};

/// Every tool there is. A new one is one line here.
pub fn all() -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(update_order::UpdateOrder),
        Box::new(get_payment_history::GetPaymentHistory),
        Box::new(send_email::SendEmail),
        Box::new(notify_sales::NotifySales),
        Box::new(notify_finance::NotifyFinance),
        Box::new(schedule_winback::ScheduleWinback),
    ]
}

/// The tool of that name, if there is one.
pub fn find(name: &str) -> Option<Box<dyn Tool>> {
    all().into_iter().find(|tool| tool.name() == name)
}

/// The text of a tool's committed contract, `tools/NAME.json`.
pub fn contract_file(tool: &dyn Tool) -> String {
    let Contract {
        name,
        description,
        parameters,
        strict,
    } = tool.contract();
    let contract = serde_json::json!({
        "name": name,
        "description": description,
        "parameters": parameters,
        "strict": strict,
    });
    format!("{contract:#}\n")
}

#[cfg(test)]
mod tests;
