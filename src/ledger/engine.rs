//! The trait of engines, which keep accounts and decide commands, one step of one partition at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending, ready};

use super::journal::JournalHold;
use super::{
    Block, CopiedCallers, DuePage, IdempotencyKey, Identity, JournalSpan, LedgerError, NamePlace, PreparedCommand, ReservationPlace,
    Trimmer,
};
#[cfg(doc)]
use super::{Ledger, MAX_BATCH};
use domain::account::{Account, Profile, Reservation};
use domain::ids::AccountId;
use domain::outcome::Answer;
#[cfg(doc)]
use domain::outcome::Refusal;
use domain::rules::IdempotencyRecord;
use domain::time::{Millis, UnixMillis};

/// The most commands of streams in a step while several streams have something to do, and nobody else, unless its engine has another.
pub const CROWDED_BATCH: usize = 128;

/// What an engine answers to a batch.
#[derive(Debug)]
pub struct BatchAnswer {
    /// One for each command.
    pub answers: Answers,
    /// Whether commands wait for a later step, because their accounts have much due: what they are answered is [`Refusal::Deferred`].
    pub has_deferred: bool,
}

/// The answers of a batch, decoded when they are read.
pub struct Answers(Box<dyn FnOnce() -> Result<Vec<Answer>, LedgerError> + Send>);

impl Answers {
    /// The answers that this closure decodes.
    pub fn new(read: impl FnOnce() -> Result<Vec<Answer>, LedgerError> + Send + 'static) -> Self {
        Self(Box::new(read))
    }

    /// One for each command, in their order.
    pub fn read(self) -> Result<Vec<Answer>, LedgerError> {
        self.0()
    }
}

impl From<Vec<Answer>> for Answers {
    fn from(answers: Vec<Answer>) -> Self {
        Self::new(|| Ok(answers))
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Answers").finish_non_exhaustive()
    }
}

/// How much a partition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Accounts, closed ones too.
    pub accounts: u64,
    /// Open reservations: also those that have expired, and are not swept away yet.
    pub reservations: u64,
    /// Remembered request ids.
    pub request_ids: u64,
}

/// An account and its profile.
pub type StoredAccount = (Account, Profile);

/// An engine's answer to come.
pub type Answering<'a, T> = BoxFuture<'a, Result<T, LedgerError>>;

/// What engines without a store say of themselves.
static IN_MEMORY: LazyLock<Identity> = LazyLock::new(Identity::in_memory);

