//! `billhook demo`: the main job on a fresh machine, end to end, with nothing configured.
//!
//! Everything is real but the business: a database file, a listener, signatures, the worker, mails as files. What the
//! user configured for production is left out on purpose, the model excepted: a demo must reach no customer.

mod play;
mod story;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use self::play::Played;
use super::failure::Failure;
use super::output::Output;
use super::{Answer, Surroundings, serve};
use crate::app::Role;
use crate::config::{self, Config};
use crate::shutdown::Shutdown;
use crate::telemetry;

/// Sample events of our own invention, in the order in which they are posted; see `play` for the exceptions.
const EVENTS: &str = include_str!("demo/events.jsonl");

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Leave the server running afterwards
    #[arg(long)]
    keep: bool,
}

/// Where the demo happens.
struct Stage {
    folder: PathBuf,
    file: PathBuf,
    secret: SecretString,
    config: Config,
}

impl Demo {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        let mut stage = Stage::build()?;
        telemetry::init(&stage.config.telemetry, None)?;
        let shutdown = Shutdown::on_signals().context("signals cannot be caught")?;
        let listener = serve::listen(stage.config.server.listen).await?;
        stage.config.server.listen = listener
            .local_addr()
            .context("the listener has no address")?;
        let app = serve::build(&stage.config, around).await?;
        let store = app.store.clone();
        let token = app.admin_token().expose_secret().to_owned();
        let url = format!("http://{}", stage.config.server.listen);
        if !output.is_json() {
            introduce(&stage, &url, output)?;
        }
        let serving = app.serve(listener, Role::All, &shutdown);
        tokio::pin!(serving);
        let played = tokio::select! {
            biased;
            ended = &mut serving => {
                ended?;
                return Err(Failure::Outside("the demo was interrupted before its end".to_owned()).into());
            }
            played = Box::pin(play::play(&stage, &url, store.as_ref(), around.clock.as_ref())) => played?,
        };
        let wrong = verdict::differences(&played);
        tell(&stage, &played, &wrong, output)?;
        if self.keep {
            if !output.is_json() {
                output.line(format!(
                    "\nthe server keeps running at {url} until Ctrl-C; its admin token is {token}"
                ))?;
            }
            output.flush()?;
        } else {
            shutdown.begin();
        }
        serving.await?;
        Ok(if wrong.is_empty() {
            Answer::Yes
        } else {
            Answer::No
        })
    }
}

impl Stage {
    fn build() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("billhook-demo-")
            .tempdir()
            .map_err(|error| {
                Failure::Outside(format!(
                    "cannot make a temporary folder: {error}; set TMPDIR to one that can be written"
                ))
            })?
            // It holds the mails: who ran the demo wants to read them.
            .keep();
        let bytes: [u8; 24] = rand::random();
        let secret = SecretString::from(format!("whsec_{}", hex::encode(bytes)));
        let file = folder.join(config::DEFAULT_FILE);
        let text = settings(&folder, &secret);
        std::fs::write(&file, &text).map_err(|error| {
            Failure::Outside(format!("cannot write {}: {error}", file.display()))
        })?;
        let config = Config::from_layers(Some((&file, &text)), &allowed(config::environment()))?;
        Ok(Self {
            folder,
            file,
            secret,
            config,
        })
    }
}

/// What a demo takes over from the environment: the model, logging, and where to listen.
fn allowed(environment: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let names = ["RUST_LOG", "BILLHOOK_LISTEN", "BILLHOOK_ADMIN_TOKEN"];
    environment
        .into_iter()
        .filter(|(name, _)| {
            names.contains(&name.as_str())
                || name.starts_with("OPENAI_")
                || name.starts_with("BILLHOOK__MODEL__")
        })
        .collect()
}

