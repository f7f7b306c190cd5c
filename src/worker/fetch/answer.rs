//! What is asked for each reason, and what is taken from the answer.

use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::guardrails::precondition::stops::is_disconnected;
use crate::inbox::OWN_ACCOUNT;
use crate::store::{ClaimedFetch, Observation, Reason, StoreError};
use crate::stripe::api::{ApiError, Fetched, Scope, StripeApi};
use crate::stripe::event::THIN;
use crate::stripe::resource::{List, lists, path};
use crate::stripe::view::{Family, View};
use crate::worker::Worker;

/// Why nothing came of a question.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Stripe did not answer it.
    Api(ApiError),
    /// The answer could not be kept.
    Store(StoreError),
    /// It cannot be asked, or the answer is none.
    Other(String),
    /// Its account took back the leave to ask.
    Disconnected,
}

impl From<ApiError> for Unanswered {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// One question on its way: to whom, and on whose behalf.
struct Asking<'a> {
    api: &'a StripeApi,
    fetch: &'a ClaimedFetch,
    scope: Scope<'a>,
    /// What stands for the time of an answer that does not say when it was given.
    now: Timestamp,
}

/// An object as Stripe answered it, with what belongs to it.
struct Answer {
    object: Value,
    /// When it was given, by Stripe's clock.
    date: Option<Timestamp>,
    version: Option<String>,
    /// Items of its lists that have rows of their own.
    members: Vec<(Family, Value)>,
}

impl Worker {
    /// Asks, and takes in everything that is answered.
    pub(super) async fn ask(
        &self,
        api: &StripeApi,
        fetch: &ClaimedFetch,
    ) -> Result<(), Unanswered> {
        if self.has_disconnected(fetch).await? {
            return Err(Unanswered::Disconnected);
        }
        let asking = Asking {
            api,
            fetch,
            scope: scope(fetch),
            now: self.clock.now(),
        };
        let (family, answer) = match fetch.reason {
            Reason::Tie | Reason::List => {
                let family = asking.family()?;
                (family, asking.whole(family).await?)
            }
            Reason::Links => return self.take_links(&asking).await,
            Reason::Thin => match asking.thin().await? {
                Some(answered) => answered,
                None => return Ok(()),
            },
        };
        let Answer {
            object,
            date,
            version,
            members,
        } = answer;
        let date = date.unwrap_or(asking.now);
        for (family, member) in members {
            self.take_in(fetch, family, member, (date, version.as_deref()))
                .await?;
        }
        self.take_in(fetch, family, object, (date, version.as_deref()))
            .await
    }

    async fn has_disconnected(&self, fetch: &ClaimedFetch) -> Result<bool, StoreError> {
        if fetch.account == OWN_ACCOUNT {
            return Ok(false);
        }
        let kind = Family::Account.as_str();
        let rows = self.store.object(kind, &fetch.account).await?;
        Ok(rows
            .into_iter()
            .filter(|row| row.account == fetch.account && row.livemode == fetch.livemode)
            .filter_map(|row| serde_json::from_value::<View>(row.data).ok())
            .any(|account| is_disconnected(&account)))
    }

    /// The payments of an invoice, or the invoices of a payment: each is a link.
    async fn take_links(&self, asking: &Asking<'_>) -> Result<(), Unanswered> {
        let object = asking.fetch.object.as_str();
        let of_intent = [
            ("payment[type]", "payment_intent"),
            ("payment[payment_intent]", object),
        ];
        let of_invoice = [("invoice", object)];
        let filter: &[(&str, &str)] = match asking.family()? {
            Family::Invoice => &of_invoice,
            _ => &of_intent,
        };
        let mut pages = asking
            .api
            .pages("/v1/invoice_payments", filter, asking.scope);
        while let Some(page) = pages.next().await? {
            let told = (page.date.unwrap_or(asking.now), page.version.as_deref());
            for payment in page.items {
                self.take_in(asking.fetch, Family::InvoicePayment, payment, told)
                    .await?;
            }
        }
        Ok(())
    }

    async fn take_in(
        &self,
        fetch: &ClaimedFetch,
        family: Family,
        object: Value,
        (date, version): (Timestamp, Option<&str>),
    ) -> Result<(), Unanswered> {
        let observation = Observation {
            account: fetch.account.clone(),
            livemode: fetch.livemode,
            family,
            object,
            date,
            api_version: version.map(str::to_owned),
        };
        self.store.observe(&observation).await?;
        Ok(())
    }
}

