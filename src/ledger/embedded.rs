//! The embedded ledger: one partition, decided in memory by the pure rules, kept in SQLite.
//!
//! One thread owns both. It takes what batches are waiting, decides them in order, writes what changed and their journal blocks in one
//! transaction, and answers after the COMMIT that SQLite has synced to disk. If that fails, what the batches changed in memory is undone, and
//! the engine says that it cannot write, until it can.
//!
//! All accounts, open reservations and remembered request ids are in memory; the journal is not. [`store`] holds the SQL.

mod callers;
mod copy;
mod file;
mod forgotten;
mod journal;
mod migrate;
pub mod restore;
mod state;
mod store;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::codec::journal::decode_block;
use super::model::{BatchTime, Changes, PartitionState};
use super::watch::Watchers;
use super::{
    Answering, BatchAnswer, Block, CopiedCallers, DuePage, Engine, Found, IdempotencyKey, Identity, JournalHold, JournalSpan, LedgerError,
    MAX_BATCH, NamePlace, Opening, PreparedCommand, ReservationPlace, Sizes, StoreSettings, Trimmer,
};
use copy::Copy;
use domain::account::{Account, Profile, Reservation};
use domain::ids::AccountId;
use domain::rules::{IdempotencyRecord, RefundKey};
use domain::time::{Millis, UnixMillis};
use platform::clock::Clock;
use platform::telemetry::metrics;
use platform::telemetry::traces::{Span, SpanKind};
use store::Store;

/// The most batches in one transaction.
const MAX_GROUP: usize = 64;

/// A job for the thread.
enum Job {
    Apply(Batch),
    Sweep(oneshot::Sender<Result<bool, LedgerError>>),
    Trim(u64, oneshot::Sender<Result<bool, LedgerError>>),
    Read(Read),
    Check(oneshot::Sender<Result<(), LedgerError>>),
    Copy(Copy),
    Close,
}

/// A batch, and who waits for its answer.
struct Batch {
    commands: Arc<[PreparedCommand]>,
    caller: oneshot::Sender<Result<BatchAnswer, LedgerError>>,
}

/// A read of the partition and the store.
type Read = Box<dyn FnOnce(&PartitionState, &Store) + Send>;

/// A change of the system's clock by more than this is logged, and those who watch for an instant look again.
const CLOCK_STEP: Millis = 1_000;

/// The embedded ledger.
#[derive(Debug)]
pub struct EmbeddedEngine {
    identity: Identity,
    jobs: mpsc::Sender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
    path: PathBuf,
    /// Whether the journal is held.
    is_held: Arc<AtomicBool>,
    window: Millis,
}

impl EmbeddedEngine {
    /// Opens the store, and creates it only if `opening` says so; refuses one that another process uses, or that was made with other
    /// settings.
    pub fn open(path: &Path, settings: &StoreSettings, opening: Opening, clock: Clock, watchers: Watchers) -> anyhow::Result<Self> {
        let (store, identity) = Store::open(path, settings, opening)?;
        let partition_state = store.load()?;
        let (jobs, inbox) = mpsc::channel();
        let engine_thread = EngineThread {
            partition_state,
            failure: None,
            is_open: true,
            copies: VecDeque::new(),
            refund_cursor: None,
            clock,
            window: settings.window,
            watchers,
        };
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || engine_thread.work(store, &inbox))?;
        let (path, is_held, window) = (path.to_owned(), Arc::default(), settings.window);
        Ok(Self { identity, jobs, thread: Mutex::new(Some(thread)), path, is_held, window })
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&PartitionState, &Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Answering<'_, T> {
        let (answer, pending) = oneshot::channel();
        let job = Job::Read(Box::new(move |partition_state, store| {
            let _ = answer.send(read(partition_state, store));
        }));
        self.ask(job, pending).map(|answer| answer.map_err(LedgerError::of_read)).boxed()
    }

    fn ask<T: Send + 'static>(&self, job: Job, pending: oneshot::Receiver<Result<T, LedgerError>>) -> Answering<'_, T> {
        let is_sent = self.jobs.send(job).is_ok();
        async move {
            let ended = "the ledger's thread has ended";
            if is_sent { pending.await.map_err(|_| LedgerError::unknown(ended))? } else { Err(LedgerError::not_done(ended)) }
        }
        .boxed()
    }
}

