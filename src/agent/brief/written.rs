//! What a customer wrote and a model may read: nothing, unless the configuration says so, and then cleaned and without what
//! tells who somebody is.

use std::collections::BTreeMap;

use super::{Settings, Subject};
use crate::guardrails::limits::untrusted::{clean, without_persons};

/// The most characters of one text.
const MOST: usize = 500;

/// The texts by the names of their fields.
pub(super) fn of(subject: &Subject<'_>, settings: &Settings) -> BTreeMap<&'static str, String> {
    let standing = subject.standing;
    let row = |row: &Option<(String, crate::stripe::view::View)>, field: &str| {
        let (_, row) = row.as_ref()?;
        row.text(field).map(str::to_owned)
    };
    let own: Vec<String> = ["name", "email"]
        .iter()
        .filter_map(|field| row(&standing.customer, field))
        .collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let comment = row(&standing.subscription, "cancellation_comment")
        .filter(|_| settings.cancellation_comment)
        .map(|raw| without_persons(&clean(&raw, MOST), &own))
        .filter(|text| !text.is_empty());
    comment
        .map(|text| ("cancellation_comment", text))
        .into_iter()
        .collect()
}
