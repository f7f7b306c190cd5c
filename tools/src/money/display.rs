//! How an amount is written for a reader: digits, separators and symbol by the reader's locale.
//!
//! What is known of locales is in `locale.rs`; this only puts the parts together.

use super::locale::{Groups, NO_BREAK_SPACE, Shape, Style};
use super::{Exponents, Flow, Money};

/// How a currency is named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// By its symbol, where that can mean one currency to the reader.
    Symbol,
    /// By its code.
    Code,
}

pub(super) fn display(
    money: &Money,
    flow: Flow,
    locale: &str,
    exponents: &Exponents,
    name: Name,
) -> String {
    let code = money.currency.as_str();
    let upper = code.to_ascii_uppercase();
    // `unsigned_abs` is what keeps the smallest i64 from overflowing.
    let absolute = money.amount.unsigned_abs();
    let scale = exponents
        .of(money.currency)
        .and_then(|exponent| Some((exponent, 10_u64.checked_pow(exponent)?)));
    let Some((exponent, scale)) = scale else {
        let sign = if money.amount < 0 { "-" } else { "" };
        let units = minor_units(locale);
        return format!("{sign}{absolute}{NO_BREAK_SPACE}{upper} ({units})");
    };

    let style = Style::of_locale(locale);
    let mut digits = grouped(absolute / scale, &style);
    let fraction = absolute % scale;
    // A fraction that should not be there is shown, never rounded: the amount is what Stripe says it is.
    if exponent > 0 && !(fraction == 0 && Exponents::is_whole(money.currency, flow)) {
        let width = usize::try_from(exponent).unwrap_or_default();
        digits = format!("{digits}{}{fraction:0width$}", style.decimal);
    }

    let symbol = style
        .symbol(code)
        .filter(|_| name == Name::Symbol)
        .unwrap_or(&upper);
    let minus = if money.amount < 0 {
        style.minus.to_string()
    } else {
        String::new()
    };
    match style.shape {
        Shape::Before if !symbol.ends_with(char::is_alphabetic) => {
            format!("{minus}{symbol}{digits}")
        }
        Shape::Before | Shape::BeforeWithSpace => {
            format!("{minus}{symbol}{NO_BREAK_SPACE}{digits}")
        }
        Shape::BeforeMinusJoined if !minus.is_empty() => format!("{symbol}{minus}{digits}"),
        Shape::BeforeMinus | Shape::BeforeMinusJoined => {
            format!("{symbol}{NO_BREAK_SPACE}{minus}{digits}")
        }
        Shape::After => format!("{minus}{digits}{NO_BREAK_SPACE}{symbol}"),
    }
}

/// What is said of an amount whose decimals nobody knows, so that it is not taken for whole units; in the languages that
/// there are mails in.
fn minor_units(locale: &str) -> &'static str {
    let language = locale.trim().split(['-', '_']).next().unwrap_or_default();
    if language.eq_ignore_ascii_case("de") {
        "kleinste Einheiten"
    } else {
        "minor units"
    }
}

fn grouped(number: u64, style: &Style) -> String {
    let plain = number.to_string();
    if style.groups == Groups::ThreesFromFive && plain.len() == 4 {
        return plain;
    }
    let mut out = String::with_capacity(plain.len() * 2);
    for (index, digit) in plain.chars().enumerate() {
        let left = plain.len() - index;
        let parts = match style.groups {
            Groups::Threes | Groups::ThreesFromFive => left.is_multiple_of(3),
            Groups::Indian => left == 3 || left > 3 && (left - 3).is_multiple_of(2),
        };
        if index > 0 && parts {
            out.push(style.group);
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
