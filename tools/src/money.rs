//! Money as Stripe counts it: a whole number of minor units and a currency, and never a floating point number.
//!
//! This module owns the currencies, how many decimals Stripe gives each of them, sums, comparison with a threshold, and
//! how an amount is written for a reader. It must never take a currency's decimals from ISO 4217: Stripe's differ, and a
//! wrong exponent is an amount that is wrong by a factor of a hundred. Nor may it add what is counted in different
//! currencies.

mod display;
mod exponents;
mod locale;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::exponents::Exponents;

use self::display::Name;

/// A currency's code: three ASCII letters, kept in lower case as Stripe writes them. It need not be a known one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// A code or a setting that cannot be used for money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is no currency code.
    #[error("`{0}` is no currency code, write three letters such as `eur`")]
    NotACurrency(String),
    /// No currency has so many decimals.
    #[error("`{currency}` cannot have {exponent} decimals, write 0 to 4")]
    Exponent {
        /// The currency the exponent was meant for.
        currency: Currency,
        /// What was asked for.
        exponent: u32,
    },
    /// Two amounts that have no sum.
    #[error("{left} and {right} are not added, keep one sum for each currency")]
    Mixed {
        /// The one currency.
        left: Currency,
        /// The other.
        right: Currency,
    },
    /// A sum that no amount can hold.
    #[error("the sum in {0} is too large to count")]
    TooLarge(Currency),
}

/// Which way money goes. Stripe counts it alike, but some currencies are paid out in whole units only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// To the business, and back to its customers: charges, refunds, invoices, disputes.
    Charge,
    /// To the business's bank: `payout.*`.
    Payout,
}

impl Currency {
    /// Reads a code in either case.
    pub fn new(code: &str) -> Result<Self, MoneyError> {
        match code.as_bytes() {
            &[a, b, c] if code.bytes().all(|byte| byte.is_ascii_alphabetic()) => Ok(Self([
                a.to_ascii_lowercase(),
                b.to_ascii_lowercase(),
                c.to_ascii_lowercase(),
            ])),
            // What is clipped here came from outside and may be as long as it likes.
            _ => Err(MoneyError::NotACurrency(code.chars().take(16).collect())),
        }
    }

    /// The code in lower case.
    pub fn as_str(&self) -> &str {
        // The bytes are ASCII letters by construction, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({})", self.as_str())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::new(code)
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, Self::Error> {
        Self::new(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// An amount in minor units of a currency, exactly as Stripe's API holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units; negative for a credit.
    pub amount: i64,
    /// The currency the amount is counted in.
    pub currency: Currency,
}

impl Money {
    /// An amount of a currency.
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// The sum of two amounts of one currency; amounts of different currencies have none.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed {
                left: self.currency,
                right: other.currency,
            });
        }
        self.amount
            .checked_add(other.amount)
            .map(|amount| Self { amount, ..self })
            .ok_or(MoneyError::TooLarge(self.currency))
    }

    /// Whether this is strictly more than `threshold_major` whole units.
    ///
    /// Where nobody knows a currency's decimals, its minor units are taken for whole ones: of all readings that is the
    /// largest, so somebody may be told of too little and is never left untold of too much.
    pub fn exceeds_major(&self, threshold_major: i64, exponents: &Exponents) -> bool {
        let exponent = exponents.of(self.currency).unwrap_or(0);
        // An i64 times at most 10^4 cannot leave an i128.
        let scale = 10_i128.saturating_pow(exponent);
        i128::from(self.amount) > i128::from(threshold_major).saturating_mul(scale)
    }

    /// The amount for a reader of `locale`, for example `$10.99` or `10,99 €`; no-break spaces keep it on one line.
    ///
    /// A locale that is not known is read as `en`. A currency that is not known is shown as raw minor units and code.
    pub fn display(&self, flow: Flow, locale: &str, exponents: &Exponents) -> String {
        display::display(self, flow, locale, exponents, Name::Symbol)
    }

    /// The same with the currency's code in place of any symbol: for readers whose customers pay in many currencies.
    pub fn display_by_code(&self, flow: Flow, locale: &str, exponents: &Exponents) -> String {
        display::display(self, flow, locale, exponents, Name::Code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, code: &str) -> Money {
        Money::new(amount, Currency::new(code).unwrap())
    }

    #[test]
    fn codes_are_three_ascii_letters_in_lower_case() {
        for (raw, code) in [("eur", "eur"), ("EUR", "eur"), ("JpY", "jpy")] {
            assert_eq!(Currency::new(raw).unwrap().as_str(), code);
        }
        for raw in [
            "", "eu", "euro", "e1r", " eur", "eur ", "€", "ｅur", "é1", "\0\0\0",
        ] {
            assert!(
                Currency::new(raw).is_err(),
                "{raw:?} was taken for a currency"
            );
        }
    }

    #[test]
    fn serde_goes_through_the_same_check() {
        let read: Money = serde_json::from_str(r#"{"amount":-5,"currency":"USD"}"#).unwrap();
        assert_eq!(read, money(-5, "usd"));
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            r#"{"amount":-5,"currency":"usd"}"#
        );
        for bad in [
            r#"{"amount":1,"currency":"dollar"}"#,
            r#"{"amount":1.5,"currency":"usd"}"#,
            r#"{"amount":"1","currency":"usd"}"#,
            r#"{"amount":1}"#,
        ] {
            assert!(
                serde_json::from_str::<Money>(bad).is_err(),
                "{bad} was read"
            );
        }
    }

    #[test]
    fn only_amounts_of_one_currency_have_a_sum() {
        let sum = |a: i64, left: &str, b: i64, right: &str| money(a, left).plus(money(b, right));
        assert_eq!(sum(5, "eur", -7, "EUR"), Ok(money(-2, "eur")));
        assert_eq!(
            sum(0, "eur", 0, "usd").unwrap_err().to_string(),
            "eur and usd are not added, keep one sum for each currency"
        );
        for (a, b) in [(i64::MAX, 1), (i64::MIN, -1)] {
            let eur = Currency::new("eur").unwrap();
            assert_eq!(sum(a, "eur", b, "eur"), Err(MoneyError::TooLarge(eur)));
        }
    }

    #[test]
    fn thresholds_are_exact_and_strict() {
        let stripe = Exponents::stripe();
        for (amount, code, threshold, answer) in [
            (50_000, "usd", 500, false),
            (50_001, "usd", 500, true),
            (49_999, "usd", 500, false),
            (500, "jpy", 500, false),
            (501, "jpy", 500, true),
            (500_000, "kwd", 500, false),
            (500_010, "kwd", 500, true),
            (50_100, "isk", 500, true),
            (501, "isk", 500, false),
            (-50_001, "usd", 500, false),
            (i64::MIN, "usd", i64::MIN, true),
            (i64::MAX, "kwd", i64::MAX, false),
            (i64::MAX, "jpy", i64::MAX, false),
            // A float would call these two equal.
            (9_007_199_254_740_993, "jpy", 9_007_199_254_740_992, true),
            (500, "xyz", 500, false),
            (501, "xyz", 500, true),
        ] {
            assert_eq!(
                money(amount, code).exceeds_major(threshold, &stripe),
                answer,
                "{amount} {code} > {threshold}"
            );
        }
    }
}
