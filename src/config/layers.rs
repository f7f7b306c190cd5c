//! Defaults, file and environment, laid over each other key by key.
//!
//! Owns which keys exist (those of the default file, and names chosen by the user under five of its tables) and where
//! each value came from, so that an error can name its key and its place. It never repeats a value: it may be a secret.

mod kinds;

use std::collections::BTreeMap;
use std::path::Path;

use config::{File, FileFormat, Map, Source, Value, ValueKind};

use self::kinds::{Kind, amount, as_kind};
use super::ConfigError;
use super::values::{CAPTURE_CONTENT, as_switch};

/// The reference: every key with its default.
pub(super) const DEFAULTS: &str = include_str!("../../billhook.default.toml");

/// Variables that other programs and people know, and the keys they set.
pub(super) const WELL_KNOWN: [(&str, &str); 21] = [
    ("STRIPE_WEBHOOK_SECRET", "stripe.webhook_secrets"),
    ("STRIPE_SECRET_KEY", "stripe.secret_key"),
    ("STRIPE_API_BASE", "stripe.api_base"),
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "redis.url"),
    ("OPENAI_API_KEY", "model.api_key"),
    ("OPENAI_BASE_URL", "model.base_url"),
    ("OPENAI_MODEL", "model.name"),
    ("SMTP_URL", "email.smtp_url"),
    ("EMAIL_FROM", "email.from"),
    ("SALES_EMAIL", "email.sales"),
    ("FINANCE_EMAIL", "email.finance"),
    ("SALES_WEBHOOK_URL", "notify.sales_webhook_url"),
    ("FINANCE_WEBHOOK_URL", "notify.finance_webhook_url"),
    ("APP_WEBHOOK_URL", "app.webhook_url"),
    ("APP_WEBHOOK_SECRET", "app.webhook_secrets"),
    ("BILLHOOK_LISTEN", "server.listen"),
    ("BILLHOOK_ADMIN_TOKEN", "server.admin_token"),
    ("RUST_LOG", "telemetry.log"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
    CAPTURE_CONTENT,
];

#[derive(Debug, Clone)]
struct Leaf {
    value: ValueKind,
    place: String,
}

/// All values by dotted key, the last layer on top.
#[derive(Debug)]
pub(super) struct Layers {
    known: BTreeMap<String, Kind>,
    leaves: BTreeMap<String, Leaf>,
}

impl Layers {
    /// The default file alone.
    pub(super) fn defaults(text: &str) -> Result<Self, ConfigError> {
        let place = "billhook.default.toml".to_owned();
        let mut known = BTreeMap::new();
        let mut leaves = BTreeMap::new();
        for (key, value) in leaves_of_toml(text, &place)? {
            let kind = match &value {
                ValueKind::String(_) => Some(Kind::Text),
                ValueKind::Boolean(_) => Some(Kind::Flag),
                ValueKind::Array(_) => Some(Kind::List),
                // An empty table, into which users put names of their own.
                ValueKind::Table(_) => None,
                _ => Some(Kind::Number),
            };
            let is_amount = key.starts_with("model.budgets.");
            let (kind, value) = match kind {
                Some(_) if is_amount => (Some(Kind::Amount), amount(value)),
                kind => (kind, value),
            };
            if let Some(kind) = kind {
                known.insert(key.clone(), kind);
            }
            leaves.insert(
                key,
                Leaf {
                    value,
                    place: place.clone(),
                },
            );
        }
        Ok(Self { known, leaves })
    }