/// On whose behalf. `Stripe-Context` says all that `Stripe-Account` could (docs.stripe.com/context).
fn scope(fetch: &ClaimedFetch) -> Scope<'_> {
    let connected = fetch.account != OWN_ACCOUNT && fetch.context.is_none();
    Scope {
        account: connected.then_some(fetch.account.as_str()),
        context: fetch.context.as_deref(),
        trigger: (fetch.reason == Reason::Thin).then_some(fetch.event.as_str()),
    }
}

impl Asking<'_> {
    fn family(&self) -> Result<Family, Unanswered> {
        Family::parse(&self.fetch.kind)
            .ok_or_else(|| Unanswered::Other(format!("nothing reads a {}", self.fetch.kind)))
    }

    /// The object with all of its lists.
    async fn whole(&self, family: Family) -> Result<Answer, Unanswered> {
        let id = &self.fetch.object;
        let mut answer = match path(family, id) {
            Some(path) => {
                let fetched = self.api.get(&path, &[], &self.scope).await?;
                self.answer(family, Some(id), fetched)?
            }
            // What no path leads to is made of its lists alone.
            None => Answer {
                object: json!({ "object": family.as_str(), "id": id, "customer": id }),
                date: None,
                version: None,
                members: Vec::new(),
            },
        };
        for list in lists(family) {
            let shown = answer.object.get(list.name);
            let is_cut = shown.and_then(|shown| shown.get("has_more")) == Some(&Value::Bool(true));
            if is_cut || (shown.is_none() && self.is_only_listed(family)) {
                self.complete(list, &mut answer).await?;
            }
        }
        Ok(answer)
    }

    fn is_only_listed(&self, family: Family) -> bool {
        path(family, &self.fetch.object).is_none()
    }

    async fn complete(&self, list: &List, answer: &mut Answer) -> Result<(), Unanswered> {
        let id = self.fetch.object.as_str();
        let path = list
            .path(id)
            .ok_or_else(|| Unanswered::Other("its id leads nowhere".to_owned()))?;
        let by_object = list.filter.map(|name| (name, id));
        let mut pages = self.api.pages(&path, by_object.as_slice(), self.scope);
        let mut items = Vec::new();
        while let Some(page) = pages.next().await? {
            // Together they are known as of the first of them, whatever the time is here.
            answer.date = answer.date.or(page.date);
            answer.version = answer.version.take().or(page.version);
            items.extend(page.items);
        }
        if let Some(family) = list.members {
            let members = items.iter().map(|item| (family, item.clone()));
            answer.members.extend(members);
        }
        if let Value::Object(object) = &mut answer.object {
            let whole = json!({ "object": "list", "has_more": false, "data": items });
            object.insert(list.name.to_owned(), whole);
        }
        Ok(())
    }

    /// The object that a thin event is about; nothing where it is of no kind that has a view.
    async fn thin(&self) -> Result<Option<(Family, Answer)>, Unanswered> {
        let id = &self.fetch.object;
        let none = Map::new();
        let fetched = self
            .api
            .get(&format!("/v2/core/events/{id}"), &[], &self.scope)
            .await?;
        if fetched.body.get("object").and_then(Value::as_str) != Some(THIN) {
            return Err(Unanswered::Other(format!("the answer is no {THIN}")));
        }
        let related = fetched.body.get("related_object");
        let related = related.and_then(Value::as_object).unwrap_or(&none);
        let text = |key: &str| related.get(key).and_then(Value::as_str);
        let (Some(family), Some(url)) = (text("type").and_then(Family::parse), text("url")) else {
            return Ok(None);
        };
        let object = self.api.get(url, &[], &self.scope).await?;
        Ok(Some((family, self.answer(family, text("id"), object)?)))
    }

    /// Refuses what is another object than was asked for: it would be written over that one's row.
    fn answer(
        &self,
        family: Family,
        id: Option<&str>,
        fetched: Fetched,
    ) -> Result<Answer, Unanswered> {
        let text = |key: &str| fetched.body.get(key).and_then(Value::as_str);
        let is_it = text("object") == Some(family.as_str()) && text("id") == id;
        let mode = fetched.body.get("livemode").and_then(Value::as_bool);
        if !is_it || mode.is_some_and(|mode| mode != self.fetch.livemode) {
            let what = format!("the answer is not the {family} that was asked for");
            return Err(Unanswered::Other(what));
        }
        Ok(Answer {
            object: fetched.body,
            date: fetched.date,
            version: fetched.version,
            members: Vec::new(),
        })
    }
}