impl Drop for EmbeddedEngine {
    fn drop(&mut self) {
        self.close();
    }
}

/// The ledger that a file holds.
pub fn find(path: &Path) -> anyhow::Result<Found> {
    store::find(path)
}

/// The thread's state beside the store.
struct EngineThread {
    /// An in-memory copy of what is on disk.
    partition_state: PartitionState,
    /// Why the last attempt to write failed; `None` if it did not.
    failure: Option<String>,
    /// Whether more is to come.
    is_open: bool,
    /// Copies of the file that are asked for.
    copies: VecDeque<Copy>,
    /// Where the next slice of the sums begins that were given back.
    refund_cursor: Option<RefundKey>,
    clock: Clock,
    window: Millis,
    watchers: Watchers,
}

impl EngineThread {
    fn work(mut self, store: Store, inbox: &mpsc::Receiver<Job>) {
        while self.is_open
            && let Ok(first) = inbox.recv()
        {
            self.serve(&store, first, inbox);
            while let Some(Copy { path, caller }) = self.copies.pop_front() {
                let copied = copy::copy(&store, &path, || {
                    if let Ok(first) = inbox.try_recv() {
                        self.serve(&store, first, inbox);
                    }
                    self.is_open
                });
                let _ = caller.send(copied);
            }
        }
        if let Err(error) = store.close() {
            tracing::warn!(%error, "the ledger's store was not closed cleanly: recent writes are still in the -wal file");
        }
    }

    /// Executes the waiting jobs: batches, in one transaction, then the rest.
    fn serve(&mut self, store: &Store, first: Job, inbox: &mpsc::Receiver<Job>) {
        let (mut batches, mut rest) = (Vec::new(), Vec::new());
        for job in std::iter::once(first).chain(inbox.try_iter()).take(MAX_GROUP) {
            match job {
                Job::Apply(batch) => batches.push(batch),
                job => rest.push(job),
            }
        }
        if !batches.is_empty() {
            self.apply(store, batches);
        }
        for job in rest {
            match job {
                Job::Apply(batch) => self.apply(store, vec![batch]),
                Job::Sweep(caller) => drop(caller.send(self.sweep(store))),
                Job::Trim(below, caller) => drop(caller.send(self.trim(store, below))),
                Job::Read(read) => read(&self.partition_state, store),
                Job::Check(caller) => drop(caller.send(self.check(store))),
                Job::Copy(copy) => self.copies.push_back(copy),
                Job::Close => self.is_open = false,
            }
        }
    }

    fn apply(&mut self, store: &Store, batches: Vec<Batch>) {
        match self.decide(store, &batches) {
            Ok(answers) => batches.into_iter().zip(answers).for_each(|(batch, answer)| {
                let _ = batch.caller.send(Ok(answer));
            }),
            Err(error) => batches.into_iter().for_each(|batch| {
                let _ = batch.caller.send(Err(error.clone()));
            }),
        }
    }

    fn sweep(&mut self, store: &Store) -> Result<bool, LedgerError> {
        let (is_more, changes) = self.partition_state.sweep(&BatchTime::of(&self.clock, self.window));
        self.keep(store, vec![changes])?;
        let is_any_forgotten = store.delete_forgotten().map_err(LedgerError::not_done)?;
        Ok(is_more || is_any_forgotten)
    }

    fn trim(&mut self, store: &Store, below: u64) -> Result<bool, LedgerError> {
        store.trim(below).map_err(LedgerError::not_done)?;
        let changes = self.partition_state.drop_refunds(below, self.window, &mut self.refund_cursor);
        self.keep(store, vec![changes])?;
        Ok(self.refund_cursor.is_some())
    }

