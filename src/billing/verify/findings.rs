//! The findings of a verification.

use crate::series::Head;

/// The most differences that are reported one by one.
const MOST_TOLD: usize = 1_000;

/// The stores or parts that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The entries, by themselves.
    Journal,
    /// The ledger, against the entries.
    Ledger,
    /// The accounts in SQL, against the entries.
    Accounts,
    /// The running totals in SQL, against the entries.
    Totals,
    /// The documents, against what the ledger closed.
    Documents,
    /// The audit records, against their chains and the entries.
    Audit,
}

impl Place {
    /// Its name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Ledger => "ledger",
            Self::Accounts => "accounts in SQL",
            Self::Totals => "totals",
            Self::Documents => "documents",
            Self::Audit => "audit records",
        }
    }
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Where.
    pub place: Place,
    /// In which partition; `None` if in none of them.
    pub partition: Option<u16>,
    /// The account, document or entry.
    pub subject: String,
    /// What differs, for people.
    pub what: String,
}

/// What was compared, and the differences.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Findings {
    /// Entries replayed.
    pub entries: u64,
    /// Of these, entries that SQL does not have yet.
    pub entries_beyond_sql: u64,
    /// Accounts compared.
    pub accounts: u64,
    /// Accounts in SQL compared.
    pub accounts_in_sql: u64,
    /// Running totals compared.
    pub totals: u64,
    /// Bills whose documents were compared.
    pub bills: u64,
    /// Issued documents whose digests were worked out again.
    pub documents: u64,
    /// Of these, documents whose customer was erased: their chain holds, and says nothing of whom they were for.
    pub erased: u64,
    /// Audit records whose digests were worked out again.
    pub audit_records: u64,
    /// Of these, records of which names, addresses and reasons were erased.
    pub erased_acts: u64,
    /// Issued documents that are no longer kept: their numbers, dates, sums and digests are.
    pub dropped_documents: u64,
    /// Audit records that are no longer kept; the chains begin behind them.
    pub dropped_acts: u64,
    /// The last document of each series, and the last record of each chain, to be kept elsewhere.
    pub heads: Vec<Head>,
    /// Of the heads that were kept, those that are as they were, and with them all before that is still kept.
    pub proved: Vec<Head>,
    /// Of the heads that were kept, those of audit records that no longer are: they prove nothing any more.
    pub outlived: Vec<Head>,
    /// Of the heads that were kept, those of the last audit record that was dropped: what follows goes on from it, and nothing is before it.
    pub last_dropped: Vec<Head>,
    /// Accounts that moved so often that they could not be compared.
    pub moving: Vec<String>,
    /// Parts of the journal that are lost, and that an operator accepted as such: they are left out of the comparison.
    pub gaps: Vec<String>,
    /// What differs; the first thousand.
    pub differences: Vec<Difference>,
    /// How much differs.
    pub count: u64,
}

impl Findings {
    /// How many of the reported differences are of one place.
    #[must_use]
    pub fn count_of(&self, place: Place) -> usize {
        self.differences.iter().filter(|difference| difference.place == place).count()
    }

    pub(super) fn add(&mut self, place: Place, partition: Option<u16>, subject: impl Into<String>, what: impl Into<String>) {
        self.count += 1;
        if self.differences.len() < MOST_TOLD {
            self.differences.push(Difference { place, partition, subject: subject.into(), what: what.into() });
        }
    }
}
