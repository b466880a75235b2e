//! A change of a setting, as it is asked for.

use jiff::civil::Date;

use domain::ids::RequestId;
use domain::origin::Origin;
use domain::time::UnixMillis;

/// The actor of a change, and its request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The caller's name for it.
    pub request_id: RequestId,
    /// Who asks.
    pub actor: String,
    /// For whom; empty if for nobody else.
    pub on_behalf_of: String,
    /// Why.
    pub reason: String,
    /// When it came.
    pub at: UnixMillis,
    /// How it came.
    pub origin: Origin,
    /// When the caller first sent it, if it said so.
    pub first_sent_at: Option<UnixMillis>,
    /// From which day on it holds; `None` means from the one on which it came.
    pub valid_from: Option<Date>,
}

/// Whether a change was made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was.
    Now,
    /// It had been made before: this is a repetition.
    Before,
}

impl Change {
    /// What is asked for, and nothing of who asks or why.
    pub(super) fn asked(&self, words: &[&str]) -> String {
        let day = self.valid_from.map(|day| day.to_string());
        words.iter().copied().chain(day.as_deref()).collect::<Vec<_>>().join("\n")
    }
}
