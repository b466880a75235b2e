//! The model as an engine, for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{BatchTime, PartitionState};
use crate::watch::Watchers;
use crate::{
    Answering, BatchAnswer, Block, DuePage, Engine, IdempotencyKey, JournalSpan, NamePlace, PreparedCommand, ReservationPlace, Sizes,
    Trimmer,
};
use domain::account::{Account, Profile, Reservation};
use domain::ids::AccountId;
use domain::rules::{IdempotencyRecord, RefundKey};
use domain::time::{Millis, UnixMillis};
use platform::clock::Clock;

/// The model as an engine: one partition, in memory only.
#[derive(Debug)]
pub struct ModelEngine {
    inner: Mutex<(PartitionState, Vec<Block>)>,
    refund_cursor: Mutex<Option<RefundKey>>,
    clock: Clock,
    window: Millis,
    watchers: Watchers,
}

impl ModelEngine {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Clock, window: Millis, watchers: Watchers) -> Self {
        Self { inner: Mutex::default(), refund_cursor: Mutex::default(), clock, window, watchers }
    }

    fn inner(&self) -> MutexGuard<'_, (PartitionState, Vec<Block>)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for ModelEngine {
    fn partitions(&self) -> u16 {
        1
    }

    fn apply(&self, _partition: u16, commands: Arc<[PreparedCommand]>) -> Answering<'_, BatchAnswer> {
        let mut inner = self.inner();
        let (partition_state, journal) = &mut *inner;
        let (answer, changes) = partition_state.apply(&commands, &BatchTime::of(&self.clock, self.window), rand::random());
        changes.accounts.iter().for_each(|account| self.watchers.announce(account));
        journal.extend(changes.block);
        futures_util::future::ready(Ok(answer)).boxed()
    }

    fn sweep(&self, _partition: u16) -> Answering<'_, bool> {
        let (is_more, changes) = self.inner().0.sweep(&BatchTime::of(&self.clock, self.window));
        changes.accounts.iter().for_each(|account| self.watchers.announce(account));
        futures_util::future::ready(Ok(is_more)).boxed()
    }

    fn load(&self, _partition: u16, accounts: Vec<AccountId>) -> Answering<'_, Vec<Option<(Account, Profile)>>> {
        futures_util::future::ready(Ok(self.inner().0.load(&accounts))).boxed()
    }

    fn names(&self, _partition: u16, prefix: String, after: Option<NamePlace>, count: usize) -> Answering<'_, Vec<NamePlace>> {
        futures_util::future::ready(Ok(self.inner().0.names(&prefix, after.as_ref(), count))).boxed()
    }

    fn reservations(
        &self,
        _partition: u16,
        account: AccountId,
        after: Option<ReservationPlace>,
        count: usize,
    ) -> Answering<'_, Vec<(IdempotencyKey, Reservation)>> {
        futures_util::future::ready(Ok(self.inner().0.reservations(&account, after, count))).boxed()
    }

    fn remembered(&self, _partition: u16, key: IdempotencyKey) -> Answering<'_, Option<IdempotencyRecord>> {
        futures_util::future::ready(Ok(self.inner().0.remembered(key))).boxed()
    }

    fn blocks_before(&self, _partition: u16, before: Option<u64>, count: usize) -> Answering<'_, Vec<Block>> {
        let inner = self.inner();
        let below = |block: &&Block| before.is_none_or(|before| block.first_sequence < before);
        let blocks = inner.1.iter().rev().filter(below).take(count).cloned().collect();
        futures_util::future::ready(Ok(blocks)).boxed()
    }

    fn blocks_after(&self, _partition: u16, after: u64, count: usize) -> Answering<'_, Vec<Block>> {
        let inner = self.inner();
        let blocks = inner.1.iter().filter(|block| block.first_sequence > after).take(count).cloned().collect();
        futures_util::future::ready(Ok(blocks)).boxed()
    }

    fn trim(&self, _partition: u16, below: u64, _by: Trimmer) -> Answering<'_, bool> {
        let mut inner = self.inner();
        let kept = inner.1.iter().rev().map(|block| block.first_sequence).find(|first| *first < below).unwrap_or(0);
        inner.1.retain(|block| block.first_sequence >= kept);
        let mut cursor = self.refund_cursor.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.drop_refunds(below, self.window, &mut cursor);
        futures_util::future::ready(Ok(cursor.is_some())).boxed()
    }

    fn idempotency_window(&self) -> Millis {
        self.window
    }

    fn journal_span(&self, _partition: u16) -> Answering<'_, JournalSpan> {
        let inner = self.inner();
        let next = inner.0.next_sequence();
        let first = inner.1.first().map_or(next, |block| block.first_sequence);
        futures_util::future::ready(Ok(JournalSpan {
            first,
            next,
            now: inner.0.state.now,
            is_read: false,
            is_torn: false,
            due_from: UnixMillis::NONE,
        }))
        .boxed()
    }

    fn sizes(&self, _partition: u16) -> Answering<'_, Sizes> {
        futures_util::future::ready(Ok(self.inner().0.sizes())).boxed()
    }

    fn due_accounts(&self, _partition: u16, cursor: Option<String>, count: usize, now: UnixMillis) -> Answering<'_, DuePage> {
        futures_util::future::ready(Ok(self.inner().0.due_page(cursor.as_deref(), count, now))).boxed()
    }

    fn check(&self) -> BoxFuture<'_, Vec<Result<(), String>>> {
        futures_util::future::ready(vec![Ok(())]).boxed()
    }
}
