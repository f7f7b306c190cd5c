//! How single values are read: secrets, addresses of services, optional texts.
//!
//! Owns what must not be printed. No error made here repeats the text of a key that may hold a secret.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer as _};
use serde::{Deserialize, Deserializer};

use super::span::Span;

/// What the `GenAI` conventions switch the content of spans by, and our key for it.
pub(super) const CAPTURE_CONTENT: (&str, &str) = (
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
    "telemetry.capture_content",
);

/// The conventions once wrote true or false, and now one of four words; we have spans only.
pub(super) fn as_switch<'a>(key: &str, value: &'a str) -> &'a str {
    match value {
        "SPAN_ONLY" | "SPAN_AND_EVENT" if key == CAPTURE_CONTENT.1 => "true",
        "NO_CONTENT" | "EVENT_ONLY" if key == CAPTURE_CONTENT.1 => "false",
        _ => value,
    }
}

/// The address of a database or another service. It may carry a password, so it prints without one.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// The whole address, password included: for connecting, never for printing.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands before the first colon, such as `postgres`.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

impl FromStr for ServiceUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("an address cannot contain spaces");
        }
        match text.split_once(':') {
            Some((scheme, rest))
                if !rest.is_empty()
                    && scheme.starts_with(|c: char| c.is_ascii_lowercase())
                    && scheme
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err("this is no address: it must start like postgres:// or https://"),
        }
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once(':').unwrap_or(("", &self.0));
        let (slashes, rest) = rest
            .strip_prefix("//")
            .map_or(("", rest), |rest| ("//", rest));
        write!(f, "{scheme}:{slashes}")?;
        // The last @ counts: a password that was not percent-encoded may hold an @ or a slash.
        let rest = match rest.rsplit_once('@') {
            Some((user, rest)) => {
                match user.split_once(':') {
                    Some((user, _)) => write!(f, "{user}:***@")?,
                    // A lone user of a web address is often a token.
                    None if scheme.starts_with("http") => write!(f, "***@")?,
                    None => write!(f, "{user}@")?,
                }
                rest
            }
            None => rest,
        };
        match rest.split_once('?') {
            Some((rest, _)) => write!(f, "{rest}?***"),
            None => f.write_str(rest),
        }
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Reads a duration.
pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parsed::<D, Span>(from).map(|span| span.0)
}

/// Reads a text through the type's own notation.
pub(super) fn parsed<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    String::deserialize(from)?
        .trim()
        .parse()
        .map_err(D::Error::custom)
}

/// Like [`parsed`], and an empty text means that the key is not set.
pub(super) fn optional<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    match String::deserialize(from)?.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(D::Error::custom),
    }
}

/// Reads one word of a few. The reader of files names what it got and not what it would take, so this asks the type itself.
pub(super) fn word<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(from)?.trim().into_deserializer())
}

/// Reads one secret; an empty text means that there is none.
pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    match String::deserialize(from)?.trim() {
        "" => Ok(None),
        text if text.chars().any(char::is_whitespace) => Err(D::Error::custom(
            "a secret cannot contain spaces or line breaks",
        )),
        text => Ok(Some(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_without_what_is_secret_in_them() {
        let cases = [
            ("sqlite://billhook.db", "sqlite://billhook.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            (
                "postgres://postgres@127.0.0.1:5432",
                "postgres://postgres@127.0.0.1:5432",
            ),
            (
                "postgres://app:hunter2@db/billhook",
                "postgres://app:***@db/billhook",
            ),
            (
                "postgres://app:hun/ter@2@db/billhook",
                "postgres://app:***@db/billhook",
            ),
            (
                "postgres://db/billhook?password=hunter2",
                "postgres://db/billhook?***",
            ),
            ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
            (
                "https://hunter2@llm.example/v1",
                "https://***@llm.example/v1",
            ),
        ];
        for (url, shown) in cases {
            let url: ServiceUrl = url.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in [
            "hunter2",
            "://hunter2",
            "postgres:",
            "Post gres://hunter2",
            "1x://hunter2",
        ] {
            let error = text.parse::<ServiceUrl>().expect_err(text);
            assert!(!error.contains("hunter2"));
        }
    }
}
