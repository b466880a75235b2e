//! The ledger: where commands are decided, atomically, and journaled in the same step.
//!
//! [`Ledger`] is what the service talks to: it routes a command to its partition, and the [`batcher`] sends what has gathered there to
//! the [`Engine`] in one step. Two engines keep the same promises: [`embedded`] (the pure rules in memory, SQLite below) and
//! [`redis`] (the same rules as Lua beside the data). [`model`] is the engine without a store, and the measure of both.
//!
//! Bounds: a batch has at most [`MAX_BATCH`] commands, a partition's queue [`batcher::QUEUE_COMMANDS`].

pub mod backpressure;
pub mod batcher;
mod callers;
pub mod codec;
mod digest;
pub mod embedded;
mod engine;
mod error;
mod filter;
mod idempotency_key;
mod identity;
mod journal;
pub mod model;
mod originals;
pub mod prepared_command;
pub mod rebuild;
pub mod redis;
mod reservation_place;
pub mod snapshot;
mod store_settings;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join_all};

pub use backpressure::{Backpressure, JournalBounds};
pub use batcher::Pending;
pub use callers::CopiedCallers;
use domain::account::{Account, Profile, Reservation};
use domain::command::{Action, Command, Metadata};
use domain::entry::{Entry, Fingerprint};
use domain::ids::{AccountId, RequestId};
use domain::outcome::{Answer, Outcome, Refusal};
use domain::time::{Millis, UnixMillis};
pub use engine::{Answering, Answers, BatchAnswer, CROWDED_BATCH, Engine, Sizes, StoredAccount};
pub use error::LedgerError;
pub use filter::{AccountFilter, EntryFilter};
pub use idempotency_key::IdempotencyKey;
pub use identity::{Found, Identity, LedgerId, Opening};
pub use journal::{Block, DuePage, JournalHold, JournalSpan, Trimmer};
pub use originals::Searched;
use platform::clock::Clock;
pub use platform::config::Purpose;
use platform::telemetry::metrics;
pub use prepared_command::PreparedCommand;
pub use reservation_place::ReservationPlace;
pub use store_settings::StoreSettings;
use watch::{Watch, Watchers};

/// The most commands in one step.
pub const MAX_BATCH: usize = 512;

/// How many accounts a page with a filter looks at, at least.
const FILTERED_ACCOUNTS: usize = 2_000;

/// How many journal entries one search or one page may look at.
pub const MAX_SCANNED_ENTRIES: usize = 20_000;

/// A place in the list of accounts by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamePlace {
    /// The name, folded to lower case.
    pub folded_name: String,
    /// The account's id.
    pub account: AccountId,
}

/// An account on a page.
#[derive(Clone, Debug)]
pub struct ListedAccount {
    pub id: AccountId,
    /// The account, with a due close applied.
    pub account: Account,
    /// Its name and settings.
    pub profile: Profile,
    /// The instant that it is shown as of: its partition's time may be ahead of the clock.
    pub now: UnixMillis,
}

#[derive(Clone, Debug, Default)]
pub struct AccountPage {
    /// The accounts, with due closes applied.
    pub accounts: Vec<ListedAccount>,
    /// Where to go on; `None` if there are no more.
    pub next: Option<NamePlace>,
}

/// A page of an account's open reservations.
#[derive(Clone, Debug, Default)]
pub struct ReservationPage {
    /// The reservations, in the order in which they expire.
    pub reservations: Vec<Reservation>,
    /// Where to go on; `None` if there are no more.
    pub next: Option<ReservationPlace>,
}

/// A page of an account's journal.
#[derive(Clone, Debug, Default)]
pub struct EntryPage {
    /// Each entry with its place, newest first.
    pub entries: Vec<(EntryPosition, Entry)>,
    /// Go on below this sequence; `None` if there are no more.
    pub next_before: Option<u64>,
    /// All entries from this sequence on, below the one asked for, were looked at; `None` if there was none.
    pub searched_to: Option<u64>,
    /// Nothing before it is asked for.
    pub is_over: bool,
}

