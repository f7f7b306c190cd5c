//! Lists of the v1 API, page by page from the newest item on (docs.stripe.com/api/pagination).
//!
//! A cursor is the id of the last item seen, and items that are new meanwhile stand before it: what was listed is never
//! listed again, and what is new is not listed at all.

use std::collections::HashSet;

use serde_json::Value;

use super::error::ApiError;
use super::{Scope, StripeApi};
use crate::clock::Timestamp;
use crate::stripe::text::fits_an_id;

/// The most that Stripe puts on one page.
const LIMIT: usize = 100;
/// No list has more pages. A server that goes on for ever must not keep anybody for ever.
const MOST_PAGES: usize = 100_000;

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items, newest first.
    pub items: Vec<Value>,
    /// When Stripe answered, by its own clock.
    pub date: Option<Timestamp>,
    /// The API version that shaped the items.
    pub version: Option<String>,
}

/// A list that is being read.
#[derive(Debug)]
pub struct Pages<'a> {
    api: &'a StripeApi,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    scope: Scope<'a>,
    limit: usize,
    cursor: Option<String>,
    /// A server that repeats a cursor would be asked in a circle.
    seen: HashSet<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(
        api: &'a StripeApi,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        scope: Scope<'a>,
    ) -> Self {
        Self {
            api,
            path,
            query,
            scope,
            limit: LIMIT,
            cursor: None,
            seen: HashSet::new(),
            ended: false,
        }
    }

    /// The same list from behind an item on that was listed before.
    #[must_use]
    pub fn behind(mut self, id: Option<String>) -> Self {
        self.cursor = id;
        self
    }

    /// The item that the next page begins behind; none where no page follows, or none came before.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref().filter(|_| !self.ended)
    }

    /// The next page; none behind the last one.
    ///
    /// After an error the same page may be asked for again. One that is too large is asked for in smaller pieces.
    pub async fn next(&mut self) -> Result<Option<Page>, ApiError> {
        if self.ended {
            return Ok(None);
        }
        if self.seen.len() >= MOST_PAGES {
            return Err(self.wrong("does not end"));
        }
        let fetched = loop {
            let limit = self.limit.to_string();
            let mut query = self.query.to_vec();
            query.push(("limit", &limit));
            query.extend(self.cursor.as_deref().map(|id| ("starting_after", id)));
            match self.api.get(self.path, &query, &self.scope).await {
                Err(ApiError::TooLarge) if self.limit > 1 => self.limit /= 2,
                answer => break answer?,
            }
        };
        let Value::Object(mut list) = fetched.body else {
            return Err(self.wrong("is no list"));
        };
        let Some(Value::Array(items)) = list.remove("data") else {
            return Err(self.wrong("is no list"));
        };
        if list.get("has_more").and_then(Value::as_bool) == Some(true) {
            let last = items.last().and_then(|item| item.get("id")?.as_str());
            let Some(last) = last.filter(|id| fits_an_id(id)) else {
                return Err(self.wrong("has more, and nothing to go on from"));
            };
            if !self.seen.insert(last.to_owned()) {
                return Err(self.wrong("goes in a circle"));
            }
            self.cursor = Some(last.to_owned());
        } else {
            self.ended = true;
        }
        Ok(Some(Page {
            items,
            date: fetched.date,
            version: fetched.version,
        }))
    }

    fn wrong(&self, what: &'static str) -> ApiError {
        ApiError::NotAList {
            path: self.path.to_owned(),
            what,
        }
    }
}
