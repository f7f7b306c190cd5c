//! Problems: the one way in which a request is refused (RFC 9457, `application/problem+json`).
//!
//! A [`Problem`] travels in the response's extensions until `envelope` writes its body, because only there the request
//! id is known. What went wrong below stays in `source`, is logged there once, and never reaches a body.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::store::StoreError;

/// Why a request is refused.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The last part of `type`: one word for each thing a caller may want to tell apart.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: Box<str>,
    /// Members of the body beyond the standard's.
    pub(super) members: Vec<(&'static str, Value)>,
    /// What is logged, and never shown.
    pub(super) source: Option<Arc<dyn Error + Send + Sync>>,
    /// In seconds.
    retry_after: Option<u32>,
    challenge: Option<&'static str>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        name: &'static str,
        title: &'static str,
        detail: impl Into<Box<str>>,
    ) -> Self {
        Self {
            status,
            name,
            title,
            detail: detail.into(),
            members: Vec::new(),
            source: None,
            retry_after: None,
            challenge: None,
        }
    }

    /// The problem of an answer that only has a status: the framework's own refusals, a time limit.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(
                status,
                "not-found",
                "Not found",
                "there is nothing at this address",
            ),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                status,
                "method-not-allowed",
                "Method not allowed",
                "this address does not take this method; the header `Allow` names those it takes",
            ),
            StatusCode::SERVICE_UNAVAILABLE => Self::new(
                status,
                "timeout",
                "Out of time",
                "the request could not be finished in time; send it again",
            )
            .retry_after(Duration::from_secs(5)),
            status if status.is_client_error() => Self::new(
                status,
                "bad-request",
                "The request cannot be understood",
                "the request cannot be understood; check its address and headers",
            ),
            status => Self::new(
                status,
                "internal",
                "Internal error",
                "something went wrong here; the log says what, under this request id",
            ),
        }
    }

    pub(super) fn bad_parameter(name: &str, expected: &str) -> Self {
        let mut problem = Self::new(
            StatusCode::BAD_REQUEST,
            "invalid-parameter",
            "Invalid parameter",
            format!("`{name}` {expected}"),
        );
        problem.members.push(("parameter", Value::from(name)));
        problem
    }

    pub(super) fn missing(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            format!("there is no such {what}"),
        )
    }

    #[must_use]
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1)),
            ..self
        }
    }

    /// Says how a client proves who it is, as every 401 must.
    #[must_use]
    pub(super) fn challenge(self, challenge: &'static str) -> Self {
        Self {
            challenge: Some(challenge),
            ..self
        }
    }

    #[must_use]
    pub(super) fn caused_by(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            source: Some(Arc::new(source)),
            ..self
        }
    }

    /// The body of the answer.
    pub(super) fn body(&self, request_id: &str) -> Value {
        let mut body = Map::new();
        body.insert(
            "type".to_owned(),
            format!("urn:billhook:problem:{}", self.name).into(),
        );
        body.insert("title".to_owned(), self.title.into());
        body.insert("status".to_owned(), self.status.as_u16().into());
        body.insert("detail".to_owned(), (*self.detail).into());
        body.insert("request_id".to_owned(), request_id.into());
        body.extend(
            self.members
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        Value::Object(body)
    }

    /// What went wrong below, outermost first, for the log.
    pub(super) fn causes(&self) -> String {
        let mut causes = Vec::new();
        let mut cause: Option<&(dyn Error + 'static)> = self
            .source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn Error + 'static));
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes.join(": ")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(wait) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// A verb that failed while something was read: trying again may do, and what failed is not the caller's to know. Only
/// where a page was to go on is the caller's own, and is answered like a parameter that Stripe does not know.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let StoreError::NoSuch { object, id } = &error {
            let mut problem = Self::new(
                StatusCode::BAD_REQUEST,
                "invalid-parameter",
                "Invalid parameter",
                format!(
                    "No such {object}: '{id}'; `starting_after` is the id of a row of this list"
                ),
            );
            problem
                .members
                .push(("parameter", Value::from("starting_after")));
            return problem;
        }
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The database does not answer",
            "the database could not answer; try again in a moment",
        )
        .retry_after(Duration::from_secs(5))
        .caused_by(error)
    }
}