    fn decide(&mut self, store: &Store, batches: &[Batch]) -> Result<Vec<BatchAnswer>, LedgerError> {
        let mut answers = Vec::with_capacity(batches.len());
        let mut all_changes = Vec::with_capacity(batches.len());
        let time = BatchTime::of(&self.clock, self.window);
        for Batch { commands, .. } in batches {
            let (answer, changes) = self.partition_state.apply(commands, &time, rand::random());
            answers.push(answer);
            all_changes.push(changes);
        }
        self.keep(store, all_changes)?;
        Ok(answers)
    }

    /// Commits what was changed in memory, and announces it; what cannot be committed is undone.
    fn keep(&mut self, store: &Store, all_changes: Vec<Changes>) -> Result<(), LedgerError> {
        match store.write(&self.partition_state, &all_changes) {
            Ok(has_written) if has_written => self.remember_failure(Ok(())),
            Ok(_) => {}
            Err(error) => {
                all_changes.into_iter().rev().for_each(|changes| self.partition_state.undo(changes));
                self.remember_failure(Err(error.to_string()));
                return Err(error);
            }
        }
        metrics().ledger.count_expired(0, all_changes.iter().map(|changes| changes.expired).sum());
        if !self.watchers.is_empty() {
            for account in all_changes.iter().flat_map(|changes| &changes.accounts) {
                self.watchers.announce(account);
            }
        }
        if all_changes.iter().any(|changes| changes.is_rotated) {
            // They may hold millions of request ids. If no thread can be started, this one frees them.
            let _ = thread::Builder::new().name("forgotten".into()).spawn(move || drop(all_changes));
        }
        Ok(())
    }

    /// Follows the system's clock, and says whether the store can be written: if it could not, by trying.
    fn check(&mut self, store: &Store) -> Result<(), LedgerError> {
        let step = self.clock.follow_system();
        if step.abs() > CLOCK_STEP {
            tracing::warn!(by_ms = step, "the system's clock was set, or the machine has slept");
            self.watchers.announce_all();
        }
        if self.failure.is_some() {
            let probed = store.probe();
            self.remember_failure(probed.map_err(|error| error.to_string()));
        }
        match &self.failure {
            Some(reason) => Err(LedgerError::not_done(format!("it cannot be written: {reason}"))),
            None => Ok(()),
        }
    }

    /// Notes whether a write failed; logs when that changes.
    fn remember_failure(&mut self, written: Result<(), String>) {
        match (&self.failure, &written) {
            (None, Err(reason)) => tracing::error!(reason, "the ledger's store cannot be written: nothing is charged until it can"),
            (Some(_), Ok(())) => tracing::info!("the ledger's store can be written again"),
            _ => {}
        }
        self.failure = written.err();
    }
}

impl Engine for EmbeddedEngine {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn partitions(&self) -> u16 {
        1
    }

