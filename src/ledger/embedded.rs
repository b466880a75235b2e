//! The embedded ledger: one partition, decided in memory by the pure rules, kept in SQLite.
//!
//! One thread owns both. It takes what batches are waiting, decides them in order, writes what changed and their journal blocks in one
//! transaction, and answers after the COMMIT that SQLite has synced to disk. If the commit fails, memory is dropped and read again.
//!
//! All accounts, open reservations and remembered request ids are in memory; the journal is not. [`store`] holds the SQL.

mod store;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::codec::journal::decode_block;
use super::model::{Book, StepTime};
use super::watch::Watchers;
use super::{
    Answering, BatchAnswer, Block, DuePage, Engine, Found, Identity, JournalSpan, LedgerError, LedgerId, NamePlace, Opening, Order,
    Purpose, RequestKey, StoreSettings,
};
use crate::clock::Clock;
use crate::domain::account::{Account, Millis, Profile, Reservation};
use crate::domain::rules::Remembered;
use store::Store;

/// The most batches in one transaction.
const MAX_GROUP: usize = 64;

/// What the thread is asked for.
enum Job {
    Apply(Batch),
    Read(Read),
}

/// A batch, and who waits for its answer.
struct Batch {
    orders: Arc<[Order]>,
    caller: oneshot::Sender<Result<BatchAnswer, LedgerError>>,
}

/// Looks at what there is, or is told why it cannot.
type Read = Box<dyn FnOnce(Result<(&Book, &Store), LedgerError>) + Send>;

/// The embedded ledger.
#[derive(Debug)]
pub struct EmbeddedEngine {
    identity: Identity,
    jobs: mpsc::Sender<Job>,
}

impl EmbeddedEngine {
    /// Opens the store, and creates it only if `opening` says so; refuses one that another process uses, or that was made with other
    /// settings.
    pub fn open(path: &Path, settings: &StoreSettings, opening: Opening, clock: Clock, watchers: Watchers) -> anyhow::Result<Self> {
        let (mut store, identity) = Store::open(path, settings, opening)?;
        let book = store.load()?;
        let (jobs, inbox) = mpsc::channel();
        let desk = Desk { store, book: Some(book), clock, window: settings.window, watchers };
        thread::Builder::new().name("ledger".into()).spawn(move || desk.work(&inbox))?;
        Ok(Self { identity, jobs })
    }

