//! What an HTTP answer of Stripe's means: the object, or which error, and whether to ask again
//! (docs.stripe.com/error-low-level, docs.stripe.com/rate-limits).

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::Fetched;
use super::error::ApiError;
use crate::clock::Timestamp;
use crate::retry::retry_after;
use crate::stripe::text::{MAX_ID_CHARS, clip, remove_nul};

/// The largest answer that is read. A hundred events of ordinary size are under one.
pub(super) const MAX_BODY: usize = 16 << 20;
/// The longest wait that Stripe may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);
/// How Stripe's errors begin that name what a restricted key lacks.
const PERMISSION: &str = "rak_";

/// A try that came to nothing.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: ApiError,
    /// Whether another try may come to something.
    pub(super) again: bool,
}

impl Failed {
    pub(super) fn for_good(error: ApiError) -> Self {
        Self {
            error,
            again: false,
        }
    }

    pub(super) fn once(error: ApiError) -> Self {
        Self { error, again: true }
    }

    /// How long Stripe wants to be left alone.
    pub(super) fn pause(&self) -> Duration {
        match self.error {
            ApiError::Limited { retry_after } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }
}

/// Reads an answer to its end.
pub(super) async fn read(mut response: Response) -> Result<Fetched, Failed> {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let body = read_body(response).await?;
    if status.is_success() {
        let mut body: Value = serde_json::from_slice(&body)
            .map_err(|error| Failed::for_good(ApiError::NotJson(error)))?;
        remove_nul(&mut body);
        return Ok(Fetched {
            body,
            date: date(&headers),
            version: header(&headers, "stripe-version"),
        });
    }
    let again = match header(&headers, "stripe-should-retry").as_deref() {
        Some("true") => true,
        Some("false") => false,
        _ => {
            status.is_server_error()
                || matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS
                        | StatusCode::REQUEST_TIMEOUT
                        | StatusCode::CONFLICT
                )
        }
    };
    Err(Failed {
        error: error(status, &headers, &body),
        again,
    })
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, Failed> {
    let too_large = || Failed::for_good(ApiError::TooLarge);
    if response
        .content_length()
        .is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > MAX_BODY))
    {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|error| Failed::once(ApiError::unreachable(error)))?;
        let Some(chunk) = chunk else {
            return Ok(body);
        };
        if body.len() + chunk.len() > MAX_BODY {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
}

fn error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ApiError {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let says = body.as_ref().and_then(|body| body.get("error"));
    let word = |key: &str| {
        let text = says?.get(key)?.as_str()?;
        // Codes and names only: anything longer is prose, and may repeat what nobody should read.
        (is_word(text)).then(|| text.to_owned())
    };
    let code = word("code").or_else(|| word("type"));
    let param = word("param");
    // That an item is gone which a page was to begin behind says nothing about what is listed.
    let is_cursor = matches!(param.as_deref(), Some("starting_after" | "ending_before"));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ApiError::Denied {
            status: status.as_u16(),
            permission: says.and_then(permission),
            code,
        },
        // An address that is not Stripe's answers 404, too, and says nothing about any object.
        StatusCode::NOT_FOUND if says.is_some() && !is_cursor => ApiError::Gone,
        StatusCode::BAD_REQUEST if code.as_deref() == Some("resource_missing") && !is_cursor => {
            ApiError::Gone
        }
        StatusCode::TOO_MANY_REQUESTS => ApiError::Limited {
            retry_after: retry_after(headers, MAX_RETRY_AFTER),
        },
        status
            if status.is_server_error()
                || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT) =>
        {
            ApiError::Unavailable {
                what: format!("answered {}", status.as_u16()),
                source: None,
            }
        }
        status if status.is_redirection() => ApiError::Redirected {
            status: status.as_u16(),
        },
        status => ApiError::Refused {
            status: status.as_u16(),
            code,
            param,
            request: header(headers, "request-id"),
        },
    }
}

/// The permission that Stripe says is missing: its message names it, its code does not.
fn permission(error: &Value) -> Option<String> {
    let message = error.get("message")?.as_str()?;
    message
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .find(|word| word.starts_with(PERMISSION) && is_word(word))
        .map(str::to_owned)
}

fn is_word(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| clip(text, MAX_ID_CHARS).to_owned())
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let moment = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_seconds(moment.as_second()))
}
