//! How many decimals Stripe's API gives each currency. ISO 4217 is not asked: it disagrees for a dozen of them.
//!
//! The lists are those of docs.stripe.com/currencies, the special cases of that page included.

use std::collections::BTreeMap;

use super::{Currency, Flow, MoneyError};

/// Amounts of these are whole major units.
const NO_DECIMALS: [&str; 15] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
];

/// Amounts of these are thousandths, of which Stripe takes tens only. An amount with another last digit is shown as it
/// is. Iraq's and Libya's dinar are not among them at Stripe.
const THREE_DECIMALS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// Counted in hundredths by the API although nothing smaller than a whole unit exists, so a fraction of zero says
/// nothing to a reader: 500 are five whole units. By which name the reader knows them is the locale's business.
const HUNDREDTHS_IN_NAME_ONLY: [&str; 2] = ["isk", "ugx"];

/// Charged in hundredths, but paid out in whole units, still counted in hundredths.
const WHOLE_PAYOUTS: [&str; 2] = ["huf", "twd"];

/// Every other code of ISO 4217 that names money in use, and those that Stripe kept after they were replaced. Stripe
/// counts all of these in hundredths, `huf`, `isk`, `twd` and `ugx` included.
const TWO_DECIMALS: &str = "\
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob bov brl bsd btn bwp byn bzd cad cdf che chf \
    chw cny cop cou crc cuc cup cve czk dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd gtq gyd hkd hnl hrk \
    htg huf idr ils inr iqd irr isk jmd kes kgs khr kpw kyd kzt lak lbp lkr lrd lsl lyd mad mdl mkd mmk mnt mop mru \
    mur mvr mwk mxn mxv myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sdg sek \
    sgd shp sle sll sos srd ssp std stn svc syp szl thb tjs tmt top try ttd twd tzs uah ugx usd usn uyu uzs ved ves \
    wst xcd xcg yer zar zmw zwg zwl";

/// The most decimals that a setting may give a currency; no currency in use has more.
const MOST_DECIMALS: u32 = 4;

/// Stripe's table of decimals, and what an operator knows better about single currencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exponents {
    overrides: BTreeMap<Currency, u32>,
}

impl Exponents {
    /// Stripe's table as it is.
    pub fn stripe() -> Self {
        Self::default()
    }

    /// The same table with another exponent for one currency, known or not.
    pub fn with_override(mut self, code: &str, exponent: u32) -> Result<Self, MoneyError> {
        let currency = Currency::new(code)?;
        if exponent > MOST_DECIMALS {
            return Err(MoneyError::Exponent { currency, exponent });
        }
        self.overrides.insert(currency, exponent);
        Ok(self)
    }

    /// The power of ten between minor and major units; nothing for a code that is not known.
    pub fn of(&self, currency: Currency) -> Option<u32> {
        if let Some(exponent) = self.overrides.get(&currency) {
            return Some(*exponent);
        }
        let code = currency.as_str();
        if NO_DECIMALS.contains(&code) {
            Some(0)
        } else if THREE_DECIMALS.contains(&code) {
            Some(3)
        } else if TWO_DECIMALS
            .split_ascii_whitespace()
            .any(|known| known == code)
        {
            Some(2)
        } else {
            None
        }
    }

    /// Whether amounts that flow this way are whole units by Stripe's rule: then a fraction of zero is not shown.
    pub(super) fn is_whole(currency: Currency, flow: Flow) -> bool {
        let code = currency.as_str();
        HUNDREDTHS_IN_NAME_ONLY.contains(&code)
            || flow == Flow::Payout && WHOLE_PAYOUTS.contains(&code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(code: &str) -> Option<u32> {
        Exponents::stripe().of(Currency::new(code).unwrap())
    }

    #[test]
    fn the_table_is_stripes_and_not_isos() {
        for (code, exponent) in [
            ("jpy", Some(0)),
            ("krw", Some(0)),
            ("mga", Some(0)),
            ("xpf", Some(0)),
            ("kwd", Some(3)),
            ("tnd", Some(3)),
            ("usd", Some(2)),
            ("isk", Some(2)),
            ("ugx", Some(2)),
            ("huf", Some(2)),
            ("twd", Some(2)),
            ("iqd", Some(2)),
            ("lyd", Some(2)),
            ("mru", Some(2)),
            ("xyz", None),
            ("btc", None),
            ("xau", None),
        ] {
            assert_eq!(of(code), exponent, "{code}");
        }
    }

    #[test]
    fn no_code_stands_in_two_lists() {
        let mut seen = BTreeSet::new();
        for code in NO_DECIMALS
            .iter()
            .chain(&THREE_DECIMALS)
            .copied()
            .chain(TWO_DECIMALS.split_ascii_whitespace())
        {
            assert_eq!(Currency::new(code).unwrap().as_str(), code);
            assert!(seen.insert(code), "{code} stands twice");
        }
        let mut whole = HUNDREDTHS_IN_NAME_ONLY.iter().chain(&WHOLE_PAYOUTS);
        assert!(whole.all(|code| of(code) == Some(2)));
    }

    #[test]
    fn an_override_changes_one_currency() {
        let table = Exponents::stripe()
            .with_override("UGX", 0)
            .unwrap()
            .with_override("xyz", 4)
            .unwrap();
        assert_eq!(table.of(Currency::new("ugx").unwrap()), Some(0));
        assert_eq!(table.of(Currency::new("xyz").unwrap()), Some(4));
        assert_eq!(table.of(Currency::new("isk").unwrap()), Some(2));
        assert!(Exponents::stripe().with_override("usd", 5).is_err());
        assert!(Exponents::stripe().with_override("dollars", 2).is_err());
    }
}
