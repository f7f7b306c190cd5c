//! What a run is decided on, worked out from current rows: the context of its prompts, the facts a mail may name, and
//! what its calls are bound to. Pure.

mod dispute;
mod notice;
pub mod trial;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

use billhook_tools::{Context, Currency, Exponents, Money};
use serde_json::{Value, json};

pub use self::dispute::Dispute;
use crate::agent::prompts::{FALLBACK_LANGUAGE, LINK_PLACEHOLDER, Prompts, primary_language};
use crate::config::HighValue;
use crate::guardrails::limits::untrusted::{is_id, is_language_tag};
use crate::guardrails::limits::values::{PersonalName, personal_name};
use crate::guardrails::occurrence::Occurrence;
use crate::guardrails::precondition::{Purpose, Standing};
use crate::guardrails::provenance::Fact;
use crate::guardrails::recipient::is_address;

/// What the configuration says that a run depends on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How mails name the business.
    pub business_name: String,
    /// The address mails give for questions.
    pub support_email: Option<String>,
    /// The locale where the customer's is unknown.
    pub locale: String,
    /// Where a card is updated when no hosted invoice is known.
    pub update_payment: Option<String>,
    /// Hosts that a link from an event may lead to.
    pub allowed_hosts: Vec<String>,
    /// Sales are told of amounts over this.
    pub high_value: HighValue,
    /// When a win-back is due.
    pub winback_delay: Duration,
    /// Stripe's exponents with the configuration's overrides.
    pub exponents: Exponents,
    /// Whether a model may read what a customer wrote about leaving.
    pub cancellation_comment: bool,
}

impl Settings {
    /// Whether an amount is over `sales.high_value` of its currency.
    ///
    /// A notice that money is worth is never dropped because of a code: one without a threshold of its own is measured by
    /// the default, and what cannot be a code at all is too, in the units it was counted in.
    pub fn is_high_value(&self, minor: i64, code: &str) -> bool {
        let threshold = i64::try_from(self.high_value.threshold(code)).unwrap_or(i64::MAX);
        match Currency::new(code) {
            Ok(currency) => Money::new(minor, currency).exceeds_major(threshold, &self.exponents),
            Err(_) => minor > threshold,
        }
    }
}

/// Which run it is.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The business fact.
    pub occurrence: &'a Occurrence,
    /// Current rows.
    pub standing: &'a Standing,
    /// Type of the leading event.
    pub event_type: &'a str,
    /// The account.
    pub account: &'a str,
    /// Stripe's livemode.
    pub livemode: bool,
    /// The playbook.
    pub playbook: &'a str,
    /// Its stage.
    pub stage: &'a str,
    /// Why it runs.
    pub purpose: Purpose,
}

