//! How an amount is written for a reader: digits, separators and symbol by the reader's locale.
//!
//! A symbol is used only where it names one currency for that reader; elsewhere the code stands. The shapes follow
//! the common locale data (CLDR) for the locales listed here.

use super::{Exponents, Money};

const NO_BREAK_SPACE: char = '\u{a0}';
const NARROW_NO_BREAK_SPACE: char = '\u{202f}';
const RIGHT_QUOTE: char = '\u{2019}';

/// Where the symbol stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Before the digits, a space only after letters: `$5`, `KWD 5`.
    Before,
    /// Before the digits, always with a space: `€ 5`.
    BeforeWithSpace,
    /// After the digits, with a space: `5 €`.
    After,
}

/// How one locale writes money.
struct Style {
    group: char,
    decimal: char,
    side: Side,
    language: Language,
    /// The currency whose symbol is a bare `$` here.
    home_dollar: &'static str,
}

/// Languages that name foreign dollars each in their own way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    English,
    German,
    French,
    Japanese,
}

fn style(locale: &str) -> Style {
    let locale = locale.trim().replace('_', "-").to_ascii_lowercase();
    let mut parts = locale.split('-');
    let language = parts.next().unwrap_or_default();
    // A script such as `Latn` may stand between language and region.
    let region = parts.find(|part| part.len() == 2).unwrap_or_default();
    let home_dollar = match region {
        "" | "us" => "usd",
        "ca" => "cad",
        "au" => "aud",
        "nz" => "nzd",
        "sg" => "sgd",
        _ => "",
    };
    let english = Style {
        group: ',',
        decimal: '.',
        side: Side::Before,
        language: Language::English,
        home_dollar,
    };
    let german = Style {
        group: '.',
        decimal: ',',
        side: Side::After,
        language: Language::German,
        home_dollar: "usd",
    };
    match (language, region) {
        ("en", _) => english,
        ("de", "at") => Style {
            side: Side::BeforeWithSpace,
            ..german
        },
        ("de", "ch" | "li") => Style {
            group: RIGHT_QUOTE,
            decimal: '.',
            side: Side::BeforeWithSpace,
            ..german
        },
        ("de", _) => german,
        ("fr", _) => Style {
            group: NARROW_NO_BREAK_SPACE,
            decimal: ',',
            side: Side::After,
            language: Language::French,
            home_dollar: "",
        },
        ("ja", _) => Style {
            language: Language::Japanese,
            home_dollar: "usd",
            ..english
        },
        // An unknown locale is read as plain `en`, whatever its region.
        _ => Style {
            home_dollar: "usd",
            ..english
        },
    }
}

/// The symbol of a currency for this reader, and where it must stand if the symbol insists on a side.
fn symbol(code: &str, style: &Style) -> Option<(&'static str, Option<Side>)> {
    let foreign_dollar = |plain, french| {
        if style.language == Language::French {
            french
        } else {
            plain
        }
    };
    if !style.home_dollar.is_empty() && style.home_dollar == code {
        return Some(("$", None));
    }
    let text = match code {
        "eur" => "€",
        "gbp" => "£",
        "jpy" => "¥",
        "cny" if style.language == Language::Japanese => "元",
        "cny" => "CN¥",
        "inr" => "₹",
        "krw" => "₩",
        "ils" => "₪",
        "vnd" => "₫",
        "brl" => "R$",
        "usd" => foreign_dollar("US$", "$US"),
        "cad" => foreign_dollar("CA$", "$CA"),
        "aud" => foreign_dollar("A$", "$AU"),
        "nzd" => foreign_dollar("NZ$", "$NZ"),
        "hkd" => foreign_dollar("HK$", "$HK"),
        "mxn" => foreign_dollar("MX$", "$MX"),
        // `kr` belongs to four countries. It is left to the one that has no decimals to show; the others are written
        // by code.
        "isk" => return Some(("kr", Some(Side::After))),
        _ => return None,
    };
    Some((text, None))
}

pub(super) fn display(money: &Money, locale: &str, exponents: &Exponents) -> String {
    let code = money.currency.as_str();
    let upper = code.to_ascii_uppercase();
    let sign = if money.amount < 0 { "-" } else { "" };
    // `unsigned_abs` is what keeps the smallest i64 from overflowing.
    let absolute = money.amount.unsigned_abs();
    let scale = exponents
        .of(money.currency)
        .and_then(|exponent| Some((exponent, 10_u64.checked_pow(exponent)?)));
    let Some((exponent, scale)) = scale else {
        return format!("{sign}{absolute}{NO_BREAK_SPACE}{upper} (minor units)");
    };

    let style = style(locale);
    let mut digits = grouped(absolute / scale, style.group);
    let fraction = absolute % scale;
    if exponent > 0 && !(fraction == 0 && Exponents::hides_zero_fraction(money.currency)) {
        let width = usize::try_from(exponent).unwrap_or_default();
        digits = format!("{digits}{}{fraction:0width$}", style.decimal);
    }

    let (symbol, insisted) =
        symbol(code, &style).map_or((upper.as_str(), None), |(text, side)| (text, side));
    match insisted.unwrap_or(style.side) {
        Side::Before if !symbol.ends_with(|last: char| last.is_ascii_alphabetic()) => {
            format!("{sign}{symbol}{digits}")
        }
        Side::Before | Side::BeforeWithSpace => format!("{sign}{symbol}{NO_BREAK_SPACE}{digits}"),
        Side::After => format!("{sign}{digits}{NO_BREAK_SPACE}{symbol}"),
    }
}

