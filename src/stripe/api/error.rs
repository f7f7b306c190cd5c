//! What asking Stripe can come to besides an answer. The message says what to do next, and holds no word of Stripe's
//! own beyond codes and names: those repeat parts of keys and of what was asked for.

use std::time::Duration;

use super::permission::in_dashboard;
use crate::stripe::text::clip;

/// Why Stripe did not answer what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no such object, or not any more, or not in this key's mode.
    #[error("Stripe has no such object for this key")]
    Gone,
    /// The key may not do this, or is none.
    #[error("{}", denied(*status, permission.as_deref()))]
    Denied {
        /// 401 or 403.
        status: u16,
        /// What a restricted key lacks, where Stripe names it: `rak_event_read`.
        permission: Option<String>,
        /// Stripe's code, such as `account_invalid` for an account that is not connected any more.
        code: Option<String>,
    },
    /// What was asked is wrong.
    #[error(
        "Stripe answered {status} ({}), and would again: look up request {} in Workbench > Logs",
        named(code.as_deref(), param.as_deref()),
        request.as_deref().unwrap_or("(no id)")
    )]
    Refused {
        /// The answer's status.
        status: u16,
        /// Stripe's code.
        code: Option<String>,
        /// Which parameter it is about.
        param: Option<String>,
        /// The request's id in Stripe's logs.
        request: Option<String>,
    },
    /// Another address was named instead of an answer.
    #[error(
        "Stripe's API answered with a redirect ({status}), which is not followed because the key would go along: check `stripe.api_base`, and what stands between"
    )]
    Redirected {
        /// The answer's status.
        status: u16,
    },
    /// Too much was asked in too short a time.
    #[error("Stripe asks to be asked less often (429); it is tried again later")]
    Limited {
        /// How long Stripe wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Stripe cannot be reached, or fails, or is too slow.
    #[error("Stripe's API {what}; it is tried again later")]
    Unavailable {
        /// What happened.
        what: String,
        /// Why, where somebody knows.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// A path that leads out of Stripe's API.
    #[error("the path {0} is not within /v1/ or /v2/ of Stripe's API; nothing was asked for")]
    BadPath(String),
    /// An account or a context that no header can hold.
    #[error(
        "the value for the header {header} holds characters that no id has; nothing was asked for"
    )]
    BadScope {
        /// The header it was for.
        header: &'static str,
    },
    /// An answer over the bound.
    #[error("Stripe's answer is larger than {} MiB; ask for less at once", super::answer::MAX_BODY >> 20)]
    TooLarge,
    /// An answer that is no JSON.
    #[error("Stripe's answer is no JSON: check `stripe.api_base`, and what stands between")]
    NotJson(#[source] serde_json::Error),
    /// A list that is none, or never ends.
    #[error(
        "what Stripe's API lists at {path} {what}; check `stripe.api_base`, and what stands between"
    )]
    NotAList {
        /// What was listed.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl ApiError {
    /// Whether the same question may well be answered later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Limited { .. } | Self::Unavailable { .. })
    }

    /// Whether Stripe does not know the item any more that a page was to begin behind.
    pub fn is_lost_cursor(&self) -> bool {
        matches!(self, Self::Refused { param: Some(param), .. } if param == "starting_after")
    }

    /// How metrics call it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Denied { .. } => "denied",
            Self::Refused { .. } => "refused",
            Self::Redirected { .. } => "redirected",
            Self::Limited { .. } => "limited",
            Self::Unavailable { .. } => "unavailable",
            Self::BadPath(_) | Self::BadScope { .. } => "not_asked",
            Self::TooLarge => "too_large",
            Self::NotJson(_) | Self::NotAList { .. } => "unreadable",
        }
    }

    pub(super) fn bad_path(path: &str) -> Self {
        Self::BadPath(format!("\"{}\"", clip(path, 100).escape_default()))
    }

    pub(super) fn late() -> Self {
        Self::Unavailable {
            what: "did not answer within `stripe.api_deadline`".to_owned(),
            source: None,
        }
    }

    /// Of a request that got no answer, or not all of it. The address is left out: it may hold a password.
    pub(super) fn unreachable(error: reqwest::Error) -> Self {
        let what = if error.is_timeout() {
            "did not answer within `stripe.api_timeout`"
        } else if error.is_connect() {
            "cannot be reached"
        } else {
            "broke off the connection"
        };
        Self::Unavailable {
            what: what.to_owned(),
            source: Some(error.without_url()),
        }
    }
}

/// Why there is no client. The key is not shown.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The key cannot be sent.
    #[error("`stripe.secret_key` holds characters that no key of Stripe's has")]
    Key,
    /// The base is no address.
    #[error("`stripe.api_base` is no address")]
    Base,
    /// The client cannot be made.
    #[error("the http client for Stripe's API cannot be made")]
    Client(#[source] reqwest::Error),
}

fn denied(status: u16, permission: Option<&str>) -> String {
    match (status, permission) {
        (_, Some(permission)) => {
            let row = in_dashboard(permission).map(|row| format!(" (\"{row}\")"));
            format!(
                "the API key lacks the permission {permission}{}: give it to the restricted key at Dashboard > Developers > API keys",
                row.unwrap_or_default()
            )
        }
        (401, None) => {
            "Stripe does not know the API key: check STRIPE_SECRET_KEY, and whether the key was rolled".to_owned()
        }
        (_, None) => format!(
            "the API key may not do this ({status}): check its permissions (docs.stripe.com/keys/permissions-reference says what each request needs), and whether the account is still connected"
        ),
    }
}

fn named(code: Option<&str>, param: Option<&str>) -> String {
    let code = code.unwrap_or("no code");
    param.map_or_else(|| code.to_owned(), |param| format!("{code}, {param}"))
}
