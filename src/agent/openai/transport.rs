//! One exchange with a server, below the client library: time limits, a bound on what is read, and whatever came back
//! brought into the one shape that the library reads.
//!
//! The library never sees a body that it could not parse: it would log the whole of it, and keep the status for itself.
//! Nothing is tried again here.

use std::time::Duration;

use async_openai::middleware::HttpRequestFactory;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::time::timeout;

use super::error::Failure;
use super::observed::chunk_came;
use super::profile::OPTIONAL;
use super::stream;

/// The largest answer that is read.
const LARGEST: usize = 4 << 20;

/// Sends what `factory` makes, and answers with JSON, or with a [`Failure`] as its error.
pub(super) async fn exchange(
    client: Client,
    factory: HttpRequestFactory,
    first_byte: Duration,
) -> Result<Response, tower::BoxError> {
    let request = factory.build().await?;
    let silent = |_elapsed| Failure::timeout(format!("no answer began within {first_byte:?}"));
    let mut response = timeout(first_byte, client.execute(request))
        .await
        .map_err(silent)?
        .map_err(|error| broken(&error))?;
    let first = timeout(first_byte, response.chunk())
        .await
        .map_err(silent)?
        .map_err(|error| broken(&error))?;
    chunk_came();
    let mut body = Vec::new();
    let mut next = first;
    while let Some(chunk) = next {
        if body.len() + chunk.len() > LARGEST {
            return Err(Failure::again(format!("answered more than {LARGEST} bytes")).into());
        }
        body.extend_from_slice(&chunk);
        next = response.chunk().await.map_err(|error| broken(&error))?;
    }
    let (status, headers) = (response.status(), response.headers());
    if !status.is_success() {
        return Err(Failure::of_answer(status.as_u16(), headers, &body, &OPTIONAL).into());
    }
    let is_stream = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let answer: Value = if is_stream {
        stream::assemble(&body).await?
    } else {
        serde_json::from_slice(&body)
            .map_err(|_no_json| Failure::again("answered something that is no JSON"))?
    };
    let answer = hyper::Response::new(answer.to_string().into_bytes());
    Ok(Response::from(answer))
}

/// A line that failed, in our words: the library's contain the address.
fn broken(error: &reqwest::Error) -> Failure {
    Failure::again(if error.is_connect() {
        "cannot be reached"
    } else {
        "the connection broke"
    })
}
