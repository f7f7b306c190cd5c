//! Asking a model's servers whether they would answer, for `doctor`: the list of their models, which costs nothing; and
//! where that does not settle it, one short question.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::OpenAi;
use super::endpoint::Endpoint;
use super::error::{Failure, Then};
use crate::agent::model::{Message, Request};

/// The largest list of models that is read.
const LARGEST: usize = 4 << 20;

/// What came of asking an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The endpoint's name in the configuration.
    pub endpoint: String,
    /// The model's name there.
    pub model: String,
    /// What was found.
    pub found: Found,
}

/// Whether an endpoint would answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its list of models has ours.
    Listed,
    /// It answered a short question.
    Answers,
    /// It does not take the key, or not for this model.
    Key(u16),
    /// It has no such model, or nothing is where it is asked.
    Missing,
    /// Money or its quota is used up.
    Spent(String),
    /// It is away, overloaded or too slow; it may mend by itself.
    Away(String),
    /// It does not take the question at all.
    Refused(String),
}

impl OpenAi {
    /// Asks each endpoint, all at once, and takes `limit` for it at most.
    pub async fn probe(&self, limit: Duration) -> Vec<Probed> {
        let asking = self.endpoints.iter().map(async |endpoint| Probed {
            endpoint: endpoint.name.clone(),
            model: endpoint.model.clone(),
            found: probe(endpoint, limit).await,
        });
        join_all(asking).await
    }
}

async fn probe(endpoint: &Endpoint, limit: Duration) -> Found {
    let deadline = Instant::now() + limit;
    let first = endpoint.attempt_timeout.min(limit / 3);
    match timeout(first, list(endpoint)).await {
        Ok(Ok(models)) if models.iter().any(|id| is(id, &endpoint.model)) => return Found::Listed,
        Ok(Err(status @ 401)) => return Found::Key(status),
        // A key may be kept from the list, as 403 says, and yet be good for a question.
        // Some list only a part of what they have, some nothing.
        _ => {}
    }
    let request = Request {
        messages: vec![Message::User {
            content: "Answer with one word: ok".to_owned(),
        }],
        tools: Vec::new(),
        owed: Vec::new(),
        deadline: Some(deadline),
    };
    match endpoint.ask(&request).await {
        Ok(_) => Found::Answers,
        Err(failure) => of_failure(&failure),
    }
}

fn of_failure(failure: &Failure) -> Found {
    let reason = failure.to_string();
    match (failure.status, &failure.then) {
        (Some(status @ (401 | 403)), _) => Found::Key(status),
        (Some(404), _) => Found::Missing,
        (_, Then::Leave) => Found::Spent(reason),
        (_, Then::Again) => Found::Away(reason),
        (_, Then::Without(_) | Then::Never) => Found::Refused(reason),
    }
}

/// The ids of a server's models; else the status that it answered with, 0 where there was no answer that could be read.
async fn list(endpoint: &Endpoint) -> Result<Vec<String>, u16> {
    let request = endpoint.get("/models");
    let mut response = request.send().await.map_err(|_away| 0_u16)?;
    let status = response.status();
    if !status.is_success() {
        return Err(status.as_u16());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_broken| 0_u16)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(0);
        }
        body.extend_from_slice(&chunk);
    }
    let body: Value = serde_json::from_slice(&body).map_err(|_no_json| 0_u16)?;
    let models = body.get("data").and_then(Value::as_array);
    let ids = models.into_iter().flatten();
    let ids = ids.filter_map(|model| model.get("id")?.as_str());
    Ok(ids.map(str::to_owned).collect())
}

/// Some servers put a folder before the name.
fn is(id: &str, model: &str) -> bool {
    id == model
        || id
            .strip_suffix(model)
            .is_some_and(|rest| rest.ends_with('/'))
}