fn grouped(number: u64, separator: char) -> String {
    let plain = number.to_string();
    let mut out = String::with_capacity(plain.len() * 2);
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::money::{Currency, Exponents, Money};

    /// Writes the amount with visible spaces: `_` for a no-break space, `'` for a narrow one.
    fn shown(amount: i64, code: &str, locale: &str, exponents: &Exponents) -> String {
        let text = Money::new(amount, Currency::new(code).unwrap()).display(locale, exponents);
        assert!(text.is_empty() || !text.contains('_'));
        text.replace('\u{a0}', "_").replace('\u{202f}', "'")
    }

    #[test]
    fn amounts_read_as_the_locale_writes_them() {
        let stripe = Exponents::stripe();
        for (amount, code, locale, expected) in [
            (500, "jpy", "en", "¥500"),
            (500, "jpy", "ja", "¥500"),
            (500, "jpy", "de", "500_¥"),
            (1099, "usd", "en", "$10.99"),
            (1099, "usd", "en-US", "$10.99"),
            (1099, "usd", "en_us", "$10.99"),
            (1099, "usd", "en-GB", "US$10.99"),
            (1099, "usd", "en-AU", "US$10.99"),
            (1099, "aud", "en-AU", "$10.99"),
            (1099, "aud", "en", "A$10.99"),
            (1099, "cad", "en-CA", "$10.99"),
            (1099, "usd", "de", "10,99_$"),
            (1099, "usd", "fr", "10,99_$US"),
            (1099, "usd", "ja", "$10.99"),
            (1099, "gbp", "en-GB", "£10.99"),
            (1099, "eur", "en", "€10.99"),
            (1099, "eur", "de", "10,99_€"),
            (1099, "eur", "de-DE", "10,99_€"),
            (1099, "eur", "de-AT", "€_10,99"),
            (1099, "chf", "de-CH", "CHF_10.99"),
            (123_456_789, "chf", "de-CH", "CHF_1’234’567.89"),
            (123_456_789, "eur", "de", "1.234.567,89_€"),
            (123_456_789, "eur", "de-AT", "€_1.234.567,89"),
            (123_456_789, "eur", "fr", "1'234'567,89_€"),
            (123_456_789, "eur", "fr-FR", "1'234'567,89_€"),
            (123_456_789, "usd", "en", "$1,234,567.89"),
            (99_999, "usd", "en", "$999.99"),
            (100_000, "usd", "en", "$1,000.00"),
            (104_500, "huf", "en", "HUF_1,045.00"),
            (1_045, "huf", "de", "10,45_HUF"),
            (5120, "kwd", "en", "KWD_5.120"),
            (5120, "kwd", "de", "5,120_KWD"),
            (500, "isk", "en", "5_kr"),
            (550, "isk", "en", "5.50_kr"),
            (500, "ugx", "en", "UGX_5"),
            (505, "ugx", "en", "UGX_5.05"),
            (1099, "sek", "en", "SEK_10.99"),
            (5, "usd", "en", "$0.05"),
            (0, "usd", "en", "$0.00"),
            (0, "jpy", "en", "¥0"),
            (-1099, "usd", "en", "-$10.99"),
            (-5, "eur", "de", "-0,05_€"),
            (1099, "usd", "xx-YY", "$10.99"),
            (1099, "usd", "", "$10.99"),
            (1099, "usd", "zh-Hans-CN", "$10.99"),
            (i64::MIN, "usd", "en", "-$92,233,720,368,547,758.08"),
            (i64::MIN, "jpy", "en", "-¥9,223,372,036,854,775,808"),
            (i64::MAX, "kwd", "en", "KWD_9,223,372,036,854,775.807"),
            (1234, "xyz", "en", "1234_XYZ (minor units)"),
            (-1234, "xyz", "de", "-1234_XYZ (minor units)"),
            (
                i64::MIN,
                "xyz",
                "en",
                "-9223372036854775808_XYZ (minor units)",
            ),
        ] {
            assert_eq!(
                shown(amount, code, locale, &stripe),
                expected,
                "{amount} {code} for {locale}"
            );
        }
    }

    #[test]
    fn an_override_reaches_the_reader() {
        let table = Exponents::stripe()
            .with_override("ugx", 0)
            .unwrap()
            .with_override("xyz", 2)
            .unwrap();
        assert_eq!(shown(500, "ugx", "en", &table), "UGX_500");
        assert_eq!(shown(1234, "xyz", "en", &table), "XYZ_12.34");
    }
}
