//! Durations as people write them: `500ms`, `10s`, `5m`, `72h`, `3d`.
//!
//! Owns the notation, for the configuration and the command line. It never guesses a unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// A duration that was written as one number and one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpanError {
    /// It is not written as one.
    #[error(
        "`{0}` is no duration: write a whole number and a unit, such as 500ms, 10s, 5m, 72h or 3d"
    )]
    Notation(String),
    /// It is written as one, and longer than anything that happens here.
    #[error("`{0}` is too long: write {longest} or less", longest = Span(LONGEST))]
    TooLong(String),
}

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Sums with a timestamp must stay far from the ends of what 64 bits of microseconds can say.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let error = || SpanError::Notation(text.to_owned());
        // `ms` stands before `s` in the table, so that it is not read as a number that ends in an m.
        let (number, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
            .ok_or_else(error)?;
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let duration = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .map(Duration::from_millis)
            .filter(|duration| *duration <= LONGEST)
            .ok_or_else(|| SpanError::TooLong(text.to_owned()))?;
        Ok(Self(duration))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (unit, factor) = UNITS
            .iter()
            .rev()
            .find(|(_, factor)| millis > 0 && millis.is_multiple_of(u128::from(*factor)))
            .unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", millis / u128::from(*factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_each_unit() {
        let cases = [
            ("500ms", 500),
            ("0s", 0),
            ("10s", 10_000),
            ("5m", 300_000),
            ("72h", 259_200_000),
            ("3d", 259_200_000),
        ];
        for (text, millis) in cases {
            assert_eq!(
                text.parse(),
                Ok(Span(Duration::from_millis(millis))),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for text in [
            "", "10", "s", "10 s", " 10s", "1.5h", "-3s", "+3s", "10S", "1h30m", "10sec", "٣s",
        ] {
            let error = text.parse::<Span>().expect_err(text).to_string();
            let said = format!("`{text}` is no duration: ");
            assert!(error.starts_with(&said), "{error}");
        }
    }

    #[test]
    fn what_is_only_too_long_is_told_how_long_it_may_be() {
        for text in [
            "36501d",
            "1000000d",
            "99999999999999999999d",
            "18446744073709551615h",
        ] {
            let error = text.parse::<Span>().expect_err(text).to_string();
            let said = format!("`{text}` is too long: write 36500d or less");
            assert_eq!(error, said);
        }
        assert!("36500d".parse::<Span>().is_ok());
    }

    #[test]
    fn writes_the_largest_whole_unit() {
        for (text, written) in [("60s", "1m"), ("72h", "3d"), ("90s", "90s"), ("0d", "0ms")] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), written);
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(millis in 0..LONGEST.as_millis()) {
            let span = Span(Duration::from_millis(u64::try_from(millis).unwrap()));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
