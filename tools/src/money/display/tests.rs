mod by_code;

use super::*;
use crate::money::Currency;

/// Writes the amount with visible spaces: `_` for a no-break space, `'` for a narrow one, `~` for a minus sign.
fn shown(amount: i64, code: &str, flow: Flow, locale: &str, exponents: &Exponents) -> String {
    let money = Money::new(amount, Currency::new(code).unwrap());
    let text = money.display(flow, locale, exponents);
    assert!(!text.is_empty() && !text.contains(['_', '~']));
    text.replace('\u{a0}', "_")
        .replace('\u{202f}', "'")
        .replace('\u{2212}', "~")
}

/// Locales, each with what its reader sees.
type Readers<'a> = &'a [(&'a str, &'a str)];

fn check(flow: Flow, table: &[(i64, &str, Readers<'_>)]) {
    for (amount, code, readers) in table {
        for (locale, expected) in *readers {
            assert_eq!(
                shown(*amount, code, flow, locale, &Exponents::stripe()),
                *expected,
                "{amount} {code} for {locale:?}"
            );
        }
    }
}

#[test]
fn every_currency_has_its_own_decimals() {
    check(
        Flow::Charge,
        &[
            (
                500,
                "jpy",
                &[
                    ("en", "¥500"),
                    ("ja", "¥500"),
                    ("de", "500_¥"),
                    ("zh", "JP¥500"),
                ],
            ),
            (
                500,
                "krw",
                &[("en", "₩500"), ("ko", "₩500"), ("fr", "500_₩")],
            ),
            (
                500,
                "isk",
                &[
                    ("en", "ISK_5"),
                    ("de", "5_ISK"),
                    ("is", "5_kr."),
                    ("sv", "5_ISK"),
                    ("nb", "5_ISK"),
                ],
            ),
            (550, "isk", &[("en", "ISK_5.50")]),
            (500, "ugx", &[("en", "UGX_5"), ("de", "5_UGX")]),
            (505, "ugx", &[("en", "UGX_5.05")]),
            (
                5120,
                "kwd",
                &[
                    ("en", "KWD_5.120"),
                    ("de", "5,120_KWD"),
                    ("nl", "KWD_5,120"),
                    ("xx", "KWD_5.120"),
                ],
            ),
            // Stripe takes no such amount; if one comes, it is not rounded.
            (5124, "kwd", &[("en", "KWD_5.124")]),
            (
                1045,
                "huf",
                &[("en", "HUF_10.45"), ("de", "10,45_HUF"), ("hu", "10,45_Ft")],
            ),
            (1000, "huf", &[("hu", "10,00_Ft")]),
            (1045, "twd", &[("en", "TWD_10.45"), ("zh-TW", "$10.45")]),
            (1099, "bhd", &[("en", "BHD_1.099")]),
            (1099, "mga", &[("en", "MGA_1,099")]),
            (
                1099,
                "xyz",
                &[
                    ("en", "1099_XYZ (minor units)"),
                    ("de", "1099_XYZ (kleinste Einheiten)"),
                ],
            ),
        ],
    );
}

#[test]
fn a_payout_in_forints_or_taiwan_dollars_is_whole() {
    check(
        Flow::Payout,
        &[
            (
                1000,
                "huf",
                &[("en", "HUF_10"), ("hu", "10_Ft"), ("de", "10_HUF")],
            ),
            (123_456_700, "huf", &[("hu", "1_234_567_Ft")]),
            (1045, "huf", &[("hu", "10,45_Ft")]),
            (1000, "twd", &[("en", "TWD_10"), ("zh-TW", "$10")]),
            (500, "isk", &[("en", "ISK_5"), ("is", "5_kr.")]),
            (1000, "usd", &[("en", "$10.00")]),
            (1000, "jpy", &[("en", "¥1,000")]),
        ],
    );
}

#[test]
fn a_bare_dollar_is_the_readers_own() {
    check(
        Flow::Charge,
        &[
            (
                1099,
                "usd",
                &[
                    ("en", "$10.99"),
                    ("en-US", "$10.99"),
                    ("en_us", "$10.99"),
                    ("en-GB", "US$10.99"),
                    ("en-AU", "US$10.99"),
                    ("de", "10,99_$"),
                    ("fr", "10,99_$US"),
                    ("fr-CA", "10,99_$US"),
                    ("es", "10,99_US$"),
                    ("es-US", "$10.99"),
                    ("es-MX", "US$10.99"),
                    ("pt-BR", "US$_10,99"),
                    ("ja", "$10.99"),
                    ("zh-Hans-CN", "US$10.99"),
                    ("xx-YY", "$10.99"),
                    ("", "$10.99"),
                    ("-", "$10.99"),
                ],
            ),
            (1099, "aud", &[("en-AU", "$10.99"), ("en", "A$10.99")]),
            (
                1099,
                "cad",
                &[
                    ("en-CA", "$10.99"),
                    ("fr-CA", "10,99_$"),
                    ("fr", "10,99_$CA"),
                ],
            ),
            (1099, "mxn", &[("es-MX", "$10.99"), ("es", "10,99_MX$")]),
        ],
    );
}

#[test]
fn amounts_read_as_the_locale_writes_them() {
    check(
        Flow::Charge,
        &[
            (
                1099,
                "gbp",
                &[("en-GB", "£10.99"), ("de", "10,99_£"), ("nl", "£_10,99")],
            ),
            (
                1099,
                "chf",
                &[
                    ("en", "CHF_10.99"),
                    ("de-CH", "CHF_10.99"),
                    ("fr-CH", "10.99_CHF"),
                    ("it-CH", "CHF_10.99"),
                ],
            ),
            (
                1099,
                "brl",
                &[
                    ("pt", "R$_10,99"),
                    ("pt-BR", "R$_10,99"),
                    ("en", "R$10.99"),
                    ("pt-PT", "10,99_R$"),
                ],
            ),
            (
                1099,
                "pln",
                &[("pl", "10,99_zł"), ("en", "PLN_10.99"), ("de", "10,99_PLN")],
            ),
            (
                1099,
                "sek",
                &[
                    ("sv", "10,99_kr"),
                    ("sv-SE", "10,99_kr"),
                    ("en", "SEK_10.99"),
                    ("da", "10,99_SEK"),
                ],
            ),
            (
                1099,
                "nok",
                &[
                    ("nb", "10,99_kr"),
                    ("nb-NO", "10,99_kr"),
                    ("sv", "10,99_NOK"),
                ],
            ),
            (1099, "dkk", &[("da", "10,99_kr."), ("en", "DKK_10.99")]),
            (1099, "czk", &[("cs", "10,99_Kč")]),
            (1099, "try", &[("tr", "₺10,99"), ("en", "TRY_10.99")]),
            (1099, "idr", &[("id", "Rp_10,99")]),
            (1099, "myr", &[("ms", "RM_10.99")]),
            (1099, "zar", &[("en-ZA", "R_10,99"), ("en", "ZAR_10.99")]),
            (
                1099,
                "cny",
                &[("zh", "¥10.99"), ("ja", "元_10.99"), ("en", "CN¥10.99")],
            ),
            (
                1099,
                "eur",
                &[
                    ("en", "€10.99"),
                    ("de", "10,99_€"),
                    ("de-DE", "10,99_€"),
                    ("de-AT", "€_10,99"),
                    ("nl", "€_10,99"),
                    ("fi", "10,99_€"),
                    ("en-IE", "€10.99"),
                    ("it", "10,99_€"),
                    ("el", "10,99_€"),
                    ("tr", "€10,99"),
                ],
            ),
        ],
    );
}

/// The texts are those of ICU 78 with CLDR 48, `Intl.NumberFormat(LOCALE + "-u-nu-latn", …)`, where ours has the symbol.
#[test]
fn groups_and_minus_are_those_of_the_locale() {
    check(
        Flow::Charge,
        &[
            (
                123_450,
                "eur",
                &[
                    ("en", "€1,234.50"),
                    ("de", "1.234,50_€"),
                    ("fr", "1'234,50_€"),
                    ("fr-CA", "1_234,50_€"),
                    ("es", "1234,50_€"),
                    ("it", "1234,50_€"),
                    ("pl", "1234,50_€"),
                    ("pt-PT", "1234,50_€"),
                    ("bg", "1234,50_€"),
                    ("lv", "1234,50_€"),
                    ("sv", "1_234,50_€"),
                    ("en-ZA", "€1_234,50"),
                    ("en-IN", "€1,234.50"),
                    ("hi", "€1,234.50"),
                ],
            ),
            (
                -123_456_789,
                "eur",
                &[
                    ("en", "-€1,234,567.89"),
                    ("en-IN", "-€12,34,567.89"),
                    ("hi", "-€12,34,567.89"),
                    ("de", "-1.234.567,89_€"),
                    ("de-AT", "-€_1.234.567,89"),
                    ("fr", "-1'234'567,89_€"),
                    ("es", "-1.234.567,89_€"),
                    ("it", "-1.234.567,89_€"),
                    ("nl", "€_-1.234.567,89"),
                    ("pt", "-€_1.234.567,89"),
                    ("pt-PT", "-1_234_567,89_€"),
                    ("sv", "~1_234_567,89_€"),
                    ("nb", "~1_234_567,89_€"),
                    ("no", "~1_234_567,89_€"),
                    ("da", "-1.234.567,89_€"),
                    ("fi", "~1_234_567,89_€"),
                    ("pl", "-1_234_567,89_€"),
                    ("cs", "-1_234_567,89_€"),
                    ("sk", "-1_234_567,89_€"),
                    ("bg", "-1_234_567,89_€"),
                    ("hr", "~1.234.567,89_€"),
                    ("sl", "~1.234.567,89_€"),
                    ("et", "~1_234_567,89_€"),
                    ("lv", "-1_234_567,89_€"),
                    ("lt", "~1_234_567,89_€"),
                    ("el", "-1.234.567,89_€"),
                    ("tr", "-€1.234.567,89"),
                    ("ru", "-1_234_567,89_€"),
                    ("id", "-€1.234.567,89"),
                    ("ms", "-€1,234,567.89"),
                    ("fil", "-€1,234,567.89"),
                    ("th", "-€1,234,567.89"),
                    ("vi", "-1.234.567,89_€"),
                    ("ja", "-€1,234,567.89"),
                    ("ko", "-€1,234,567.89"),
                    ("zh", "-€1,234,567.89"),
                    ("zh-HK", "-€1,234,567.89"),
                    ("mt", "-€1,234,567.89"),
                ],
            ),
            (
                -5000,
                "kwd",
                &[
                    ("de-CH", "KWD-5.000"),
                    ("de-LI", "-KWD_5.000"),
                    ("it-CH", "KWD-5.000"),
                    ("nl", "KWD_-5,000"),
                    ("es-419", "-KWD_5.000"),
                    ("es-AR", "-KWD_5,000"),
                    ("es-CL", "KWD-5,000"),
                    ("hu", "-5,000_KWD"),
                    ("ro", "-5,000_KWD"),
                    ("uk", "-5,000_KWD"),
                    ("is", "-5,000_KWD"),
                    ("fr-CH", "-5.000_KWD"),
                ],
            ),
            (
                12_345_678_900,
                "inr",
                &[("en-IN", "₹12,34,56,789.00"), ("en", "₹123,456,789.00")],
            ),
            (123_456_789, "chf", &[("de-CH", "CHF_1’234’567.89")]),
            (-500, "isk", &[("en", "-ISK_5"), ("sv", "~5_ISK")]),
        ],
    );
}

#[test]
fn no_amount_is_too_small_or_too_large() {
    check(
        Flow::Charge,
        &[
            (0, "usd", &[("en", "$0.00"), ("de", "0,00_$")]),
            (0, "jpy", &[("en", "¥0")]),
            (0, "isk", &[("en", "ISK_0")]),
            (0, "kwd", &[("en", "KWD_0.000")]),
            (5, "usd", &[("en", "$0.05")]),
            (-5, "eur", &[("de", "-0,05_€")]),
            (99_999, "usd", &[("en", "$999.99"), ("pl", "999,99_US$")]),
            (
                1_000_000,
                "usd",
                &[("en", "$10,000.00"), ("pl", "10_000,00_US$")],
            ),
            (
                i64::MIN,
                "usd",
                &[
                    ("en", "-$92,233,720,368,547,758.08"),
                    ("en-IN", "-US$92,23,37,20,36,85,47,758.08"),
                    ("sv", "~92_233_720_368_547_758,08_US$"),
                ],
            ),
            (i64::MAX, "usd", &[("de", "92.233.720.368.547.758,07_$")]),
            (i64::MIN, "jpy", &[("en", "-¥9,223,372,036,854,775,808")]),
            (i64::MAX, "kwd", &[("en", "KWD_9,223,372,036,854,775.807")]),
            (
                i64::MIN,
                "xyz",
                &[("en", "-9223372036854775808_XYZ (minor units)")],
            ),
        ],
    );
}

#[test]
fn an_override_reaches_the_reader() {
    let table = Exponents::stripe()
        .with_override("ugx", 0)
        .unwrap()
        .with_override("huf", 0)
        .unwrap()
        .with_override("xyz", 2)
        .unwrap();
    for (amount, code, flow, expected) in [
        (500, "ugx", Flow::Charge, "UGX_500"),
        (1000, "huf", Flow::Payout, "HUF_1,000"),
        (1234, "xyz", Flow::Charge, "XYZ_12.34"),
    ] {
        assert_eq!(shown(amount, code, flow, "en", &table), expected, "{code}");
    }
}
