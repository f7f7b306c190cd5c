//! A model that says what it was told to: for tests and evals, hostile models above all.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::agent::model::{Model, ModelError, Reply, Request};

/// Looks at a request and how many came before it, and answers.
type Answer = dyn Fn(&Request, usize) -> Result<Reply, ModelError> + Send + Sync;

/// Answers from a list, then says nothing more; or as a function says.
pub struct Scripted {
    answer: Box<Answer>,
    asked: Mutex<Vec<Request>>,
}

impl Scripted {
    /// A model that gives these replies in order.
    pub fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        Self::answering(move |_, before| Ok(replies.get(before).cloned().unwrap_or_default()))
    }

    /// A model that looks at the request and at how many came before it, and may fail.
    pub fn answering(
        answer: impl Fn(&Request, usize) -> Result<Reply, ModelError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Box::new(answer),
            asked: Mutex::default(),
        }
    }

    /// Every request it got so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Model for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn reply(&self, request: &Request) -> Result<Reply, ModelError> {
        let before = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push(request.clone());
            asked.len() - 1
        };
        (self.answer)(request, before)
    }
}