    fn read<T: Send + 'static>(&self, read: impl FnOnce(&Book, &Store) -> Result<T, LedgerError> + Send + 'static) -> Answering<'_, T> {
        let (answer, pending) = oneshot::channel();
        let job = Job::Read(Box::new(move |state| {
            let _ = answer.send(state.and_then(|(book, store)| read(book, store)));
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

/// The ledger that a file holds.
pub fn find(path: &Path) -> anyhow::Result<Found> {
    store::find(path)
}

/// Puts a rebuilt partition into an empty store; see `restore`.
pub fn install(path: &Path, settings: &StoreSettings, id: LedgerId, book: &Book) -> anyhow::Result<()> {
    let (mut store, found) = Store::open(path, settings, Opening::Creating(Purpose::default()))?;
    anyhow::ensure!(store.load()?.sizes() == [0; 3], "{found} is not empty: a ledger is only restored into an empty store");
    store.set_id(id)?;
    store.write(book, &[book.everything()])?;
    Ok(())
}

/// What the thread owns.
struct Desk {
    store: Store,
    /// None: what is in memory is not what is on disk, and must be read again.
    book: Option<Book>,
    clock: Clock,
    window: Millis,
    watchers: Watchers,
}

impl Desk {
    fn work(mut self, inbox: &mpsc::Receiver<Job>) {
        while let Ok(first) = inbox.recv() {
            let mut batches = Vec::new();
            let mut reads = Vec::new();
            for job in std::iter::once(first).chain(inbox.try_iter()).take(MAX_GROUP) {
                match job {
                    Job::Apply(batch) => batches.push(batch),
                    Job::Read(read) => reads.push(read),
                }
            }
            self.apply(batches);
            for read in reads {
                read(self.state());
            }
        }
    }

    /// Memory, which holds what the disk holds, and the disk.
    fn state(&mut self) -> Result<(&Book, &Store), LedgerError> {
        if self.book.is_none() {
            self.book = Some(self.store.load().map_err(|error| LedgerError::not_done(format!("{error:#}")))?);
        }
        let book = self.book.as_ref().ok_or_else(|| LedgerError::not_done("the store is not loaded"))?;
        Ok((book, &self.store))
    }

    fn apply(&mut self, batches: Vec<Batch>) {
        let result = self.state().map(|_| ()).and_then(|()| self.decide(&batches));
        match result {
            Ok(answers) => batches.into_iter().zip(answers).for_each(|(batch, answer)| {
                let _ = batch.caller.send(Ok(answer));
            }),
            Err(error) => batches.into_iter().for_each(|batch| {
                let _ = batch.caller.send(Err(error.clone()));
            }),
        }
    }

    fn decide(&mut self, batches: &[Batch]) -> Result<Vec<BatchAnswer>, LedgerError> {
        let Some(book) = &mut self.book else { return Err(LedgerError::not_done("the store is not loaded")) };
        let mut answers = Vec::with_capacity(batches.len());
        let mut all_changes = Vec::with_capacity(batches.len());
        for Batch { orders, .. } in batches {
            let (answer, changes) = book.apply(orders, &StepTime::of(&self.clock, self.window), rand::random());
            answers.push(answer);
            all_changes.push(changes);
        }
        if let Err(error) = self.store.write(book, &all_changes) {
            tracing::error!(%error, "the ledger's store did not take a batch");
            self.book = None;
            return Err(error);
        }
        if !self.watchers.is_empty() {
            for account in all_changes.iter().flat_map(|changes| &changes.accounts) {
                self.watchers.announce(account);
            }
        }
        Ok(answers)
    }
}

impl Engine for EmbeddedEngine {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn partitions(&self) -> u16 {
        1
    }

    fn apply(&self, _partition: u16, orders: Arc<[Order]>) -> Answering<'_, BatchAnswer> {
        let (caller, pending) = oneshot::channel();
        self.ask(Job::Apply(Batch { orders, caller }), pending)
    }

    fn load(&self, _partition: u16, accounts: Vec<String>) -> Answering<'_, Vec<Option<(Account, Profile)>>> {
        self.read(move |book, _| Ok(book.load(&accounts)))
    }

    fn names(&self, _partition: u16, prefix: String, after: Option<NamePlace>, count: usize) -> Answering<'_, Vec<NamePlace>> {
        self.read(move |book, _| Ok(book.names(&prefix, after.as_ref(), count)))
    }

    fn reservations(
        &self,
        _partition: u16,
        account: String,
        after: Option<RequestKey>,
        count: usize,
    ) -> Answering<'_, Vec<(RequestKey, Reservation)>> {
        self.read(move |book, _| Ok(book.reservations(&account, after, count)))
    }

    fn remembered(&self, _partition: u16, key: RequestKey) -> Answering<'_, Option<Remembered>> {
        self.read(move |book, _| Ok(book.remembered(key).copied()))
    }

    fn blocks_before(&self, _partition: u16, before: Option<u64>, count: usize) -> Answering<'_, Vec<Block>> {
        self.read(move |_, store| store.blocks_before(before, count).map_err(|error| LedgerError::not_done(format!("{error:#}"))))
    }

    fn blocks_after(&self, _partition: u16, after: u64, count: usize) -> Answering<'_, Vec<Block>> {
        let stored = self.read(move |_, store| store.blocks_after(after, count).map_err(LedgerError::not_done));
        async move { stored.await?.iter().map(|block| decode_block(block).map_err(LedgerError::corrupt)).collect() }.boxed()
    }

    fn trim(&self, _partition: u16, below: u64) -> Answering<'_, ()> {
        self.read(move |_, store| store.trim(below).map_err(LedgerError::not_done))
    }

    fn journal_span(&self, _partition: u16) -> Answering<'_, JournalSpan> {
        self.read(move |book, store| {
            let next = book.next_sequence();
            let first = store.first_sequence().map_err(LedgerError::not_done)?;
            Ok(JournalSpan { first: first.unwrap_or(next), next })
        })
    }

    fn due_accounts(&self, _partition: u16, cursor: Option<String>, count: usize, now: Millis) -> Answering<'_, DuePage> {
        self.read(move |book, _| Ok(book.due_page(cursor.as_deref(), count, now)))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), String>> {
        self.read(|_, _| Ok(())).map(|result| result.map_err(|error| error.to_string())).boxed()
    }
}