/// Everything a run needs besides a model.
#[derive(Debug, Clone)]
pub struct Brief {
    /// For prompts, conditions and arguments: derived, and never text that a customer wrote.
    pub context: Value,
    /// What the customer wrote and the configuration lets through to a model, cleaned, by the name of its field.
    pub written: BTreeMap<&'static str, String>,
    /// What calls are bound to.
    pub bound: Context,
    /// The address of the customer.
    pub recipient: Option<String>,
    /// The name in the greeting: only for an address that has paid, and only if it is a plain name.
    pub greeting_name: Option<PersonalName>,
    /// The language to write in.
    pub language: String,
    /// The customer's locale.
    pub locale: String,
    /// Placeholders and their values, the link left out.
    pub values: BTreeMap<String, Fact>,
    /// The one link.
    pub link: Option<Fact>,
    /// The dispute, where it is about one.
    pub dispute: Option<Dispute>,
    /// What a notice to colleagues says of it, less whom it concerns: name and value.
    pub particulars: Vec<(&'static str, Fact)>,
    /// The customer may never have paid: the first failure mail waits.
    pub first_contact: bool,
}

impl Brief {
    /// Works it out.
    pub fn new(subject: Subject<'_>, settings: &Settings, prompts: &Prompts) -> Self {
        let Subject {
            occurrence,
            standing,
            ..
        } = subject;
        let customer = standing.customer.as_ref().map(|(_, row)| row);
        let invoice = standing.invoice.as_ref().map(|(_, row)| row);
        let intent = standing.payment_intent.as_ref().map(|(_, row)| row);
        let subscription = standing.subscription.as_ref().map(|(_, row)| row);
        let text = |row: Option<&crate::stripe::view::View>, field: &str| {
            row.and_then(|row| row.text(field)).map(str::to_owned)
        };
        let locale = text(customer, "preferred_locale")
            .filter(|tag| is_language_tag(tag))
            .unwrap_or_else(|| settings.locale.clone());
        let language = written_language(&locale, settings, subject.playbook, prompts);
        let counted = counted(&subject);
        let amount = counted.as_ref().and_then(|(minor, code)| {
            let currency = Currency::new(code).ok()?;
            Some(Money::new(*minor, currency))
        });
        let high_value = counted
            .as_ref()
            .is_some_and(|(minor, code)| settings.is_high_value(*minor, code));
        let dispute = Dispute::of(standing);
        let flow = notice::flow(subject.purpose);
        let shown = amount.map(|amount| Fact::amount(amount, flow, &locale, &settings.exponents));
        let particulars = notice::particulars(&subject, amount, dispute.as_ref(), settings);
        let link = link(&subject, settings);
        let plan = text(subscription, "plan").filter(|plan| is_id(plan));
        let next_attempt = invoice.and_then(|row| row.int("next_payment_attempt"));
        let mut values = BTreeMap::from([(
            "business_name".to_owned(),
            Fact::business(business(settings, &language)),
        )]);
        values.extend(shown.clone().map(|amount| ("amount".to_owned(), amount)));
        values.extend(
            text(invoice, "number")
                .and_then(|number| Fact::id(&number))
                .map(|number| ("invoice_number".to_owned(), number)),
        );
        values.extend(
            next_attempt.map(|at| ("next_attempt_date".to_owned(), Fact::day(at, &language))),
        );
        values.extend(
            trial::end(occurrence.trial_end, occurrence.created, subscription)
                .map(|at| ("trial_end_date".to_owned(), Fact::day(at, &language))),
        );
        let mut placeholders: Vec<&str> = values.keys().map(String::as_str).collect();
        placeholders.extend(link.as_ref().map(|_| LINK_PLACEHOLDER));
        let context = json!({
            "event_type": subject.event_type,
            "amount": shown.as_ref().map_or("", Fact::as_str),
            "currency": amount.map(|amount| amount.currency.as_str().to_owned()).unwrap_or_default(),
            "amount_major": amount.map_or(0.0, |amount| major(amount, &settings.exponents)),
            "high_value": high_value,
            "recipient": recipient(standing).is_some(),
            "has_paid": standing.has_paid,
            "attempt_count": invoice.and_then(|row| row.int("attempt_count")).unwrap_or(1),
            "next_payment_attempt": next_attempt.is_some(),
            "decline_category": decline_category(text(intent, "error_decline_code").or(text(intent, "error_code")).as_deref()),
            "dispute": dispute.as_ref().map_or("none", Dispute::state),
            "trial": trial::state(subject.purpose, standing),
            "locale": locale,
            "language": language,
            "plan": plan,
            "winback_days": (settings.winback_delay.as_secs() / 86_400).clamp(1, 90),
            "update_link": link.is_some(),
            "business_name": business(settings, &language),
            "placeholders": placeholders,
            "words": 0,
        });
        Self {
            bound: Context {
                account: subject.account.to_owned(),
                livemode: subject.livemode,
                occurrence: occurrence.id.clone(),
                playbook: subject.playbook.to_owned(),
                stage: subject.stage.to_owned(),
                purpose: subject.purpose.as_str().to_owned(),
                customer: occurrence.customer.clone().or_else(|| of_payment(standing)),
                order: standing.order.as_ref().map(|order| order.id.clone()),
                subscription: standing.subscription.as_ref().map(|(id, _)| id.clone()),
            },
            greeting_name: text(customer, "name")
                .filter(|_| standing.has_paid)
                .and_then(|name| personal_name(&name)),
            first_contact: subject.purpose.is_failure() && !standing.has_paid,
            recipient: recipient(standing),
            language,
            locale,
            values,
            link,
            dispute,
            particulars,
            written: written::of(&subject, settings),
            context,
        }
    }

