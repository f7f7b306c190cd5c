//! What a model costs and what it may cost: prices, budgets, and amounts of money smaller than any coin.
//!
//! Owns that no amount passes through binary fractions on its way from the file to a sum. Knows nothing of what was spent.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::values;

/// An amount in millionths of a currency's unit: a single reply of a small model costs less than a cent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub i64);

impl Micros {
    /// One unit of a currency.
    const UNIT: i64 = 1_000_000;
    /// The digits behind the point.
    const DIGITS: usize = 6;
}

impl FromStr for Micros {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NOTATION: &str = "write an amount such as 20 or 0.40, with at most six decimals";
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) {
            return Err(NOTATION);
        }
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > Self::DIGITS {
            return Err(NOTATION);
        }
        let digits = format!("{decimals:0<width$}", width = Self::DIGITS);
        let parse = |part: &str| part.parse::<i64>().map_err(|_too_long| NOTATION);
        parse(whole)?
            .checked_mul(Self::UNIT)
            .and_then(|whole| whole.checked_add(parse(&digits).ok()?))
            .map(Self)
            .ok_or("the amount is too large")
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, amount) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let unit = Self::UNIT.unsigned_abs();
        let decimals = format!("{:06}", amount % unit);
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{sign}{}", amount / unit),
            decimals => write!(f, "{sign}{}.{decimals:0<2}", amount / unit),
        }
    }
}

/// What a model's tokens cost, each per million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens that it reads.
    #[serde(deserialize_with = "values::parsed")]
    pub input: Micros,
    /// Those of them that come from its server's cache; without a price of their own they cost what others do.
    #[serde(default, deserialize_with = "values::optional")]
    pub cached_input: Option<Micros>,
    /// Tokens that it writes, those it spends on reasoning among them.
    #[serde(deserialize_with = "values::parsed")]
    pub output: Micros,
}

/// The prices that are known, by model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// The price of a model: the one under its own name, else under the longest name that it goes on from, as
    /// `gpt-4.1-mini-2025-04-14` goes on from `gpt-4.1-mini`.
    pub fn of(&self, model: &str) -> Option<Price> {
        let model = model.to_ascii_lowercase();
        self.0
            .iter()
            .filter(|(name, _)| {
                let rest = model.strip_prefix(name.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '@', ':']))
            })
            .max_by_key(|(name, _)| name.len())
            .map(|(_, price)| *price)
    }
}

/// Section `model.budgets`: what may be spent before the rules go on alone. None is no bound; 0 lets nothing be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetsConfig {
    /// Calls that one run may make.
    #[serde(deserialize_with = "bound")]
    pub calls_per_run: Option<u64>,
    /// Tokens that one run may use.
    #[serde(deserialize_with = "bound")]
    pub tokens_per_run: Option<u64>,
    /// Money that one run may cost.
    #[serde(deserialize_with = "values::optional")]
    pub cost_per_run: Option<Micros>,
    /// Replies that a model may give about one customer in a day.
    #[serde(deserialize_with = "bound")]
    pub replies_per_customer_per_day: Option<u64>,
    /// Tokens that the runs of one customer may use in a day.
    #[serde(deserialize_with = "bound")]
    pub tokens_per_customer_per_day: Option<u64>,
    /// Money that the runs of one customer may cost in a day.
    #[serde(deserialize_with = "values::optional")]
    pub cost_per_customer_per_day: Option<Micros>,
    /// Tokens that all runs together may use in a day.
    #[serde(deserialize_with = "bound")]
    pub tokens_per_day: Option<u64>,
    /// Money that all runs together may cost in a day.
    #[serde(deserialize_with = "values::optional")]
    pub cost_per_day: Option<Micros>,
}

impl BudgetsConfig {
    /// The keys of the budgets in money that are set.
    pub(super) fn in_money(&self) -> impl Iterator<Item = &'static str> {
        [
            ("model.budgets.cost_per_run", self.cost_per_run),
            (
                "model.budgets.cost_per_customer_per_day",
                self.cost_per_customer_per_day,
            ),
            ("model.budgets.cost_per_day", self.cost_per_day),
        ]
        .into_iter()
        .filter_map(|(key, bound)| bound.map(|_| key))
    }
}

/// Reads a whole number; an empty text means that there is no bound.
fn bound<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match String::deserialize(from)?.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_invalid| {
            serde::de::Error::custom("write a whole number, or \"\" for no bound")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_last_digit() {
        for (text, micros, shown) in [
            ("0", 0, "0"),
            ("20", 20_000_000, "20"),
            ("0.40", 400_000, "0.40"),
            ("0.1", 100_000, "0.10"),
            ("1.000001", 1_000_001, "1.000001"),
            ("0.1250000000", 125_000, "0.125"),
            ("9000000000000", 9_000_000_000_000_000_000, "9000000000000"),
        ] {
            let amount: Micros = text.parse().unwrap();
            assert_eq!((amount.0, amount.to_string().as_str()), (micros, shown));
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "inf",
            "NaN",
            "0.0000001",
            "٣",
            "9223372036855",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Micros>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_model_costs_what_the_longest_name_says_that_it_goes_on_from() {
        let price = |input| Price {
            input: Micros(input),
            cached_input: None,
            output: Micros(0),
        };
        let prices = [("gpt-4.1", 1), ("gpt-4.1-mini", 2), ("qwen/qwen3", 3)];
        let prices = prices.map(|(name, input)| (name.to_owned(), price(input)));
        let prices = Prices(prices.into_iter().collect());
        let of = |model: &str| prices.of(model).map(|price| price.input.0);
        assert_eq!(of("gpt-4.1-mini"), Some(2));
        assert_eq!(of("gpt-4.1-mini-2025-04-14"), Some(2));
        assert_eq!(of("gpt-4.1-2025-04-14"), Some(1));
        assert_eq!(of("Qwen/Qwen3:free"), Some(3));
        assert_eq!(of("gpt-4.10"), None);
        assert_eq!(of("gpt-4"), None);
        assert_eq!(of(""), None);
    }
}