    /// Lays a file over what is there.
    pub(super) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let place = path.display().to_string();
        let mut seen = BTreeMap::new();
        for (written, value) in leaves_of_toml(text, &place)? {
            let key = normalized(&written);
            if let Some(other) = seen.insert(key.clone(), written.clone()) {
                let reason = format!("it is set twice, as `{other}` and as `{written}`");
                return Err(ConfigError::Invalid { key, place, reason });
            }
            if matches!(&value, ValueKind::Table(table) if table.is_empty())
                && self.is_section(&key)
            {
                continue;
            }
            self.set(key, value, place.clone())?;
        }
        Ok(())
    }

    /// Lays the environment over what is there: well-known names first, then `BILLHOOK__SECTION__KEY`.
    pub(super) fn add_environment(
        &mut self,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        for (name, key) in WELL_KNOWN {
            // Compose files and shells pass on what is unset as empty.
            if let Some(value) = environment
                .get(name)
                .filter(|value| !value.trim().is_empty())
            {
                let value = as_switch(key, value.trim());
                self.set(key.to_owned(), value.into(), variable(name))?;
            }
        }
        for (name, value) in environment {
            let key = match name.strip_prefix("BILLHOOK__") {
                Some(path) => path.to_ascii_lowercase().replace("__", "."),
                // Surely meant for billhook, as in BILLHOOK_FOLLOW_UP__SETTLE. Names with single underscores only are
                // let be: container platforms set BILLHOOK_PORT and its like for a service named billhook.
                None if name.starts_with("BILLHOOK_") && name.contains("__") => {
                    name.to_ascii_lowercase().replace("__", ".")
                }
                None => continue,
            };
            self.set(normalized(&key), value.trim().into(), variable(name))?;
        }
        Ok(())
    }

    /// Where the value of `key`, or what stands beside it in a table of the user's own, came from.
    pub(super) fn place(&self, key: &str) -> String {
        let key = key.split_once('[').map_or(key, |(key, _)| key);
        let neighbours = match key.rsplit_once('.') {
            Some((table, _))
                if table.starts_with("stripe.endpoints.")
                    || table.starts_with("model.endpoints.")
                    || table.starts_with(PRICES) =>
            {
                format!("{table}.")
            }
            _ => format!("{key}."),
        };
        self.leaves
            .get(key)
            .or_else(|| {
                self.leaves
                    .iter()
                    .find(|(known, _)| known.starts_with(&neighbours))
                    .map(|(_, leaf)| leaf)
            })
            .map_or_else(|| "the configuration".to_owned(), |leaf| leaf.place.clone())
    }

    /// One tree of all values.
    pub(super) fn tree(&self) -> Value {
        let mut root = Map::new();
        for (key, leaf) in &self.leaves {
            let segments = segments(key);
            plant(&mut root, &segments, &leaf.value);
        }
        Value::new(None, root)
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<String> {
        self.leaves.keys().cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn remove(&mut self, key: &str) {
        self.leaves.remove(key);
    }

    fn set(&mut self, key: String, value: ValueKind, place: String) -> Result<(), ConfigError> {
        let Some(kind) = self.kind(&key) else {
            return Err(ConfigError::UnknownKey {
                hint: self.hint(&key),
                key,
                place,
            });
        };
        match as_kind(kind, value) {
            Ok(value) => {
                self.leaves.insert(key, Leaf { value, place });
                Ok(())
            }
            Err(reason) => Err(ConfigError::Invalid { key, place, reason }),
        }
    }

    fn kind(&self, key: &str) -> Option<Kind> {
        if let Some(kind) = self.known.get(key) {
            return Some(*kind);
        }
        match segments(key).as_slice() {
            ["stripe", "endpoints", name, field] if is_endpoint_name(name) => match *field {
                "secrets" => Some(Kind::List),
                "account" => Some(Kind::Text),
                "livemode" => Some(Kind::Flag),
                _ => None,
            },
            ["model", "endpoints", name, field] if is_endpoint_name(name) => match *field {
                "api_key" | "base_url" | "name" | "token_limit" | "call_ids" | "arguments" => {
                    Some(Kind::Text)
                }
                "strict" | "parallel_tool_calls" | "stream" => Some(Kind::Flag),
                "max_tokens" => Some(Kind::Number),
                _ => None,
            },
            [
                "model",
                "prices",
                model,
                "input" | "cached_input" | "output",
            ] => (!model.is_empty()).then_some(Kind::Amount),
            ["sales", "high_value", code] | ["money", "exponents", code] if is_currency(code) => {
                Some(Kind::Number)
            }
            _ => None,
        }
    }

    fn is_section(&self, key: &str) -> bool {
        let within = format!("{key}.");
        self.known.keys().any(|known| known.starts_with(&within))
            || matches!(
                key,
                "stripe.endpoints" | "model.endpoints" | "model.prices" | "money.exponents"
            )
    }

    /// What could have been meant.
    fn hint(&self, key: &str) -> String {
        if key.starts_with("stripe.endpoints.") {
            return "an endpoint is [stripe.endpoints.NAME] with `secrets`, `account` and `livemode`, its name made of \
                    a-z, 0-9, _ and -"
                .to_owned();
        }
        if key.starts_with("model.endpoints.") {
            return "an endpoint is [model.endpoints.NAME] with `base_url`, `api_key`, `name` and the keys of \
                    `model.profile`, its name made of a-z, 0-9, _ and -"
                .to_owned();
        }
        if key.starts_with(PRICES) {
            return "a price is [model.prices.\"MODEL\"] with `input`, `cached_input` and `output`, per million tokens".to_owned();
        }
        if key.starts_with("money.exponents") || key.starts_with("sales.high_value.") {
            return "write a currency's three letters".to_owned();
        }
        if self.is_section(key) {
            return format!("`{key}` is a section, not a value");
        }
        let section = key.rsplit_once('.').map_or("", |(section, _)| section);
        let within = if section.is_empty() {
            String::new()
        } else {
            format!("{section}.")
        };
        let mut names: Vec<&str> = self
            .leaves
            .keys()
            .filter_map(|known| known.strip_prefix(within.as_str()))
            .map(|rest| rest.split_once('.').map_or(rest, |(name, _)| name))
            .collect();
        names.dedup();
        if names.is_empty() || section.is_empty() {
            "billhook.default.toml holds every key".to_owned()
        } else {
            format!("`{section}` has {}", names.join(", "))
        }
    }
}

fn variable(name: &str) -> String {
    format!("environment variable {name}")
}

/// Whether `name` can stand as the last segment of a webhook's path.
fn is_endpoint_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|b| b.is_ascii_lowercase())
}

