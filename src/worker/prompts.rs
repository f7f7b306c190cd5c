//! The prompts that runs are decided with, while a worker works: exchanged as a whole, for runs that begin afterwards.

use std::sync::{Arc, PoisonError};

use super::{Deciding, Worker};
use crate::agent::prompts::Prompts;

impl Worker {
    /// What a run that begins now is decided with. Whoever holds it keeps it to the end of the run, so that no run is
    /// told one half by one set of prompts and the other by the next.
    pub(super) fn deciding(&self) -> Arc<Deciding> {
        self.deciding
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The prompts that a run which begins now is decided with.
    pub fn prompts(&self) -> Arc<Prompts> {
        self.deciding().prompts.clone()
    }

    /// Has runs that begin from now on decided with these prompts. One that has begun ends with those it began with; one
    /// that is taken up from its journal starts over if it would be told something else now.
    pub fn adopt(&self, prompts: Prompts) {
        let mut deciding = self
            .deciding
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *deciding = Arc::new(Deciding {
            prompts: Arc::new(prompts),
            ..Deciding::clone(&deciding)
        });
    }
}
