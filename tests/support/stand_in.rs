//! An engine whose steps a test decides on, and which fails in everything else.
#![allow(dead_code, reason = "test support; each test uses a part")]

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending, ready};
use tollgate::domain::account::{Account, Profile, Reservation};
use tollgate::domain::ids::AccountId;
use tollgate::domain::rules::IdempotencyRecord;
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::{
    BatchAnswer, Block, DuePage, Engine, IdempotencyKey, JournalSpan, LedgerError, NamePlace, PreparedCommand, ReservationPlace, Sizes,
    Trimmer,
};

type Step = Box<dyn Fn(u16, Arc<[PreparedCommand]>) -> BoxFuture<'static, Result<BatchAnswer, LedgerError>> + Send + Sync>;

pub struct StandIn {
    partitions: u16,
    step: Step,
    /// `None` if it never answers.
    error: Option<LedgerError>,
    /// How often its work was looked at.
    pub looks: Arc<AtomicUsize>,
    /// Longer than any test.
    busy_poll: Duration,
    instant: Box<dyn Fn() -> Instant + Send + Sync>,
}

impl StandIn {
    /// Takes steps as told.
    pub fn new(
        partitions: u16,
        step: impl Fn(u16, Arc<[PreparedCommand]>) -> BoxFuture<'static, Result<BatchAnswer, LedgerError>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            partitions,
            step: Box::new(step),
            error: None,
            looks: Arc::default(),
            busy_poll: Duration::from_hours(1),
            instant: Box::new(Instant::now),
        }
    }

    /// Fails always in the same way; without an error, it never answers.
    pub fn failing(error: Option<LedgerError>) -> Self {
        let of_step = error.clone();
        let step = Box::new(move |_, _| of_step.clone().map_or_else(|| pending().boxed(), |error| ready(Err(error)).boxed()));
        Self { partitions: 1, step, error, looks: Arc::default(), busy_poll: Duration::from_hours(1), instant: Box::new(Instant::now) }
    }

    /// The same in another time, which passes though nobody looks out for answers.
    pub fn in_time(self, instant: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self { busy_poll: Duration::ZERO, instant: Box::new(instant), ..self }
    }

    fn fail<T: Send + 'static>(&self) -> BoxFuture<'_, Result<T, LedgerError>> {
        match &self.error {
            Some(error) => ready(Err(error.clone())).boxed(),
            None => pending().boxed(),
        }
    }
}

impl Engine for StandIn {
    fn partitions(&self) -> u16 {
        self.partitions
    }

    fn apply(&self, partition: u16, orders: Arc<[PreparedCommand]>) -> BoxFuture<'_, Result<BatchAnswer, LedgerError>> {
        (self.step)(partition, orders)
    }

    fn sweep(&self, _: u16) -> BoxFuture<'_, Result<bool, LedgerError>> {
        ready(Ok(false)).boxed()
    }

    fn load(&self, _: u16, _: Vec<AccountId>) -> BoxFuture<'_, Result<Vec<Option<(Account, Profile)>>, LedgerError>> {
        self.fail()
    }

    fn names(&self, _: u16, _: String, _: Option<NamePlace>, _: usize) -> BoxFuture<'_, Result<Vec<NamePlace>, LedgerError>> {
        self.fail()
    }

    #[allow(clippy::type_complexity, reason = "as the trait has it")]
    fn reservations(
        &self,
        _: u16,
        _: AccountId,
        _: Option<ReservationPlace>,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<(IdempotencyKey, Reservation)>, LedgerError>> {
        self.fail()
    }

    fn remembered(&self, _: u16, _: IdempotencyKey) -> BoxFuture<'_, Result<Option<IdempotencyRecord>, LedgerError>> {
        self.fail()
    }

    fn blocks_before(&self, _: u16, _: Option<u64>, _: usize) -> BoxFuture<'_, Result<Vec<Block>, LedgerError>> {
        self.fail()
    }

    fn blocks_after(&self, _: u16, _: u64, _: usize) -> BoxFuture<'_, Result<Vec<Block>, LedgerError>> {
        self.fail()
    }

    fn trim(&self, _: u16, _: u64, _: Trimmer) -> BoxFuture<'_, Result<bool, LedgerError>> {
        self.fail()
    }

    fn idempotency_window(&self) -> i64 {
        86_400_000
    }

    fn journal_span(&self, _: u16) -> BoxFuture<'_, Result<JournalSpan, LedgerError>> {
        self.fail()
    }

    fn sizes(&self, _: u16) -> BoxFuture<'_, Result<Sizes, LedgerError>> {
        self.fail()
    }

    fn due_accounts(&self, _: u16, _: Option<String>, _: usize, _: UnixMillis) -> BoxFuture<'_, Result<DuePage, LedgerError>> {
        self.fail()
    }

    fn check(&self) -> BoxFuture<'_, Vec<Result<(), String>>> {
        ready(vec![Ok(())]).boxed()
    }

    fn work(&self) -> BoxFuture<'static, ()> {
        let looks = Arc::clone(&self.looks);
        let look = move |_: &mut Context<'_>| {
            looks.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        };
        poll_fn(look).boxed()
    }

    fn instant(&self) -> Instant {
        (self.instant)()
    }

    fn busy_poll(&self) -> Duration {
        self.busy_poll
    }
}
