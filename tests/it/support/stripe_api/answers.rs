//! What Stripe answers: one object, or a page of a list, or an error in its own words.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use super::{Asked, OWN_ACCOUNT, Shelf};

/// Events are listed for so long, in seconds (docs.stripe.com/api/events).
const KEPT: i64 = 30 * 86_400;
/// Events may be narrowed down to so many types at once.
const MOST_TYPES: usize = 20;

/// What is listed, even while there is none.
const LISTS: [&str; 15] = [
    "account",
    "checkout.session",
    "customer",
    "subscription",
    "subscription_schedule",
    "invoice",
    "invoice_payment",
    "credit_note",
    "payment_intent",
    "charge",
    "refund",
    "dispute",
    "radar.early_fraud_warning",
    "review",
    "payout",
];

/// Where Stripe lists objects of a kind.
pub(super) fn list_of(kind: &str) -> String {
    let name = match kind {
        "checkout.session" => "checkout/sessions",
        "radar.early_fraud_warning" => "radar/early_fraud_warnings",
        kind => return format!("/v1/{kind}s"),
    };
    format!("/v1/{name}")
}

type Answer = (u16, Value);

fn refusal(status: u16, code: &str, param: Option<&str>) -> Answer {
    let error = json!({
        "error": { "type": "invalid_request_error", "code": code, "param": param, "message": "prose of Stripe's" }
    });
    (status, error)
}

impl Shelf {
    pub(super) fn answer(&self, asked: &Asked) -> Answer {
        match self.usual_answer(asked) {
            (400, body)
                if self.lost_place_is_gone && body["error"]["param"] == "starting_after" =>
            {
                (404, body)
            }
            answer => answer,
        }
    }

    fn usual_answer(&self, asked: &Asked) -> Answer {
        if asked.method != Method::GET {
            return refusal(405, "method_not_allowed", None);
        }
        let Some(livemode) = asked.header("authorization").and_then(mode_of_key) else {
            return (
                401,
                json!({ "error": { "message": "Invalid API Key provided: sk_test_***" } }),
            );
        };
        if asked.path.starts_with("/v2/") && asked.header("stripe-version").is_none() {
            return refusal(400, "api_version_required", None);
        }
        let account = asked
            .header("stripe-account")
            .or_else(|| asked.header("stripe-context"));
        let account = account.filter(|account| *account != OWN_ACCOUNT);
        if account.is_some_and(|account| self.disconnected.iter().any(|gone| gone == account)) {
            return refusal(403, "account_invalid", None);
        }
        if let Some((_, permission)) = self
            .lacks
            .iter()
            .find(|(path, _)| asked.path.starts_with(*path))
        {
            let message = format!(
                "The provided key 'rk_test_***' does not have the required permissions for this endpoint. Having the '{permission}' permission would allow this request to continue."
            );
            return (
                403,
                json!({ "error": { "type": "invalid_request_error", "message": message } }),
            );
        }
        if asked.path == "/v1/account" {
            let own = json!({ "id": account.unwrap_or(OWN_ACCOUNT), "object": "account" });
            return (200, own);
        }
        if asked.path == "/v1/events" {
            return self.list_events(asked, account, livemode);
        }
        let is_mine = |of: &Option<String>, object: &Value| {
            of.as_deref() == account && object.get("livemode").is_none_or(|mode| *mode == livemode)
        };
        let one = self
            .objects
            .iter()
            .find(|(of, path, object)| is_mine(of, object) && *path == asked.path);
        if let Some((_, _, object)) = one {
            return (200, object.clone());
        }
        let below = format!("{}/", asked.path);
        let is_list = LISTS.iter().any(|kind| list_of(kind) == asked.path)
            || self
                .objects
                .iter()
                .any(|(_, path, _)| path.starts_with(&below));
        if !is_list {
            return refusal(404, "resource_missing", Some("id"));
        }
        let rows = self.objects.iter().filter(|(of, path, object)| {
            let direct = path
                .strip_prefix(&below)
                .is_some_and(|rest| !rest.contains('/'));
            direct && is_mine(of, object) && is_listed(asked, object)
        });
        page(asked, rows.map(|(_, _, object)| object).collect())
    }