    /// The placeholders on offer.
    pub fn placeholders(&self) -> Vec<String> {
        let link = self.link.iter().map(|_| LINK_PLACEHOLDER.to_owned());
        self.values.keys().cloned().chain(link).collect()
    }
}

/// The address to write to. What no mail server would take is none, and who must not be written to has none: sales are told
/// instead.
fn recipient(standing: &Standing) -> Option<String> {
    let (_, customer) = standing.customer.as_ref()?;
    let reachable = customer.flag("deleted") != Some(true) && !standing.suppressed;
    let address = customer.text("email").filter(|_| reachable)?;
    is_address(address).then(|| address.to_owned())
}

/// The amount that it is about, as it was counted: of a trial, what a period costs as the subscription stands now.
fn counted(subject: &Subject<'_>) -> Option<(i64, String)> {
    if subject.purpose != Purpose::TrialEnding {
        return subject.occurrence.amount.clone();
    }
    let (_, row) = subject.standing.subscription.as_ref()?;
    Some((row.int("period_amount")?, row.text("currency")?.to_owned()))
}

/// Where a card can be changed or a payment made up for: a failed invoice's own page, else the business's.
fn link(subject: &Subject<'_>, settings: &Settings) -> Option<Fact> {
    let fails = subject.purpose.is_failure();
    let invoice = subject.standing.invoice.as_ref().filter(|_| fails);
    invoice
        .and_then(|(_, row)| row.text("hosted_invoice_url"))
        .and_then(|url| Fact::page(url, &settings.allowed_hosts))
        .or_else(|| {
            let asks = fails || subject.purpose == Purpose::TrialEnding;
            settings
                .update_payment
                .clone()
                .filter(|_| asks)
                .map(Fact::business)
        })
}

/// The customer of the payment, for what names none itself: a dispute.
fn of_payment(standing: &Standing) -> Option<String> {
    [&standing.charge, &standing.payment_intent]
        .into_iter()
        .flatten()
        .find_map(|(_, row)| row.text("customer").map(str::to_owned))
}

/// The business as a mail names it; one without a name is "us" in the mail's language.
fn business(settings: &Settings, language: &str) -> String {
    match (settings.business_name.as_str(), language) {
        ("", "de") => "uns".to_owned(),
        ("", _) => "us".to_owned(),
        (name, _) => name.to_owned(),
    }
}

/// The language to write in: the customer's where the playbook's mail exists in it, else the business's, else English.
fn written_language(
    locale: &str,
    settings: &Settings,
    playbook: &str,
    prompts: &Prompts,
) -> String {
    let exists = |language: &String| {
        prompts
            .templates
            .contains_key(&(playbook.to_owned(), language.clone()))
    };
    [primary_language(locale), primary_language(&settings.locale)]
        .into_iter()
        .find(exists)
        .unwrap_or_else(|| FALLBACK_LANGUAGE.to_owned())
}

fn major(amount: Money, exponents: &Exponents) -> f64 {
    let exponent = exponents.of(amount.currency).unwrap_or(0);
    #[expect(
        clippy::cast_precision_loss,
        reason = "for the prompt's own conditions; thresholds are compared exactly"
    )]
    let minor = amount.amount as f64;
    minor / 10_f64.powi(i32::try_from(exponent).unwrap_or(0))
}

/// What may be said of a decline. Lost, stolen and fraudulent must read as a plain one
/// (docs.stripe.com/declines/codes), and so does every code that is not listed.
fn decline_category(code: Option<&str>) -> &'static str {
    match code {
        Some("expired_card") => "expired_card",
        Some("insufficient_funds") => "insufficient_funds",
        Some("authentication_required" | "payment_intent_authentication_failure") => {
            "authentication_required"
        }
        Some(
            "processing_error" | "try_again_later" | "issuer_not_available" | "reenter_transaction",
        ) => "other",
        _ => "generic",
    }
}

#[cfg(test)]
mod tests {
    use super::decline_category;

    #[test]
    fn hard_declines_read_as_plain_ones() {
        for code in [
            "fraudulent",
            "lost_card",
            "stolen_card",
            "do_not_honor",
            "something_new",
        ] {
            assert_eq!(decline_category(Some(code)), "generic", "{code}");
        }
        assert_eq!(decline_category(Some("expired_card")), "expired_card");
    }
}
