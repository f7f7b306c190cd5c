use crate::money::{Currency, Exponents, Flow, Money};

/// Colleagues read of many currencies, and `kr`, `$` and `¥` are several.
#[test]
fn by_code_no_symbol_is_shown() {
    for (amount, code, flow, locale, expected) in [
        (123_450, "eur", Flow::Charge, "en", "EUR_1,234.50"),
        (123_450, "eur", Flow::Charge, "de", "1.234,50_EUR"),
        (1099, "usd", Flow::Charge, "en-US", "USD_10.99"),
        (500, "jpy", Flow::Charge, "ja", "JPY_500"),
        (500, "isk", Flow::Charge, "is", "5_ISK"),
        (1099, "sek", Flow::Charge, "sv", "10,99_SEK"),
        (1045, "huf", Flow::Charge, "hu", "10,45_HUF"),
        (1000, "huf", Flow::Payout, "hu", "10_HUF"),
        (1000, "twd", Flow::Payout, "zh-TW", "TWD_10"),
        (5120, "kwd", Flow::Charge, "en", "KWD_5.120"),
        (500, "ugx", Flow::Charge, "en", "UGX_5"),
        (-500, "gbp", Flow::Charge, "nl", "GBP_-5,00"),
        (1099, "xyz", Flow::Charge, "en", "1099_XYZ (minor units)"),
    ] {
        let money = Money::new(amount, Currency::new(code).unwrap());
        let shown = money.display_by_code(flow, locale, &Exponents::stripe());
        assert_eq!(
            shown.replace('\u{a0}', "_"),
            expected,
            "{code} for {locale}"
        );
    }
}
