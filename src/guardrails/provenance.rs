//! Where a value in a message comes from. A message is made of facts, of prose, and in a greeting of a name, and each is a
//! type of its own: what a model wrote is prose and passes the filters of prose, what a customer chose to be called is a
//! [`super::limits::values::PersonalName`], and only a [`Fact`] may stand anywhere else.
//!
//! A fact is never made of a text as it came. Whoever makes one says where its text is from, and what could be more than
//! that is refused here, once for every message there is.

use billhook_tools::{Exponents, Flow, Money};

use super::limits::untrusted::is_id;
use super::limits::values::is_plain_reference;
use crate::stripe::text::is_a_code;

/// Who a fact is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// Worked out or written by this program.
    Trusted,
    /// Configured by the business.
    Business,
    /// An id or a word of Stripe's.
    Stripe,
    /// Chosen by whoever paid, and nothing but an id.
    Customer,
}

/// A value that may stand in a message outside of prose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    text: String,
    provenance: Provenance,
}

impl Fact {
    fn new(text: impl Into<String>, provenance: Provenance) -> Self {
        Self {
            text: text.into(),
            provenance,
        }
    }

    /// Words of this program.
    pub fn ours(text: &'static str) -> Self {
        Self::new(text, Provenance::Trusted)
    }

    /// What the business has configured.
    pub fn business(text: impl Into<String>) -> Self {
        Self::new(text, Provenance::Business)
    }

    /// An amount as a reader of `locale` writes it.
    pub fn amount(amount: Money, flow: Flow, locale: &str, exponents: &Exponents) -> Self {
        Self::new(amount.display(flow, locale, exponents), Provenance::Trusted)
    }

    /// An amount with its currency's code.
    pub fn amount_by_code(amount: Money, flow: Flow, locale: &str, exponents: &Exponents) -> Self {
        let shown = amount.display_by_code(flow, locale, exponents);
        Self::new(shown, Provenance::Trusted)
    }

    /// The day of a moment, in the order and the words of a language.
    pub fn day(seconds: i64, language: &str) -> Self {
        Self::new(day(seconds, language), Provenance::Trusted)
    }

    /// An id of Stripe's; nothing for what says more than an id can.
    pub fn id(text: &str) -> Option<Self> {
        is_id(text).then(|| Self::new(text, Provenance::Stripe))
    }

    /// One of Stripe's words, such as `product_not_received`, for a reader; nothing for what cannot be one.
    pub fn code(text: &str) -> Option<Self> {
        is_a_code(text).then(|| Self::new(text.replace('_', " "), Provenance::Stripe))
    }

    /// A reference that whoever paid may have chosen. What is more than a reference is not repeated, and that there is one
    /// is said.
    pub fn reference(text: &str) -> Self {
        if is_plain_reference(text) {
            Self::new(text, Provenance::Customer)
        } else {
            Self::ours("its reference is unusual, see the run in billhook")
        }
    }

    /// A page of Stripe's: https, and at a host that the business allows; nothing for any other.
    pub fn page(url: &str, hosts: &[String]) -> Option<Self> {
        is_allowed(url, hosts).then(|| Self::new(url, Provenance::Stripe))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Who it is from.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }
}

fn day(seconds: i64, language: &str) -> String {
    let Ok(moment) = jiff::Timestamp::from_second(seconds) else {
        return String::new();
    };
    let day = moment.to_zoned(jiff::tz::TimeZone::UTC).date();
    if language == "de" {
        day.strftime("%d.%m.%Y").to_string()
    } else {
        day.strftime("%-d %B %Y").to_string()
    }
}

/// Whether a link from an event may be mailed.
fn is_allowed(url: &str, hosts: &[String]) -> bool {
    let Some(rest) = url.strip_prefix("https://") else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = url
        .chars()
        .all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\'));
    plain
        && url.len() <= 2000
        && hosts
            .iter()
            .any(|allowed| host.eq_ignore_ascii_case(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_links_to_allowed_hosts_are_facts() {
        let hosts = ["invoice.stripe.com".to_owned()];
        let page = |url: &str| Fact::page(url, &hosts);
        assert!(page("https://invoice.stripe.com/i/acct_1/test_x").is_some());
        for url in [
            "http://invoice.stripe.com/i",
            "https://invoice.stripe.com.evil.example/i",
            "https://evil.example/https://invoice.stripe.com/",
            "https://invoice.stripe.com@evil.example/",
            "https://invoice.stripe.com:8443/",
            "https://invoice.stripe.com/\"onclick=",
            "javascript:alert(1)",
        ] {
            assert_eq!(page(url), None, "{url}");
        }
    }

    #[test]
    fn dates_are_written_in_the_readers_language() {
        assert_eq!(Fact::day(1_764_547_200, "en").as_str(), "1 December 2025");
        assert_eq!(Fact::day(1_764_547_200, "de").as_str(), "01.12.2025");
    }

    #[test]
    fn what_says_more_than_an_id_or_a_word_is_no_fact() {
        assert_eq!(Fact::id("cus_1").unwrap().provenance(), Provenance::Stripe);
        let word = Fact::code("credit_not_processed").unwrap();
        assert_eq!(word.as_str(), "credit not processed");
        for text in [
            "",
            "Call +49 30 123",
            "<!channel>",
            "général",
            "x y",
            "a.b",
            "a\nb",
        ] {
            assert_eq!(Fact::id(text), None, "{text}");
            assert_eq!(Fact::code(text), None, "{text}");
        }
        assert_eq!(Fact::code(&"x".repeat(65)), None);
    }

    #[test]
    fn a_reference_is_repeated_only_where_it_is_nothing_more() {
        for plain in [
            "1001",
            "ORD-2024/1001",
            "#A17_b",
            "pi_3Nabc",
            "web-order-77",
            "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        ] {
            let fact = Fact::reference(plain);
            assert_eq!(
                (fact.as_str(), fact.provenance()),
                (plain, Provenance::Customer)
            );
        }
        for text in [
            "",
            "call me now",
            "urgent-please-wire-the-money-to-eve",
            "evil.com/pay",
            "evil.example",
            "https://evil.example",
            "//evil",
            "@all",
            "<!channel>",
            "+493012345",
            "=cmd|'/c calc'!A1",
            "-1+1",
            "refund-5000",
            "full_REFUND_1",
            "x\ny",
            "оrder1",
            "a\u{202e}b",
            &"1".repeat(41),
        ] {
            let fact = Fact::reference(text);
            assert_eq!(fact.provenance(), Provenance::Trusted, "{text}");
            assert!(
                fact.as_str().starts_with("its reference is unusual"),
                "{text}"
            );
        }
    }
}
