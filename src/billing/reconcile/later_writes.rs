//! What a partition's journal holds since its end was lost: what was repeated meanwhile, and which accounts were set otherwise.

use std::collections::{HashMap, HashSet};

use domain::entry::{Entry, EntryData};
use domain::ids::{AccountId, RequestId};
use domain::time::UnixMillis;
use ledger::{Ledger, LedgerError};

/// How many blocks are read at once.
const AT_ONCE: usize = 64;

/// Later writes to the accounts of lost entries.
pub(super) struct LaterWrites {
    /// Of each account, the request ids of all that was done.
    requests: HashMap<AccountId, HashSet<RequestId>>,
    /// Of each account, the request ids of what has changed more than its money.
    settings: HashMap<AccountId, HashSet<RequestId>>,
    /// Whether the journal reaches back to where the loss begins.
    is_whole: bool,
    /// What was lost, and looked at so far: what came before does not contradict what comes next.
    seen: HashSet<(AccountId, RequestId)>,
}

impl LaterWrites {
    /// Reads a partition's journal back to where the loss begins.
    pub async fn read(ledger: &Ledger, partition: u16, lost: &[(u64, &Entry)]) -> Result<Self, LedgerError> {
        let accounts: HashSet<&str> = lost.iter().map(|(_, entry)| entry.account.as_str()).collect();
        let first = lost.iter().map(|(sequence, _)| *sequence).min().unwrap_or(u64::MAX);
        let time = lost.iter().map(|(_, entry)| entry.time).min().unwrap_or(UnixMillis::MAX);
        let mut since = Self { requests: HashMap::new(), settings: HashMap::new(), is_whole: false, seen: HashSet::new() };
        let mut before = None;
        loop {
            let blocks = ledger.engine().blocks_before(partition, before, AT_ONCE).await?;
            if blocks.is_empty() {
                let oldest = match before {
                    Some(oldest) => oldest,
                    None => ledger.engine().journal_span(partition).await?.next,
                };
                since.is_whole = oldest <= first;
                return Ok(since);
            }
            for block in blocks {
                // What others had lost besides may begin before, so that its place says it or its time.
                if block.end() <= first && block.time <= time {
                    since.is_whole = true;
                    return Ok(since);
                }
                before = Some(block.first_sequence);
                block.entries.iter().filter(|entry| accounts.contains(entry.account.as_str())).for_each(|entry| since.note(entry));
            }
        }
    }

    fn note(&mut self, entry: &Entry) {
        let note = |of: &mut HashMap<AccountId, HashSet<RequestId>>| {
            of.entry(entry.account.clone()).or_default().insert(entry.request_id.clone());
        };
        note(&mut self.requests);
        if is_about_settings(&entry.data) || matches!(entry.data, EntryData::Created { .. }) {
            note(&mut self.settings);
        }
    }

    /// Whether what an entry records was done since, by its request id.
    pub fn has(&self, entry: &Entry) -> bool {
        self.requests.get(&entry.account).is_some_and(|requests| requests.contains(&entry.request_id))
    }

    /// Why an entry must not be applied again, because it would undo what was said after it.
    pub fn objection(&mut self, entry: &Entry) -> Option<&'static str> {
        self.seen.insert((entry.account.clone(), entry.request_id.clone()));
        if !is_about_settings(&entry.data) || self.has(entry) {
            return None;
        }
        let is_other = |id: &RequestId| !self.seen.contains(&(entry.account.clone(), id.clone()));
        match self.settings.get(&entry.account).is_some_and(|ids| ids.iter().any(is_other)) {
            true => Some("not applied: the account was changed since"),
            false if self.is_whole => None,
            false => Some("not applied: the journal no longer tells whether the account was changed since"),
        }
    }
}

/// Whether it sets something, so that of two the later counts.
fn is_about_settings(data: &EntryData) -> bool {
    matches!(
        data,
        EntryData::LimitSet { .. }
            | EntryData::Converted { .. }
            | EntryData::Updated { .. }
            | EntryData::Suspended
            | EntryData::Resumed
            | EntryData::Closed
            | EntryData::Reopened
    )
}