    fn list_events(&self, asked: &Asked, account: Option<&str>, livemode: bool) -> Answer {
        let types: BTreeSet<&str> = asked
            .query
            .iter()
            .filter(|(name, _)| name == "types[]" || name.starts_with("types["))
            .map(|(_, value)| value.as_str())
            .collect();
        let one_type = asked.parameter("type");
        if types.len() > MOST_TYPES || (one_type.is_some() && !types.is_empty()) {
            return refusal(400, "parameter_invalid", Some("types"));
        }
        let is_type = |event: &Value| {
            let kind = event["type"].as_str().unwrap();
            let fits = |wanted: &str| match wanted.strip_suffix('*') {
                Some(prefix) => kind.starts_with(prefix),
                None => kind == wanted,
            };
            one_type.is_none_or(fits) && (types.is_empty() || types.contains(kind))
        };
        // Listed are those that some endpoint has not taken yet; whether ours has, Stripe does not say.
        let undelivered = asked.parameter("delivery_success") == Some("false");
        let rows = self.events.iter().filter(|(of, event)| {
            of.as_deref() == account
                && event["livemode"] == livemode
                && event["created"].as_i64().unwrap() > self.now - KEPT
                && is_type(event)
                && !(undelivered && event["pending_webhooks"] == 0)
        });
        let mut rows: Vec<&Value> = rows.map(|(_, event)| event).collect();
        rows.sort_by_key(|event| event["created"].as_i64());
        let rows = rows.into_iter().filter(|event| is_within(asked, event));
        page(asked, rows.collect())
    }
}

fn mode_of_key(authorization: &str) -> Option<bool> {
    let key = authorization.strip_prefix("Bearer ")?;
    let rest = key
        .strip_prefix("sk_")
        .or_else(|| key.strip_prefix("rk_"))?;
    Some(rest.starts_with("live_"))
}

/// Without a status, canceled subscriptions are left out (docs.stripe.com/api/subscriptions/list).
fn is_listed(asked: &Asked, object: &Value) -> bool {
    let wanted = asked.parameter("status");
    let status = object["status"].as_str();
    let fits = match wanted {
        Some("all") => true,
        Some(wanted) => status == Some(wanted),
        None => !(object["object"] == "subscription" && status == Some("canceled")),
    };
    fits && is_within(asked, object) && object.get("deleted").is_none()
}

fn is_within(asked: &Asked, object: &Value) -> bool {
    let created = object["created"].as_i64();
    let bound = |name: &str| {
        asked
            .parameter(name)
            .map(|text| text.parse::<i64>().unwrap())
    };
    let fits = |name: &str, holds: fn(i64, i64) -> bool| {
        bound(name).is_none_or(|bound| created.is_some_and(|created| holds(created, bound)))
    };
    fits("created[gte]", |created, bound| created >= bound)
        && fits("created[gt]", |created, bound| created > bound)
        && fits("created[lte]", |created, bound| created <= bound)
        && fits("created[lt]", |created, bound| created < bound)
}

/// A page of `rows`, which stand oldest first (docs.stripe.com/api/pagination).
fn page(asked: &Asked, mut rows: Vec<&Value>) -> Answer {
    rows.reverse();
    let limit: usize = asked
        .parameter("limit")
        .map_or(10, |limit| limit.parse().unwrap());
    if !(1..=100).contains(&limit) {
        return refusal(400, "parameter_invalid_integer", Some("limit"));
    }
    let position = |name: &str| {
        let id = asked.parameter(name)?;
        Some(
            rows.iter()
                .position(|row| row["id"] == id)
                .ok_or_else(|| refusal(400, "resource_missing", Some(name))),
        )
    };
    let (rows, more) = match (position("starting_after"), position("ending_before")) {
        (Some(_), Some(_)) => return refusal(400, "parameter_unknown", Some("ending_before")),
        (Some(Err(error)), _) | (_, Some(Err(error))) => return error,
        (_, Some(Ok(end))) => {
            let start = end.saturating_sub(limit);
            (rows[start..end].to_vec(), start > 0)
        }
        (Some(Ok(start)), _) => {
            let rest = &rows[start + 1..];
            (
                rest.iter().take(limit).copied().collect(),
                rest.len() > limit,
            )
        }
        (None, None) => {
            let more = rows.len() > limit;
            rows.truncate(limit);
            (rows, more)
        }
    };
    (
        200,
        json!({ "object": "list", "url": asked.path, "has_more": more, "data": rows }),
    )
}