/// Where accounts are kept, and commands decided.
pub trait Engine: Send + Sync + 'static {
    /// Which ledger it is, and where it was found.
    fn identity(&self) -> &Identity {
        &IN_MEMORY
    }
    /// How many partitions there are.
    fn partitions(&self) -> u16;
    /// Decides on the commands of one partition, in order, and journals what they change. At most [`MAX_BATCH`]. What their accounts have due
    /// happens before.
    fn apply(&self, partition: u16, commands: Arc<[PreparedCommand]>) -> Answering<'_, BatchAnswer>;
    /// Processes some of the due events of a partition: expires reservations and forgets request ids. Returns whether there
    /// is more. Between slices, others have their turn.
    fn sweep(&self, partition: u16) -> Answering<'_, bool>;
    /// Accounts and profiles, as stored. One that is not there is none, and so is one whose record is damaged.
    fn load(&self, partition: u16, accounts: Vec<AccountId>) -> Answering<'_, Vec<Option<StoredAccount>>>;
    /// Ids of accounts in the order of (folded name, id), after the given place, while the folded name begins with the prefix.
    fn names(&self, partition: u16, prefix: String, after: Option<NamePlace>, count: usize) -> Answering<'_, Vec<NamePlace>>;
    /// Reservations of an account after the given place, in the order in which they expire: also those that have, and are not swept away
    /// yet. Fewer than asked for only if there are no more.
    fn reservations(
        &self,
        partition: u16,
        account: AccountId,
        after: Option<ReservationPlace>,
        count: usize,
    ) -> Answering<'_, Vec<(IdempotencyKey, Reservation)>>;
    /// The idempotency record of a request id.
    fn remembered(&self, partition: u16, key: IdempotencyKey) -> Answering<'_, Option<IdempotencyRecord>>;
    /// The blocks that begin below the sequence (`None` for the newest), newest first.
    fn blocks_before(&self, partition: u16, before: Option<u64>, count: usize) -> Answering<'_, Vec<Block>>;
    /// The blocks that begin above the sequence, oldest first.
    fn blocks_after(&self, partition: u16, after: u64, count: usize) -> Answering<'_, Vec<Block>>;
    /// Drops whole blocks of entries below the sequence. The newest of them stays, so that a reader can still see, by its id, that this is
    /// the journal that it knows. Of a slice of the sums that were given back, drops those that were complete below the sequence, and are
    /// older than two windows. Returns whether the slice was not the last one. Refused to anyone but a reader, if there is one.
    fn trim(&self, partition: u16, below: u64, by: Trimmer) -> Answering<'_, bool>;
    /// Notes whether somebody reads the journal: then nothing is dropped of it that was not read. A store that no other process can use
    /// needs no note.
    fn note_reader(&self, _partition: u16, _is_read: bool) -> Answering<'_, ()> {
        ready(Ok(())).boxed()
    }
    /// For how long request ids are remembered at least.
    fn idempotency_window(&self) -> Millis;
    /// Which part of the journal there still is.
    fn journal_span(&self, partition: u16) -> Answering<'_, JournalSpan>;
    /// How much a partition holds.
    fn sizes(&self, partition: u16) -> Answering<'_, Sizes>;
    /// Looks through about `limit` accounts for those whose billing period is over at `now`. Every account that is due from the first page
    /// to the last is on one of them.
    fn due_accounts(&self, partition: u16, cursor: Option<String>, count: usize, now: UnixMillis) -> Answering<'_, DuePage>;
    /// The block of a step that was torn: it is in the journal, and not all else that the step had to write is there. Until it is finished,
    /// nothing is decided in the partition.
    fn torn_step(&self, _partition: u16) -> Answering<'_, Option<Block>> {
        ready(Ok(None)).boxed()
    }
    /// Finishes such a step by its block, and returns that.
    fn finish_step(&self, _partition: u16) -> Answering<'_, Option<Block>> {
        ready(Ok(None)).boxed()
    }
    /// What an operator should know of a partition that has lost what was acknowledged, until somebody has decided on it.
    fn loss(&self, _partition: u16) -> Option<String> {
        None
    }
    /// Blocks that were acknowledged, and that the partition has lost: they are kept aside until somebody decides on them.
    fn lost_blocks(&self, _partition: u16) -> Answering<'_, Vec<Block>> {
        ready(Ok(Vec::new())).boxed()
    }
    /// Deletes a block that was kept aside.
    fn forget_lost<'a>(&'a self, _partition: u16, _block: &'a Block) -> Answering<'a, ()> {
        ready(Ok(())).boxed()
    }
    /// Who may call, as the billing store has copied it here, unless it is the version that is known. `None` if nothing else is there.
    fn callers(&self, _known: Option<i64>) -> Answering<'_, Option<CopiedCallers>> {
        ready(Ok(None)).boxed()
    }
    /// Copies who may call here, unless a copy of the same or a later version is there.
    fn copy_callers(&self, _callers: CopiedCallers) -> Answering<'_, ()> {
        ready(Ok(())).boxed()
    }
    /// Whether each partition can be reached, is the ledger's, and is where the clock agrees; else what is wrong, for people.
    fn check(&self) -> BoxFuture<'_, Vec<Result<(), String>>>;
    /// Whether one clock rules all partitions. In a cluster, each server has its own.
    fn has_one_clock(&self) -> bool {
        true
    }
    /// The file that holds everything, where there is one.
    fn file(&self) -> Option<&Path> {
        None
    }
    /// Keeps the journal from being trimmed while this is held; `None` if it is held already, or cannot be.
    fn hold_journal(&self) -> Option<JournalHold> {
        None
    }
    /// Makes a copy of the file, as it is when that ends. Nobody waits for it.
    fn copy_to(&self, _path: PathBuf) -> Answering<'_, ()> {
        ready(Err(LedgerError::not_done("this engine has no file to copy"))).boxed()
    }
    /// Whether no other process can have the store while this one has it.
    fn is_exclusive(&self) -> bool {
        false
    }
    /// Leaves the store cleanly. What is asked afterwards gets no answer. Blocks until it is done.
    fn close(&self) {}
    /// What must be polled for answers to come, if that is not a thread's own business. The first to ask gets it; a [`Ledger`] does.
    fn work(&self) -> BoxFuture<'static, ()> {
        pending().boxed()
    }
    /// The time by which steps are measured: what one takes decides how much goes into the next.
    fn instant(&self) -> Instant {
        Instant::now()
    }
    /// The most commands of streams in a step while several streams have something to do, and nobody else: the fewer, the sooner it is the
    /// next one's turn; the more, the less a step weighs that costs much by itself.
    fn crowded_batch(&self) -> usize {
        CROWDED_BATCH
    }
    /// For how long a thread that waits for the answer to a lonely command had better not sleep.
    fn busy_poll(&self) -> Duration {
        Duration::ZERO
    }
}
