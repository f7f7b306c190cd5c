//! What a batch of deliveries writes, as each database takes many rows at once: SQLite as one JSON text, PostgreSQL as one
//! array a column.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::lane;
use crate::store::records::Delivery;
use crate::store::values::Arg;

fn status(delivery: &Delivery) -> &'static str {
    if delivery.ignored.is_some() {
        "ignored"
    } else {
        "pending"
    }
}

pub(super) fn envelopes(rows: &[&Delivery], sqlite: bool) -> Vec<Arg<'static>> {
    if sqlite {
        let json: Vec<Value> = rows
            .iter()
            .map(|d| {
                json!({
                    "id": d.event.id, "account": d.account, "livemode": i64::from(d.event.livemode), "type": d.event.kind,
                    "api_version": d.event.api_version, "endpoint": d.endpoint, "created": d.event.created.0,
                    "received_at": d.received_at.0, "customer": d.event.customer(), "object": d.event.object_id(),
                    "lane": lane(&d.account, d.event.livemode, &d.event), "status": status(d), "ignored": d.ignored,
                })
            })
            .collect();
        return vec![Arg::Owned(Value::Array(json).to_string())];
    }
    let texts = |of: &dyn Fn(&Delivery) -> String| Arg::Texts(rows.iter().map(|d| of(d)).collect());
    let maybe = |of: &dyn Fn(&Delivery) -> Option<String>| {
        Arg::OptTexts(rows.iter().map(|d| of(d)).collect())
    };
    let ints = |of: &dyn Fn(&Delivery) -> i64| Arg::Ints(rows.iter().map(|d| of(d)).collect());
    vec![
        texts(&|d| d.event.id.clone()),
        texts(&|d| d.account.clone()),
        ints(&|d| i64::from(d.event.livemode)),
        texts(&|d| d.event.kind.clone()),
        maybe(&|d| d.event.api_version.clone()),
        texts(&|d| d.endpoint.clone()),
        ints(&|d| d.event.created.0),
        ints(&|d| d.received_at.0),
        maybe(&|d| d.event.customer().map(str::to_owned)),
        maybe(&|d| d.event.object_id().map(str::to_owned)),
        texts(&|d| lane(&d.account, d.event.livemode, &d.event)),
        texts(&|d| status(d).to_owned()),
        maybe(&|d| d.ignored.clone()),
    ]
}

pub(super) fn admissions(rows: &[&Delivery], sqlite: bool) -> Vec<Arg<'static>> {
    let lane = |d: &Delivery| lane(&d.account, d.event.livemode, &d.event);
    if sqlite {
        let json: Vec<Value> = rows
            .iter()
            .map(|d| {
                json!({
                    "id": d.event.id, "account": d.account, "endpoint": d.endpoint,
                    "received_at": d.received_at.0, "lane": lane(d),
                })
            })
            .collect();
        return vec![Arg::Owned(Value::Array(json).to_string())];
    }
    let texts = |of: &dyn Fn(&Delivery) -> String| Arg::Texts(rows.iter().map(|d| of(d)).collect());
    vec![
        texts(&|d| d.event.id.clone()),
        texts(&|d| d.account.clone()),
        texts(&|d| d.endpoint.clone()),
        Arg::Ints(rows.iter().map(|d| d.received_at.0).collect()),
        texts(&lane),
    ]
}

pub(super) fn bodies<'a>(rows: &[&Delivery], blob: &'a [u8], sqlite: bool) -> Vec<Arg<'a>> {
    if sqlite {
        // SQLite counts bytes of a blob from 1.
        let mut offset = 1;
        let json: Vec<Value> = rows
            .iter()
            .map(|d| {
                let row = json!({
                    "id": d.event.id, "api_version": d.event.api_version, "received_at": d.received_at.0,
                    "offset": offset, "length": d.body.len(),
                });
                offset += d.body.len();
                row
            })
            .collect();
        return vec![Arg::Owned(Value::Array(json).to_string()), Arg::Bytes(blob)];
    }
    vec![
        Arg::Texts(rows.iter().map(|d| d.event.id.clone()).collect()),
        Arg::Texts(
            rows.iter()
                .map(|d| d.event.api_version.clone().unwrap_or_default())
                .collect(),
        ),
        Arg::Ints(rows.iter().map(|d| d.received_at.0).collect()),
        Arg::Blobs(rows.iter().map(|d| d.body.clone()).collect()),
    ]
}

pub(super) fn arrivals(rows: &[&Delivery], sqlite: bool) -> Vec<Arg<'static>> {
    let sha256 = |d: &Delivery| hex::encode(Sha256::digest(&d.body));
    if sqlite {
        let json: Vec<Value> = rows
            .iter()
            .map(|d| {
                json!({
                    "id": d.event.id, "endpoint": d.endpoint, "api_version": d.event.api_version,
                    "received_at": d.received_at.0, "sha256": sha256(d),
                })
            })
            .collect();
        return vec![Arg::Owned(Value::Array(json).to_string())];
    }
    vec![
        Arg::Texts(rows.iter().map(|d| d.event.id.clone()).collect()),
        Arg::Texts(rows.iter().map(|d| d.endpoint.clone()).collect()),
        Arg::Texts(
            rows.iter()
                .map(|d| d.event.api_version.clone().unwrap_or_default())
                .collect(),
        ),
        Arg::Ints(rows.iter().map(|d| d.received_at.0).collect()),
        Arg::Texts(rows.iter().map(|d| sha256(d)).collect()),
    ]
}