    fn apply(&self, _partition: u16, commands: Arc<[PreparedCommand]>) -> Answering<'_, BatchAnswer> {
        let (caller, pending) = oneshot::channel();
        let answering = self.ask(Job::Apply(Batch { commands, caller }), pending);
        let Some(span) = Span::child("COMMIT", SpanKind::Client) else { return answering };
        span.set("db.system.name", "sqlite");
        span.set("db.operation.name", "COMMIT");
        async move {
            let answer = answering.await;
            drop(span);
            answer
        }
        .boxed()
    }

    /// As many as a step may have, because each step is synced to disk.
    fn crowded_batch(&self) -> usize {
        MAX_BATCH
    }

    fn sweep(&self, _partition: u16) -> Answering<'_, bool> {
        let (caller, pending) = oneshot::channel();
        self.ask(Job::Sweep(caller), pending)
    }

    fn load(&self, _partition: u16, accounts: Vec<AccountId>) -> Answering<'_, Vec<Option<(Account, Profile)>>> {
        self.read(move |partition_state, _| Ok(partition_state.load(&accounts)))
    }

    fn names(&self, _partition: u16, prefix: String, after: Option<NamePlace>, count: usize) -> Answering<'_, Vec<NamePlace>> {
        self.read(move |partition_state, _| Ok(partition_state.names(&prefix, after.as_ref(), count)))
    }

    fn reservations(
        &self,
        _partition: u16,
        account: AccountId,
        after: Option<ReservationPlace>,
        count: usize,
    ) -> Answering<'_, Vec<(IdempotencyKey, Reservation)>> {
        self.read(move |partition_state, _| Ok(partition_state.reservations(&account, after, count)))
    }

    fn remembered(&self, _partition: u16, key: IdempotencyKey) -> Answering<'_, Option<IdempotencyRecord>> {
        self.read(move |partition_state, _| Ok(partition_state.remembered(key)))
    }

    fn blocks_before(&self, _partition: u16, before: Option<u64>, count: usize) -> Answering<'_, Vec<Block>> {
        self.read(move |_, store| store.blocks_before(before, count).map_err(|error| LedgerError::not_done(format!("{error:#}"))))
    }

    fn blocks_after(&self, _partition: u16, after: u64, count: usize) -> Answering<'_, Vec<Block>> {
        let stored = self.read(move |_, store| store.blocks_after(after, count).map_err(LedgerError::not_done));
        async move { stored.await?.iter().map(|block| decode_block(block).map_err(LedgerError::corrupt)).collect() }.boxed()
    }

    fn trim(&self, _partition: u16, below: u64, _by: Trimmer) -> Answering<'_, bool> {
        if self.is_held.load(Ordering::SeqCst) {
            return std::future::ready(Ok(false)).boxed();
        }
        let (caller, pending) = oneshot::channel();
        self.ask(Job::Trim(below, caller), pending)
    }

    fn idempotency_window(&self) -> Millis {
        self.window
    }

    fn journal_span(&self, _partition: u16) -> Answering<'_, JournalSpan> {
        self.read(move |partition_state, store| {
            let next = partition_state.next_sequence();
            let first = store.first_sequence().map_err(LedgerError::not_done)?;
            Ok(JournalSpan {
                first: first.unwrap_or(next),
                next,
                now: partition_state.state.now,
                is_read: false,
                is_torn: false,
                due_from: UnixMillis::NONE,
            })
        })
    }

    fn sizes(&self, _partition: u16) -> Answering<'_, Sizes> {
        self.read(|partition_state, _| Ok(partition_state.sizes()))
    }

    fn due_accounts(&self, _partition: u16, cursor: Option<String>, count: usize, now: UnixMillis) -> Answering<'_, DuePage> {
        self.read(move |partition_state, _| Ok(partition_state.due_page(cursor.as_deref(), count, now)))
    }

    fn callers(&self, known: Option<i64>) -> Answering<'_, Option<CopiedCallers>> {
        self.read(move |_, store| store.callers(known).map_err(LedgerError::not_done))
    }

    fn copy_callers(&self, callers: CopiedCallers) -> Answering<'_, ()> {
        self.read(move |_, store| store.copy_callers(&callers).map_err(LedgerError::not_done))
    }

    fn check(&self) -> BoxFuture<'_, Vec<Result<(), String>>> {
        let (caller, pending) = oneshot::channel();
        self.ask(Job::Check(caller), pending).map(|result| vec![result.map_err(|error| error.to_string())]).boxed()
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn hold_journal(&self) -> Option<JournalHold> {
        JournalHold::take(&self.is_held)
    }

    fn copy_to(&self, path: PathBuf) -> Answering<'_, ()> {
        let (caller, pending) = oneshot::channel();
        self.ask(Job::Copy(Copy { path, caller }), pending).map(|copied| copied.map_err(LedgerError::of_read)).boxed()
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn close(&self) {
        let _ = self.jobs.send(Job::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It panics for no reason of its own, and a panic ends the process.
        let _ = thread.map(JoinHandle::join);
    }
}
