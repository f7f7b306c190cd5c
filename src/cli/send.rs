//! `billhook send`: signs recorded events as Stripe would, and posts them.

pub(super) mod post;
pub(super) mod recorded;
mod report;

use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use rand::seq::SliceRandom as _;
use secrecy::{ExposeSecret as _, SecretString};

use self::post::{Answered, Poster};
use self::report::Report;
use super::failure::Failure;
use super::output::Output;
use super::{Answer, Surroundings};
use crate::config::ConfigError;
use crate::stripe::signature::SigningSecrets;

#[derive(Debug, Args)]
pub(super) struct Send {
    /// Files or folders of recorded events: JSON, JSON lines, or `-` for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// The endpoint to post to
    #[arg(long, default_value = "http://127.0.0.1:8080/stripe/webhook")]
    url: String,
    /// The signing secret, instead of the first of `STRIPE_WEBHOOK_SECRET`
    #[arg(long)]
    secret: Option<String>,
    /// Post in a random order
    #[arg(long)]
    shuffle: bool,
    /// Post every event so often, with identical bytes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// How many posts may be under way at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    concurrency: u32,
    /// Leave every `created` as it was recorded, and send the bytes as they are
    #[arg(long)]
    as_recorded: bool,
}

impl Send {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        let secret = self.secret(around)?;
        let mut events = recorded::read_all(&self.paths)?;
        if !self.as_recorded {
            recorded::shift_to(&mut events, around.clock.now());
        }
        let mut bodies: Vec<&[u8]> = Vec::new();
        for _ in 0..self.repeat {
            bodies.extend(events.iter().map(|event| event.body.as_slice()));
        }
        if self.shuffle {
            bodies.shuffle(&mut rand::rng());
        }
        let poster = Poster::new(&self.url)?;
        // Hidden by itself where standard error is no terminal.
        let progress = ProgressBar::new(bodies.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {per_sec}") {
            progress.set_style(style);
        }
        progress.enable_steady_tick(Duration::from_millis(200));
        let (poster, secret, progress) = (&poster, &secret, &progress);
        let started = tokio::time::Instant::now();
        let answers: Vec<Answered> = futures::stream::iter(bodies)
            .map(|body| async move {
                let answered = poster.post(body, secret, around.clock.now()).await;
                progress.inc(1);
                answered
            })
            .buffer_unordered(usize::try_from(self.concurrency).unwrap_or(1))
            .collect()
            .await;
        progress.finish_and_clear();
        let report = Report::new(answers, started.elapsed());
        if output.is_json() {
            output.json(&report)?;
        } else {
            report.print(&self.url, output)?;
        }
        report.answer(&self.url)
    }

    fn secret(&self, around: &Surroundings) -> anyhow::Result<SecretString> {
        if let Some(secret) = &self.secret {
            let secrets = SigningSecrets::parse(secret)
                .map_err(|error| Failure::Usage(format!("--secret: {error}")))?;
            if let Some(first) = secrets.as_slice().first() {
                return Ok(first.clone());
            }
        }
        let config = around.config()?;
        config
            .stripe
            .webhook_secrets
            .first()
            .map(|secret| SecretString::from(secret.expose_secret().trim().to_owned()))
            .ok_or_else(|| match config.require_webhook_secret() {
                // There are named endpoints with secrets, but which of them is meant cannot be guessed.
                Ok(()) => Failure::Usage(
                    "no secret to sign with: name the endpoint's with --secret, or set STRIPE_WEBHOOK_SECRET"
                        .to_owned(),
                )
                .into(),
                Err(ConfigError::NoWebhookSecret) => Failure::Usage(
                    "no secret to sign with: set STRIPE_WEBHOOK_SECRET to that of the endpoint, or give it with --secret"
                        .to_owned(),
                )
                .into(),
                Err(other) => anyhow::Error::new(other),
            })
    }
}
