//! Which ledger a store holds: an id made when the ledger is created, and kept with every part of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use platform::config::Purpose;

/// The id of a ledger: a UUID (version 4), made when the ledger is created. No two ledgers share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LedgerId(Uuid);

impl LedgerId {
    /// The id of a ledger that is kept nowhere: of tests.
    pub const NIL: Self = Self(Uuid::nil());

    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// What steps compare: its first bytes, most of which are random.
    #[must_use]
    pub fn mark(self) -> [u8; 8] {
        self.0.as_u64_pair().0.to_be_bytes()
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for LedgerId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A ledger that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: LedgerId,
    /// Its purpose.
    pub purpose: Purpose,
    /// Where it was found, for people.
    pub place: Arc<str>,
}

impl Identity {
    /// A ledger in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { id: LedgerId::NIL, purpose: Purpose::default(), place: "memory".into() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ledger {} in {}", self.id, self.place)
    }
}

/// What a store says of its ledger, whatever its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The ledger's id; `None` if it is of an earlier version.
    pub id: Option<LedgerId>,
    /// Its purpose.
    pub purpose: Purpose,
}

/// How to open a store that holds no ledger, or one without an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Refuse both, and write nothing.
    Existing,
    /// Refuse a store without a ledger. One of an earlier version gets its id.
    Serving,
    /// Create a ledger where there is none.
    Creating(Purpose),
}

impl Opening {
    /// What a ledger is created for, if one may be.
    #[must_use]
    pub fn purpose(self) -> Option<Purpose> {
        match self {
            Self::Creating(purpose) => Some(purpose),
            Self::Existing | Self::Serving => None,
        }
    }

    /// The id for a ledger that has none yet, if it may get one.
    pub fn new_id(self) -> anyhow::Result<LedgerId> {
        match self {
            Self::Existing => anyhow::bail!("the ledger is of an earlier version and has no id yet: start `tollgate serve` on it once"),
            Self::Serving | Self::Creating(_) => Ok(LedgerId::random()),
        }
    }
}
