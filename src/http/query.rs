//! Query parameters: each is known, given once and of the right kind, or the request is refused by its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::App;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::store::Page;

/// How many rows a list has when nobody says.
const DEFAULT_LIMIT: u32 = 10;
/// How many rows a list has at most.
const MAX_LIMIT: u32 = 100;
/// Longer than any id of Stripe's or ours.
const MAX_VALUE_CHARS: usize = 255;

/// The parameters of one request; what no handler takes is refused at the end.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl FromRequestParts<Arc<App>> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        let Query(pairs) =
            Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(|_error| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "invalid-query",
                    "The query cannot be read",
                    "the query cannot be read; write it as name=value&name=value, percent-encoded",
                )
            })?;
        Self::new(pairs)
    }
}

impl Parameters {
    fn new(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            if parameters.contains_key(&name) {
                return Err(Problem::bad_parameter(
                    &name,
                    "is given more than once; give it once",
                ));
            }
            if value.chars().count() > MAX_VALUE_CHARS || value.contains('\0') {
                return Err(Problem::bad_parameter(
                    &name,
                    "holds no value that anything here could have",
                ));
            }
            parameters.insert(name, value);
        }
        Ok(Self(parameters))
    }

    /// `limit` and `starting_after`.
    pub(super) fn page(&mut self) -> Result<Page, Problem> {
        let limit = match self.0.remove("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or_else(|| {
                    Problem::bad_parameter("limit", "must be a whole number from 1 to 100")
                })?,
        };
        let starting_after = self.text("starting_after")?;
        Ok(Page {
            limit,
            starting_after,
        })
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.0.remove(name) {
            Some(text) if text.is_empty() => Err(Problem::bad_parameter(
                name,
                "is empty; leave it out or give a value",
            )),
            text => Ok(text),
        }
    }

    /// One of the words that are known.
    pub(super) fn word(&mut self, name: &str, words: &[&str]) -> Result<Option<String>, Problem> {
        match self.text(name)? {
            Some(word) if !words.contains(&word.as_str()) => Err(Problem::bad_parameter(
                name,
                &format!("must be one of {}", words.join(", ")),
            )),
            word => Ok(word),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.text(name)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Problem::bad_parameter(name, "must be true or false")),
        }
    }

    /// A moment: seconds since 1970, or ISO 8601 (in UTC where it names no zone).
    pub(super) fn moment(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.text(name)?
            .map(|text| {
                moment(&text).ok_or_else(|| {
                    Problem::bad_parameter(
                        name,
                        "must be seconds since 1970 or an ISO 8601 time like 2026-01-31T12:00:00Z",
                    )
                })
            })
            .transpose()
    }

    /// Refuses whatever is left: a misspelled filter would otherwise show everything.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.0.keys().next() {
            Some(name) => Err(Problem::bad_parameter(
                name,
                "is not a parameter of this route",
            )),
            None => Ok(()),
        }
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        let moment = jiff::Timestamp::from_second(seconds).ok()?;
        return Some(Timestamp(moment.as_microsecond()));
    }
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil = text.parse::<DateTime>().ok().or_else(|| {
            Some(
                text.parse::<Date>()
                    .ok()?
                    .to_datetime(jiff::civil::Time::midnight()),
            )
        })?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(Timestamp(moment.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_or_iso_8601() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("1767225600", Some(1_767_225_600)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600)),
            ("2026-01-01T02:00:00+02:00", Some(1_767_225_600)),
            ("2026-01-01T00:00:00", Some(1_767_225_600)),
            ("2026-01-01", Some(1_767_225_600)),
            ("yesterday", None),
            ("99999999999999999", None),
            ("", None),
        ] {
            assert_eq!(moment(text).map(Timestamp::seconds), seconds, "{text}");
        }
    }
}
