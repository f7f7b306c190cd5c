//! Prompts that change while `serve` runs: noticed, checked as a whole, and adopted as a whole or not at all.
//!
//! The folder is looked at again and again instead of being told of by the kernel: that also sees what is changed on a
//! network's or a host's disk, a link that is turned to another folder, and the way in which Kubernetes swaps a
//! `ConfigMap`. A look reads a few small files, which costs less than a millisecond.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agent::prompts::{PromptFiles, Prompts, PromptsError};
use crate::shutdown::Hangups;
use crate::telemetry::in_one_line;
use crate::worker::Worker;

/// The pause between two looks at the folder.
const PAUSE: Duration = Duration::from_secs(1);

/// What there was at one look: the hash of all files, or why they cannot be read.
type Sight = Result<String, String>;

/// What has been seen of the folder.
struct Watch {
    /// What was dealt with last: adopted, or refused.
    settled: Sight,
    /// What the last look saw.
    last: Option<Sight>,
    /// Somebody wants it dealt with though nothing may have changed.
    is_asked: bool,
}

impl Watch {
    /// Whether what is there now is to be dealt with: it is another, or somebody asked, and two looks in a row saw the
    /// same. Files that are still being written do not stay the same.
    fn is_due(&mut self, sight: &Sight) -> bool {
        let rests = self.last.as_ref() == Some(sight);
        self.last = Some(sight.clone());
        if !rests || !(self.is_asked || self.settled != *sight) {
            return false;
        }
        self.settled.clone_from(sight);
        self.is_asked = false;
        true
    }

    /// Somebody asks: what is there is dealt with at the second look from now.
    fn ask(&mut self) {
        self.last = None;
        self.is_asked = true;
    }
}

/// Has a worker decide with what the folder of prompts holds.
pub(super) struct Reload {
    /// The folder; none where the built-in prompts are used.
    pub(super) folder: Option<PathBuf>,
    /// Who decides; nobody in a role that only takes in.
    pub(super) worker: Option<Arc<Worker>>,
    /// When somebody asks.
    pub(super) hangups: Hangups,
}

impl Reload {
    /// Until `stop`.
    pub(super) async fn work(mut self, stop: CancellationToken) {
        let (Some(folder), Some(worker)) = (self.folder.clone(), self.worker.clone()) else {
            return self.answer_only(stop).await;
        };
        let hash = worker.prompts().hash.clone();
        tell(&hash, 1.0);
        let mut watch = Watch {
            settled: Ok(hash),
            last: None,
            is_asked: false,
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.hangups.next() => {
                    tracing::info!("SIGHUP: the prompts are read again");
                    watch.ask();
                }
                () = tokio::time::sleep(PAUSE) => {}
            }
            let files = read(folder.clone()).await;
            let sight = match &files {
                Ok(files) => Ok(files.hash()),
                Err(error) => Err(in_one_line(error)),
            };
            if watch.is_due(&sight) {
                adopt(&worker, files).await;
            }
        }
    }

    /// Where there is nothing to reload a hangup must not end the process either, and whoever sent it is told why nothing
    /// happens.
    async fn answer_only(mut self, stop: CancellationToken) {
        if let Some(worker) = &self.worker {
            tell(&worker.prompts().hash, 1.0);
        }
        while stop
            .run_until_cancelled(self.hangups.next())
            .await
            .is_some()
        {
            tracing::warn!(
                "SIGHUP: there is nothing to reload, since no run is decided here or the built-in prompts are used; set `prompts.folder` to use your own"
            );
        }
    }
}

/// Reads the folder where blocking harms nobody.
async fn read(folder: PathBuf) -> Result<PromptFiles, PromptsError> {
    blocking(move || PromptFiles::read(&folder)).await
}

/// Adopts the files if nothing is wrong with them; else the prompts in use stay.
async fn adopt(worker: &Worker, files: Result<PromptFiles, PromptsError>) {
    let checked = match files {
        Ok(files) => blocking(move || Prompts::assemble(&files)?.in_order()).await,
        Err(error) => Err(error),
    };
    let outcome = match checked {
        Ok(prompts) if prompts.hash == worker.prompts().hash => {
            tracing::info!(hash = %prompts.hash, "the prompts are those in use");
            "unchanged"
        }
        Ok(prompts) => {
            let (old, new) = (worker.prompts(), prompts.hash.clone());
            let changed = changed(&old, &prompts);
            worker.adopt(prompts);
            tell(&old.hash, 0.0);
            tell(&new, 1.0);
            tracing::info!(
                old = %old.hash, hash = %new, playbooks = changed,
                "the prompts changed: runs that begin from now on are decided with them"
            );
            "adopted"
        }
        Err(error) => {
            tracing::error!(
                error = %in_one_line(&error),
                "the prompts are refused, and those in use stay; correct the file, `billhook prompts check` shows all that is wrong"
            );
            "refused"
        }
    };
    metrics::counter!("billhook_prompts_reloads_total", "outcome" => outcome).increment(1);
}

/// The playbooks whose runs are told something else now.
fn changed(old: &Prompts, new: &Prompts) -> String {
    let names = new.prints.iter();
    let names = names.filter(|(name, print)| old.prints.get(*name) != Some(print));
    let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

/// Shows which prompts are in use: 1 for those.
fn tell(hash: &str, value: f64) {
    metrics::gauge!("billhook_prompts_info", "hash" => hash.to_owned()).set(value);
}

/// Work that reads files or takes the processor for a while. A panic of it is a refusal.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PromptsError> + Send + 'static,
) -> Result<T, PromptsError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_panic| Err(PromptsError::Panicked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch {
            settled: Ok("a".to_owned()),
            last: None,
            is_asked: false,
        }
    }

    fn sees(watch: &mut Watch, sights: &[Result<&str, &str>]) -> Vec<bool> {
        let owned = |sight: &Result<&str, &str>| sight.map(str::to_owned).map_err(str::to_owned);
        sights
            .iter()
            .map(|sight| watch.is_due(&owned(sight)))
            .collect()
    }

    #[test]
    fn what_changed_is_dealt_with_once_it_rests() {
        let sights = [Ok("a"), Ok("a"), Ok("b"), Ok("c"), Ok("c"), Ok("c")];
        let due = [false, false, false, false, true, false];
        assert_eq!(sees(&mut watch(), &sights), due);
    }

    #[test]
    fn what_cannot_be_used_is_said_once_and_again_when_it_is_another() {
        let sights = [
            Err("x"),
            Err("x"),
            Err("x"),
            Err("y"),
            Err("y"),
            Ok("a"),
            Ok("a"),
        ];
        let due = [false, true, false, false, true, false, true];
        assert_eq!(sees(&mut watch(), &sights), due);
    }

    #[test]
    fn whoever_asks_is_answered_though_nothing_changed() {
        let mut watch = watch();
        assert_eq!(sees(&mut watch, &[Ok("a"), Ok("a")]), [false, false]);
        watch.ask();
        let sights = [Ok("a"), Ok("a"), Ok("a")];
        assert_eq!(sees(&mut watch, &sights), [false, true, false]);
    }
}
