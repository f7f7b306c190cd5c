//! What a round of posts came to: answers by status, and how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::post::Answered;
use crate::cli::Answer;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// What came of all posts.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    object: &'static str,
    posted: usize,
    /// Answers by status.
    statuses: BTreeMap<u16, u64>,
    /// What the first answer of each status other than 2xx says.
    problems: BTreeMap<u16, String>,
    /// Answers by what they say: `accepted`, `duplicate`.
    answers: BTreeMap<String, u64>,
    unreachable: u64,
    reason: Option<String>,
    latency_ms: Option<Latency>,
    seconds: f64,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Latency {
    min: f64,
    p50: f64,
    p99: f64,
    max: f64,
}

impl Report {
    pub(super) fn new(answers: Vec<Answered>, took: Duration) -> Self {
        let mut report = Self {
            object: "send_report",
            posted: answers.len(),
            statuses: BTreeMap::new(),
            problems: BTreeMap::new(),
            answers: BTreeMap::new(),
            unreachable: 0,
            reason: None,
            latency_ms: None,
            seconds: took.as_secs_f64(),
        };
        let mut latencies = Vec::new();
        for answered in answers {
            match answered.status {
                Ok(status) => {
                    latencies.push(answered.latency);
                    *report.statuses.entry(status).or_default() += 1;
                    if is_success(status) {
                        *report.answers.entry(answered.detail).or_default() += 1;
                    } else {
                        report.problems.entry(status).or_insert(answered.detail);
                    }
                }
                Err(reason) => {
                    report.unreachable += 1;
                    report.reason.get_or_insert(reason);
                }
            }
        }
        latencies.sort_unstable();
        report.latency_ms = Latency::of(&latencies);
        report
    }

    pub(super) fn print(&self, url: &str, output: &mut Output) -> anyhow::Result<()> {
        output.line(format!(
            "{} posts to {url} in {:.1} s",
            self.posted, self.seconds
        ))?;
        for (status, count) in &self.statuses {
            let what = self.problems.get(status).cloned().unwrap_or_else(|| {
                let words = self
                    .answers
                    .iter()
                    .map(|(word, count)| format!("{count} {word}"));
                words.collect::<Vec<_>>().join(", ")
            });
            output.line(format!("  {status}  {count:>7}  {what}"))?;
        }
        if let Some(reason) = &self.reason {
            output.line(format!("  none {:>7}  {reason}", self.unreachable))?;
        }
        if let Some(Latency { min, p50, p99, max }) = &self.latency_ms {
            output.line(format!(
                "latency: min {min:.1} ms, p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms"
            ))?;
        }
        Ok(())
    }

    /// Yes if every answer was 2xx; an error where nothing answered at all.
    pub(super) fn answer(&self, url: &str) -> anyhow::Result<Answer> {
        match &self.reason {
            Some(reason) if self.statuses.is_empty() => Err(Failure::Outside(format!(
                "{url} cannot be reached: {reason}; is `billhook serve` running there?"
            ))
            .into()),
            None if self.statuses.keys().all(|status| is_success(*status)) => Ok(Answer::Yes),
            _ => Ok(Answer::No),
        }
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

impl Latency {
    /// Of sorted latencies.
    fn of(sorted: &[Duration]) -> Option<Self> {
        let at = |percent| quantile(sorted, percent).map(|latency| latency.as_secs_f64() * 1000.0);
        Some(Self {
            min: at(0)?,
            p50: at(50)?,
            p99: at(99)?,
            max: at(100)?,
        })
    }
}

/// The nearest rank: the smallest value that at least `percent` of all values do not exceed.
fn quantile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: Result<u16, String>, millis: u64) -> Answered {
        Answered {
            status,
            detail: "accepted".to_owned(),
            latency: Duration::from_millis(millis),
        }
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let millis: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let at = |percent| quantile(&millis, percent).unwrap().as_millis();
        assert_eq!([at(0), at(50), at(99), at(100)], [1, 100, 198, 200]);
        assert_eq!(
            quantile(&[Duration::from_millis(7)], 99),
            Some(Duration::from_millis(7))
        );
        assert_eq!(quantile(&[], 50), None);
    }

    #[test]
    fn the_answer_is_yes_only_when_every_post_was_taken() {
        let of = |answers| Report::new(answers, Duration::from_secs(1)).answer("http://x");
        let refused = || Err("connection refused".to_owned());
        assert_eq!(of(vec![answered(Ok(200), 1)]).unwrap(), Answer::Yes);
        assert_eq!(
            of(vec![answered(Ok(200), 1), answered(Ok(401), 1)]).unwrap(),
            Answer::No
        );
        assert_eq!(
            of(vec![answered(Ok(200), 1), answered(refused(), 1)]).unwrap(),
            Answer::No
        );
        let error = of(vec![answered(refused(), 1)]).unwrap_err();
        assert_eq!(super::super::super::failure::code(&error), 3);
    }
}
