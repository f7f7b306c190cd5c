//! `billhook doctor`: checks what is configured, one row each, and says what to do.
//!
//! Owns that each check has a time limit and that none keeps another from running: a database that is gone must not
//! hide a wrong mail password. It never shows a secret, and never writes, sends or posts anything that anybody would
//! see.

mod database;
mod finding;
mod machine;
mod model;
mod services;
mod settings;
mod whose;

use std::time::Duration;

use serde_json::json;

use self::finding::{Finding, Outcome};
use super::output::Output;
use super::{Answer, Surroundings};

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn run(around: &Surroundings, output: &mut Output) -> anyhow::Result<Answer> {
    let config = around.config()?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(LIMIT / 2)
        .build()?;
    let (database, model, mail, application, redis, stripe, traces, listen) = tokio::join!(
        limited(
            "database",
            LIMIT,
            database::look(&config, around.clock.clone())
        ),
        limited(
            "model endpoint",
            LIMIT,
            model::endpoints(&config, around.clock.clone(), LIMIT * 9 / 10)
        ),
        limited(
            "mail",
            LIMIT,
            one(services::mail(&config.email, around.clock.clone()))
        ),
        limited(
            "application",
            LIMIT,
            one(services::application(&config.app))
        ),
        limited("redis", LIMIT, one(services::redis(&config.redis))),
        limited(
            "Stripe API",
            LIMIT,
            one(services::stripe(&config.stripe, LIMIT / 2))
        ),
        limited("traces", LIMIT, one(services::traces(&config.telemetry))),
        limited(
            "listen address",
            LIMIT,
            one(machine::listen(config.server.listen, &client))
        ),
    );
    let findings: Vec<Finding> = settings::look(&config)
        .into_iter()
        .chain(database)
        .chain([machine::disk(&config)])
        .chain(model)
        .chain(mail)
        .chain(application)
        .chain(redis)
        .chain(stripe)
        .chain(traces)
        .chain(listen)
        .chain([machine::open_files(config.server.max_connections)])
        .collect();
    show(&findings, output)
}

async fn one(work: impl Future<Output = Finding>) -> Vec<Finding> {
    vec![work.await]
}

async fn limited(
    check: &'static str,
    limit: Duration,
    work: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_elapsed| {
            vec![Finding::failed(
                check,
                format!("no answer within {} s", limit.as_secs()),
                "check that it runs and that nothing in between drops what is sent to it",
            )]
        })
}

fn show(findings: &[Finding], output: &mut Output) -> anyhow::Result<Answer> {
    let count = |outcome| findings.iter().filter(|f| f.outcome == outcome).count();
    let (failed, warnings) = (count(Outcome::Failed), count(Outcome::Warning));
    let worst = match (failed, warnings) {
        (0, 0) => Outcome::Ok,
        (0, _) => Outcome::Warning,
        _ => Outcome::Failed,
    };
    if output.is_json() {
        output.json(&json!({ "object": "doctor", "status": worst, "checks": findings }))?;
    } else {
        let rows = findings.iter().map(|finding| {
            vec![
                finding.outcome.word().to_owned(),
                finding.check.to_owned(),
                finding.found.clone(),
                finding.next.clone().unwrap_or_default(),
            ]
        });
        output.table(&["result", "check", "what was found", "what to do"], rows)?;
        output.line(match worst {
            Outcome::Ok | Outcome::Off => "\nnothing to do".to_owned(),
            Outcome::Warning => format!("\n{warnings} to look at, nothing failed"),
            Outcome::Failed => format!("\n{failed} failed, {warnings} to look at"),
        })?;
    }
    Ok(if failed == 0 { Answer::Yes } else { Answer::No })
}