/// The configuration file of the demo; with it every other command finds the demo's database.
fn settings(folder: &Path, secret: &SecretString) -> String {
    // A basic string of TOML is written like one of JSON.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let database = folder.join("billhook.db").display().to_string();
    let database = ["%", "?", "#", " "]
        .into_iter()
        .zip(["%25", "%3F", "%23", "%20"])
        .fold(database, |path, (character, code)| {
            path.replace(character, code)
        });
    format!(
        "# Written by `billhook demo`.\n\
         [server]\nlisten = \"127.0.0.1:0\"\n\
         [stripe]\nwebhook_secrets = [{secret}]\n\
         [database]\nurl = {database}\n\
         [email]\nfrom = \"Harbour Coffee Roasters <billing@harbour.example>\"\nfolder = {mail}\n\
         [business]\nname = \"Harbour Coffee Roasters\"\nsupport_email = \"help@harbour.example\"\n\
         # Ten seconds by default: a demo should not take that long.\n\
         [follow_up]\nsettle = \"1s\"\n\
         [worker]\npoll = \"100ms\"\n\
         [sales.high_value]\ndefault = 500\njpy = 75000\n\
         [telemetry]\nlog = \"error\"\n",
        secret = quoted(secret.expose_secret()),
        database = quoted(&format!("sqlite://{database}")),
        mail = quoted(&folder.join("mail").display().to_string()),
    )
}

fn introduce(stage: &Stage, url: &str, output: &mut Output) -> anyhow::Result<()> {
    output.line(format!(
        "billhook demo: a service at {url} with its database and mails in {}",
        stage.folder.display()
    ))?;
    output.line(format!(
        "`follow_up.settle` is shortened from 10 s to 1 s; this and every other setting is in {}",
        stage.file.display()
    ))?;
    output.flush()
}

fn tell(
    stage: &Stage,
    played: &Played,
    wrong: &[String],
    output: &mut Output,
) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json(&serde_json::json!({
            "object": "demo",
            "folder": stage.folder,
            "config": stage.file,
            "events": played.scenes,
            "mails": played.mails,
            "notices": played.notices,
            "schedules": played.schedules,
            "differences": wrong,
        }));
    }
    story::print(played, output)?;
    if !wrong.is_empty() {
        output.line("\nthis is not what should have happened:")?;
        for difference in wrong {
            output.line(format!("  {difference}"))?;
        }
    }
    let program = std::env::current_exe().map_or_else(
        |_unknown| "billhook".to_owned(),
        |path| path.display().to_string(),
    );
    let file = stage.file.display();
    output.line("\nwhere to look next:")?;
    for command in [
        "events list --limit 30",
        "events show evt_demo_19",
        "outbox list",
        "prompts list",
    ] {
        output.line(format!("  {program} --config {file} {command}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_reaches_customers_is_taken_from_the_environment() {
        let environment = [
            "SMTP_URL",
            "DATABASE_URL",
            "SALES_WEBHOOK_URL",
            "STRIPE_SECRET_KEY",
            "BILLHOOK__EMAIL__SMTP_URL",
            "OPENAI_MODEL",
            "RUST_LOG",
        ];
        let environment = environment
            .map(|name| (name.to_owned(), "x".to_owned()))
            .into();
        let kept: Vec<String> = allowed(environment).into_keys().collect();
        assert_eq!(kept, ["OPENAI_MODEL", "RUST_LOG"]);
    }

    #[test]
    fn the_demos_own_configuration_is_valid() {
        let secret = SecretString::from("whsec_x");
        let text = settings(Path::new("/tmp/a \"quoted\" 100%"), &secret);
        let config = Config::from_layers(Some((Path::new("x"), &text)), &BTreeMap::new()).unwrap();
        assert_eq!(
            config.email.folder,
            Path::new("/tmp/a \"quoted\" 100%/mail")
        );
        assert_eq!(
            config.database.url.expose(),
            "sqlite:///tmp/a%20\"quoted\"%20100%25/billhook.db"
        );
    }
}