/// Where an entry is: its id is made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPosition {
    /// The partition that its account was in.
    pub partition: u16,
    /// Its sequence there. Those of an account grow, whatever partitions it was in.
    pub sequence: u64,
}

/// The ledger, as the service talks to it. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    engine: Arc<dyn Engine>,
    batcher: batcher::Batcher,
    watchers: Watchers,
    clock: Clock,
    gate: Backpressure,
}

impl Ledger {
    /// Starts the batches on the current runtime.
    #[must_use]
    pub fn start(engine: Arc<dyn Engine>, watchers: Watchers, clock: Clock) -> Self {
        let batcher = batcher::Batcher::start(Arc::clone(&engine));
        Self { engine, batcher, watchers, clock, gate: Backpressure::default() }
    }

    /// The same ledger, which begins nothing new where the gate is closed.
    #[must_use]
    pub fn behind(self, gate: Backpressure) -> Self {
        Self { gate, ..self }
    }

    /// The ledger's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The engine, for readers of the journal.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// How much the journal may hold.
    #[must_use]
    pub fn journal_bounds(&self) -> JournalBounds {
        self.gate.bounds()
    }

    /// Which ledger it is, and where it was found.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.engine.identity()
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.engine.partitions()
    }

    /// Whether the whole store replies and agrees on the time; else what is wrong, for people.
    pub async fn check(&self) -> Result<(), String> {
        self.engine.check().await.into_iter().collect()
    }

    /// The partition of an account: decided by the part of its id before the first `/`.
    #[must_use]
    pub fn partition_of(&self, account: &AccountId) -> u16 {
        prepared_command::partition_of(account, self.engine.partitions())
    }

    /// Puts a command in its partition's queue. Commands put in one after another are decided in that order, if on one account.
    /// A command whose [`Pending`] is dropped before it was sent is not sent; one that was sent is decided and recorded.
    pub fn enqueue(&self, command: impl Into<Arc<Command>>) -> Result<Pending, LedgerError> {
        let command = command.into();
        let partition = self.partition_of(&command.account);
        if self.gate.refuses(partition, &command) {
            metrics().count_journal_refusals(partition, 1);
            metrics().decisions.decided(command.action.kind(), None);
            return Err(LedgerError::JournalFull);
        }
        self.batcher.enqueue(partition, PreparedCommand::new(command))
    }

    /// How long a command on an account would wait for its answer, if it came now: an estimate, by what steps took lately.
    #[must_use]
    pub fn expected_wait(&self, account: &AccountId) -> Duration {
        self.batcher.expected_wait(self.partition_of(account))
    }

    /// The same of a batch of commands on any accounts.
    pub fn expected_wait_of(&self, commands: usize) -> Duration {
        self.batcher.expected_wait_of(commands)
    }

    /// Whether somebody waits for single commands, or did a moment ago: then streams let others have a turn more often.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.batcher.has_calls()
    }

    /// Decides on a command.
    pub async fn submit(&self, command: impl Into<Arc<Command>>) -> Result<Answer, LedgerError> {
        self.enqueue(command)?.await
    }

    /// Decides on a command that does again what was done, and lost; see [`PreparedCommand::again`].
    pub async fn submit_again(&self, command: Command, fingerprint: Fingerprint) -> Result<Answer, LedgerError> {
        let partition = self.partition_of(&command.account);
        self.batcher.enqueue(partition, PreparedCommand::again(command, fingerprint))?.await
    }

    /// Reads an account's credit, due events applied.
    pub async fn observe(&self, account: &AccountId, watch: bool) -> Result<Result<Outcome, Refusal>, LedgerError> {
        self.submit(Command {
            account: account.to_owned(),
            request_id: RequestId::default(),
            first_sent_at: None,
            currency: None,
            action: Action::Observe { watch },
            metadata: Metadata::default(),
        })
        .await
        .map_err(LedgerError::of_read)
    }

    /// An account's settings.
    pub async fn profile(&self, account: &AccountId) -> Result<Option<Profile>, LedgerError> {
        let found = self.engine.load(self.partition_of(account), vec![account.to_owned()]).await?;
        Ok(found.into_iter().next().flatten().map(|(_, profile)| profile))
    }

    /// The time by which a partition decides: its own, where that is ahead of the clock.
    async fn now_in(&self, partition: u16) -> Result<UnixMillis, LedgerError> {
        Ok(self.engine.journal_span(partition).await?.now.max(self.clock.now()))
    }

    /// Accounts by name over all partitions: all names are asked for at once, then all accounts. With a filter, a page may be short.
    pub async fn accounts(
        &self,
        prefix: &str,
        filter: &AccountFilter,
        after: Option<NamePlace>,
        count: usize,
    ) -> Result<AccountPage, LedgerError> {
        let prefix = fold_name(prefix);
        // One more than is shown tells whether there are more; a filter may leave little of what it looks at.
        let partitions = || 0..self.engine.partitions();
        let looked_at = if filter.is_all() { count } else { count.max(FILTERED_ACCOUNTS) } + 1;
        let names = |partition| self.engine.names(partition, prefix.clone(), after.clone(), looked_at);
        let found = try_join(try_join_all(partitions().map(names)), try_join_all(partitions().map(|number| self.now_in(number)))).await?;
        let (found, times) = found;
        let mut places: Vec<_> =
            (0..).zip(found).flat_map(|(partition, places)| places.into_iter().map(move |place| (place, partition))).collect();
        places.sort();
        let is_last = places.len() < looked_at;
        places.truncate(looked_at);
        let load = |partition| {
            let ids = places.iter().filter(|(_, own)| *own == partition).map(|(place, _)| place.account.clone());
            self.engine.load(partition, ids.collect())
        };
        let mut loaded: Vec<_> = try_join_all(partitions().map(load)).await?.into_iter().map(Vec::into_iter).collect();
        let mut page = AccountPage::default();
        for (place, partition) in places {
            if page.accounts.len() == count {
                return Ok(page);
            }
            // Of an account that was renamed meanwhile, there may be nothing at its place.
            if let Some((account, profile)) = loaded.get_mut(usize::from(partition)).and_then(Iterator::next).flatten()
                && filter.accepts(&account)
            {
                let now = times.get(usize::from(partition)).copied().unwrap_or_else(|| self.clock.now());
                let (id, account) = (place.account.clone(), domain::rules::apply_due_close(account, now));
                page.accounts.push(ListedAccount { id, account, profile, now });
            }
            page.next = Some(place);
        }
        page.next = page.next.filter(|_| !is_last);
        Ok(page)
    }

    /// These accounts, in this order; what the ledger does not have is left out.
    pub async fn listed(&self, ids: Vec<AccountId>) -> Result<Vec<ListedAccount>, LedgerError> {
        let mut by_partition = BTreeMap::<u16, Vec<AccountId>>::new();
        for id in &ids {
            by_partition.entry(self.partition_of(id)).or_default().push(id.clone());
        }
        let of_partition = |(partition, ids): (u16, Vec<AccountId>)| async move {
            let (loaded, now) = try_join(self.engine.load(partition, ids.clone()), self.now_in(partition)).await?;
            let listed = ids.into_iter().zip(loaded).filter_map(move |(id, stored)| {
                let (account, profile) = stored?;
                let account = domain::rules::apply_due_close(account, now);
                Some((id.clone(), ListedAccount { id, account, profile, now }))
            });
            Ok::<_, LedgerError>(listed.collect::<Vec<_>>())
        };
        let mut listed: BTreeMap<_, _> = try_join_all(by_partition.into_iter().map(of_partition)).await?.into_iter().flatten().collect();
        Ok(ids.iter().filter_map(|id| listed.remove(id)).collect())
    }

    /// Reservations of an account that are open at `now`, in pages. One that is extended meanwhile moves behind what was shown.
    pub async fn reservations(
        &self,
        account: &AccountId,
        now: UnixMillis,
        after: Option<ReservationPlace>,
        count: usize,
    ) -> Result<ReservationPage, LedgerError> {
        // What has expired comes first, so that all behind this is open.
        let after = after.max(Some(ReservationPlace::behind_expired(now)));
        let mut found = self.engine.reservations(self.partition_of(account), account.to_owned(), after, count + 1).await?;
        let has_more = found.len() > count;
        found.truncate(count);
        let next = found.last().filter(|_| has_more).map(|(key, reservation)| ReservationPlace::of(*key, reservation));
        Ok(ReservationPage { reservations: found.into_iter().map(|(_, reservation)| reservation).collect(), next })
    }

    /// An account's entries that the journal has of `down_to..before`, newest first.
    pub async fn entries(
        &self,
        account: &AccountId,
        filter: &EntryFilter,
        down_to: u64,
        before: Option<u64>,
        count: usize,
    ) -> Result<EntryPage, LedgerError> {
        let partition = self.partition_of(account);
        let mut page = EntryPage { searched_to: before, ..EntryPage::default() };
        let mut is_reached = false;
        let is_exhausted = self
            .scan(account, before, |sequence, entry| {
                if sequence < down_to {
                    is_reached = true;
                    return false;
                }
                if page.entries.len() == count {
                    return false;
                }
                (page.next_before, page.searched_to) = (Some(sequence), Some(sequence));
                if entry.account == *account {
                    page.is_over = filter.is_over(&entry);
                    if filter.accepts(&entry) {
                        page.entries.push((EntryPosition { partition, sequence }, entry));
                    }
                }
                !page.is_over
            })
            .await?;
        if is_exhausted || is_reached || page.is_over {
            page.next_before = None;
        }
        Ok(page)
    }

    /// How much of a partition's journal comes at or after a sequence: how many entries, and when the first of them was written.
    pub async fn journal_after(&self, partition: u16, next: u64) -> Result<(u64, Option<UnixMillis>), LedgerError> {
        let span = self.engine.journal_span(partition).await?;
        if span.next <= next {
            return Ok((0, None));
        }
        let blocks = self.engine.blocks_after(partition, next.saturating_sub(1), 1).await?;
        Ok((span.next - next, blocks.first().map(|block| block.time)))
    }

    /// For how long request ids are remembered at least.
    #[must_use]
    pub fn idempotency_window(&self) -> Millis {
        self.engine.idempotency_window()
    }

    /// Whether a request id was used.
    pub async fn is_remembered(&self, account: &AccountId, request_id: &RequestId) -> Result<bool, LedgerError> {
        let remembered = self.engine.remembered(self.partition_of(account), IdempotencyKey::of(account, request_id)).await?;
        Ok(remembered.is_some())
    }

    /// Shows the entries of the account's partition below a sequence, newest first, until `visit` says stop or the bound is reached.
    /// Returns whether the journal's beginning was reached.
    async fn scan(&self, account: &AccountId, before: Option<u64>, mut visit: impl FnMut(u64, Entry) -> bool) -> Result<bool, LedgerError> {
        let partition = self.partition_of(account);
        let (mut before, mut scanned) = (before, 0);
        loop {
            let count = if scanned == 0 { 1 } else { 32 };
            let blocks = self.engine.blocks_before(partition, before, count).await?;
            if blocks.is_empty() {
                return Ok(true);
            }
            for block in blocks {
                let first_sequence = block.first_sequence;
                for (offset, entry) in block.entries.into_iter().enumerate().rev() {
                    let sequence = first_sequence + offset as u64;
                    if before.is_some_and(|before| sequence >= before) {
                        continue;
                    }
                    if scanned == MAX_SCANNED_ENTRIES || !visit(sequence, entry) {
                        return Ok(false);
                    }
                    scanned += 1;
                }
                before = Some(first_sequence);
            }
        }
    }

    /// Waits for changes of an account.
    #[must_use]
    pub fn watch(&self, account: &AccountId) -> Watch {
        self.watchers.watch(account)
    }

    /// Sweeps a partition, in slices, for at most so long; returns whether there is more to sweep.
    pub async fn sweep(&self, partition: u16, patience: Duration) -> Result<bool, LedgerError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.engine.sweep(partition).await {
                Ok(true) if Instant::now() < deadline => {}
                swept => return swept,
            }
        }
    }
}

/// A name as it is sorted and searched.
#[must_use]
pub fn fold_name(name: &str) -> String {
    name.to_lowercase()
}
