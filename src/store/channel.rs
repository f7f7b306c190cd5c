//! Who messages are for.

use serde::{Deserialize, Serialize};

/// Who a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The customer, by mail.
    Email,
    /// Sales, by chat or mail.
    Sales,
    /// Finance, by chat or mail.
    Finance,
    /// The business's own application, by Standard Webhooks.
    App,
}

impl Channel {
    const ALL: [Self; 4] = [Self::Email, Self::Sales, Self::Finance, Self::App];
    /// The words of all.
    pub const WORDS: [&str; 4] = {
        let [a, b, c, d] = Self::ALL;
        [a.as_str(), b.as_str(), c.as_str(), d.as_str()]
    };

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sales => "sales",
            Self::Finance => "finance",
            Self::App => "app",
        }
    }

    /// Reads the stored word.
    pub fn parse(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|channel| channel.as_str() == word)
    }
}