/// Before the name of a model, which may have points in it.
const PRICES: &str = "model.prices.";

/// The parts of a key: what stands between its points, and the name of a model as a whole.
fn segments(key: &str) -> Vec<&str> {
    let model = key.strip_prefix(PRICES);
    match model.and_then(|model| model.rsplit_once('.')) {
        Some((model, field)) => vec!["model", "prices", model, field],
        None => key.split('.').collect(),
    }
}

/// Currency codes are written in either case and stand in lower case, as Stripe writes them; so do names of models here,
/// because the environment has no case.
fn normalized(key: &str) -> String {
    if key.starts_with("sales.high_value.")
        || key.starts_with("money.exponents.")
        || key.starts_with(PRICES)
    {
        key.to_ascii_lowercase()
    } else {
        key.to_owned()
    }
}

fn leaves_of_toml(text: &str, place: &str) -> Result<Vec<(String, ValueKind)>, ConfigError> {
    let table = File::from_str(text, FileFormat::Toml)
        .collect()
        .map_err(|error| {
            // The parser's message shows the line it stumbled over, and a secret may stand there.
            let message = error.to_string();
            let lines: Vec<&str> = message.lines().filter(|line| !line.contains('|')).collect();
            ConfigError::Syntax {
                place: place.to_owned(),
                reason: lines.join(", "),
            }
        })?;
    let mut leaves = Vec::new();
    flatten("", table, &mut leaves);
    Ok(leaves)
}

/// Empty tables are leaves too: a misspelt section without keys must not pass.
fn flatten(prefix: &str, table: Map<String, Value>, leaves: &mut Vec<(String, ValueKind)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}.{name}")
        };
        match value.kind {
            ValueKind::Table(inner) if !inner.is_empty() => flatten(&key, inner, leaves),
            kind => leaves.push((key, kind)),
        }
    }
}

fn plant(table: &mut Map<String, Value>, segments: &[&str], value: &ValueKind) {
    match segments {
        [] => {}
        [name] => {
            table.insert((*name).to_owned(), Value::new(None, value.clone()));
        }
        [name, rest @ ..] => {
            let branch = table
                .entry((*name).to_owned())
                .or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
            if let ValueKind::Table(inner) = &mut branch.kind {
                plant(inner, rest, value);
            }
        }
    }
}
