//! `billhook serve`: the service, from its first log line to the end of its last task.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;

use super::failure::Failure;
use super::output::Output;
use super::{Answer, Surroundings};
use crate::app::{App, Role};
use crate::config::Config;
use crate::shutdown::{Hangups, Shutdown};
use crate::store::StoreError;
use crate::telemetry::{self, Traces};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Which stages this process runs; several processes may share one PostgreSQL
    #[arg(long, value_enum, default_value = "all")]
    role: RoleName,
    /// Where to listen, instead of `server.listen`
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// Everything
    All,
    /// Take webhooks in
    Ingest,
    /// Apply, decide and send
    Work,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::All => Self::All,
            RoleName::Ingest => Self::Ingest,
            RoleName::Work => Self::Work,
        }
    }
}

impl Serve {
    pub(super) async fn run(
        self,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        let mut config = around.config()?;
        config.require_lasting_database()?;
        if self.role != RoleName::Work {
            config.require_webhook_secret()?;
        }
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        let traces = Traces::start(&config.telemetry)?;
        telemetry::init(&config.telemetry, traces.as_ref())?;
        let served = self.serve(config, around, output).await;
        if let Some(traces) = traces {
            traces.finish().await;
        }
        served
    }

    async fn serve(
        self,
        mut config: Config,
        around: &Surroundings,
        output: &mut Output,
    ) -> anyhow::Result<Answer> {
        // Signals are caught before anything that would have to be finished is begun.
        let shutdown = Shutdown::on_signals().context("signals cannot be caught")?;
        let hangups = Hangups::catch().context("signals cannot be caught")?;
        let listener = listen(config.server.listen).await?;
        // With port 0 the system chose one; who checks the `Host` header must know it.
        config.server.listen = listener
            .local_addr()
            .context("the listener has no address")?;
        let app = build(&config, around).await?.reloading(hangups);
        if output.is_json() {
            let mut started = serde_json::json!({"object": "started", "listen": format!("http://{}", config.server.listen)});
            if config.server.admin_token.is_none()
                && let Some(fields) = started.as_object_mut()
            {
                fields.insert(
                    "admin_token".to_owned(),
                    app.admin_token().expose_secret().into(),
                );
            }
            output.json(&started)?;
        } else {
            let address = config.server.listen;
            output.line(format!("billhook listens on http://{address}; Stripe posts to http://{address}/stripe/webhook"))?;
            if config.server.admin_token.is_none() {
                output.line(format!(
                    "admin API: http://{address}/api/v1/events with `Authorization: Bearer {}` (made for this process; set BILLHOOK_ADMIN_TOKEN to keep one)",
                    app.admin_token().expose_secret()
                ))?;
            }
        }
        output.flush()?;
        app.serve(listener, self.role.into(), &shutdown).await?;
        Ok(Answer::Yes)
    }
}

/// Takes the address, or says who may have it.
pub(super) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Outside(format!(
            "cannot listen on {address}: {error}; stop whoever listens there, or choose another address with --listen"
        ))
        .into()
    })
}

/// Builds the service; what is not the store's fault is the configuration's.
pub(super) async fn build(config: &Config, around: &Surroundings) -> anyhow::Result<App> {
    App::build(config, around.clock.clone())
        .await
        .map_err(of_configuration)
}

/// Says of what could not be put together that the configuration is at fault, unless it is the store, which says by itself
/// whose fault it is.
pub(super) fn of_configuration(error: anyhow::Error) -> anyhow::Error {
    if error.downcast_ref::<StoreError>().is_some() {
        error
    } else {
        Failure::Configuration(error.into()).into()
    }
}
