//! What an endpoint takes. The configuration says what it should; a 400 that names a field takes that one away.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::ModelProfile;

/// Tools are to be called exactly as their schema says.
pub(super) const STRICT: &str = "strict";
/// Several calls may come in one reply.
pub(super) const PARALLEL: &str = "parallel_tool_calls";
/// What a streamed answer ends with.
pub(super) const STREAM_OPTIONS: &str = "stream_options";
/// How long a reply may be, reasoning included.
pub(super) const MAX_COMPLETION_TOKENS: &str = "max_completion_tokens";
/// The same under its older name.
pub(super) const MAX_TOKENS: &str = "max_tokens";

/// The fields that not every server knows. Without them a request means the same.
pub(super) const OPTIONAL: [&str; 5] = [
    STRICT,
    PARALLEL,
    STREAM_OPTIONS,
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
];

/// The profile of one endpoint, and what was learned of it since the process began.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) configured: ModelProfile,
    refused: [AtomicBool; OPTIONAL.len()],
}

impl Profile {
    pub(super) fn new(configured: ModelProfile) -> Self {
        Self {
            configured,
            refused: Default::default(),
        }
    }

    /// Whether a field was never refused.
    pub(super) fn takes(&self, field: &str) -> bool {
        self.refusal(field)
            .is_none_or(|refused| !refused.load(Ordering::Relaxed))
    }

    /// Leaves a field out from now on; false where it was left out already.
    pub(super) fn leave_out(&self, field: &str) -> bool {
        self.refusal(field)
            .is_some_and(|refused| !refused.swap(true, Ordering::Relaxed))
    }

    fn refusal(&self, field: &str) -> Option<&AtomicBool> {
        let at = OPTIONAL.iter().position(|known| *known == field)?;
        self.refused.get(at)
    }
}
