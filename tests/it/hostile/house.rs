//! A service in which many cases are played one after the other, and its books when all are over.

use std::sync::Arc;
use std::time::Duration;

use billhook::agent::model::Model;
use billhook::clock::Clock as _;
use serde_json::Value;
use tempfile::TempDir;

use super::adversary::{Adversary, Conduct};
use super::books::Books;
use super::cast::Cast;
use super::judge::TEAMS;
use crate::agent::scene::CARD_PAGE;
use crate::support::app::TestApp;
use crate::support::chat::ChatServer;

/// How the business's own people are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Teams {
    ByChat,
    ByMail,
}

/// One service over a file, with a model under an attacker's command.
pub(super) struct House {
    pub(super) app: TestApp,
    pub(super) adversary: Adversary,
    sales: ChatServer,
    finance: ChatServer,
    home: TempDir,
}

impl House {
    pub(super) async fn open(teams: Teams) -> Self {
        let adversary = Adversary::default();
        let model = adversary.model();
        Self::decided_by(teams, adversary, model).await
    }

    /// With another model; the adversary is then never asked.
    pub(super) async fn decided_by(
        teams: Teams,
        adversary: Adversary,
        model: Arc<dyn Model>,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}", home.path().join("house.db").display());
        let (sales, finance) = (ChatServer::start().await, ChatServer::start().await);
        let (sales_url, finance_url) = (sales.url(), finance.url());
        let ways = match teams {
            Teams::ByChat => [
                ("SALES_WEBHOOK_URL", sales_url.as_str()),
                ("FINANCE_WEBHOOK_URL", &finance_url),
            ],
            Teams::ByMail => [("SALES_EMAIL", TEAMS[0]), ("FINANCE_EMAIL", TEAMS[1])],
        };
        let fixed = [
            ("BILLHOOK__LINKS__UPDATE_PAYMENT", CARD_PAGE),
            ("DATABASE_URL", database.as_str()),
        ];
        let app = TestApp::with(&[&fixed[..], &ways[..]].concat(), model).await;
        Self {
            app,
            adversary,
            sales,
            finance,
            home,
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.app.clock.now().seconds()
    }

    /// Lets events happen, and all that follows from them.
    pub(super) async fn play(&self, cast: &Cast, events: &[Value]) -> Conduct {
        for event in events {
            self.app.deliver(event).await;
        }
        self.app.settle().await;
        if cast.playbook == "winback_due" {
            self.app.clock.advance(Duration::from_hours(7 * 24));
            self.app.drain().await;
        }
        self.adversary.end()
    }

    /// What all of it came to. A model that is given up for a while, for its costs or its silence, has its hour first.
    pub(super) async fn close(self) -> Books {
        for _ in 0..13 {
            self.app.clock.advance(Duration::from_mins(10));
            self.app.drain().await;
        }
        let notices = [self.sales.notices(), self.finance.notices()].concat();
        let notices = notices.into_iter().map(|(_, body)| body).collect();
        Books::open(
            &self.home.path().join("house.db"),
            self.app.mails(),
            notices,
        )
        .await
    }
}
