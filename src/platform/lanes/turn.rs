//! A connection's turn: how much of it is read before all others that are ready have theirs, and which of the calls that were read in it are
//! let in.
//!
//! A call waits for its thread several times: before it starts, before it goes to the store, and before its answer is sent. If these waits alone exceed
//! its deadline, the work is wasted, and a service that is slightly overloaded answers nothing in time. So a call that has already waited for a
//! large part of its timeout is refused at once, which costs a fraction of deciding it. The first call of a turn may have waited longer, so that
//! clients that send little do not pay for those that send much.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinHandle;

/// How much is read in a turn: hundreds of calls.
const MOST_BYTES: usize = 32 * 1024;

/// A call is let in if its timeout is at least this many times as long as it has waited to start; the second is for the first call of a turn.
const TIMES_AS_LONG: u32 = 8;
const TIMES_OF_FIRST: u32 = 3;

/// A call that has waited for less is let in whatever its timeout.
const SHORT: Duration = Duration::from_millis(1);

/// Times are kept in microseconds since then.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The turn of a connection.
#[derive(Debug, Default)]
pub struct Turn {
    read_bytes: usize,
    /// Done once every task that was ready when this turn ended has run.
    others: Option<JoinHandle<()>>,
    calls: Arc<TurnCalls>,
}

/// The calls that were read in a turn.
#[derive(Debug, Default)]
pub struct TurnCalls {
    begun_at: AtomicU64,
    count: AtomicU32,
}

impl Turn {
    /// The calls that are read in it.
    #[must_use]
    pub fn calls(&self) -> Arc<TurnCalls> {
        Arc::clone(&self.calls)
    }

    /// Ready when something may be read. Needs a runtime of one thread, whose tasks run in the order in which they became ready.
    pub fn poll_may_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.read_bytes >= MOST_BYTES {
            let others = self.others.get_or_insert_with(|| tokio::spawn(async {}));
            let _ = ready!(others.poll_unpin(context));
            self.end();
        }
        Poll::Ready(())
    }

    /// Takes in what was read.
    pub fn read(&mut self, bytes: usize) {
        if self.read_bytes == 0 {
            self.calls.begin(Instant::now());
        }
        self.read_bytes += bytes;
    }

    /// Nothing is left to read.
    pub fn end(&mut self) {
        (self.read_bytes, self.others) = (0, None);
    }
}

impl TurnCalls {
    fn begin(&self, now: Instant) {
        self.begun_at.store(micros(now), Ordering::Relaxed);
        self.count.store(0, Ordering::Relaxed);
    }

    /// Whether a call that starts now is let in, given its timeout.
    pub fn lets_in(&self, now: Instant, patience: impl FnOnce() -> Option<Duration>) -> bool {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let waited = Duration::from_micros(micros(now).saturating_sub(self.begun_at.load(Ordering::Relaxed)));
        if waited < SHORT {
            return true;
        }
        let times = if number == 0 { TIMES_OF_FIRST } else { TIMES_AS_LONG };
        patience().is_none_or(|patience| waited.saturating_mul(times) <= patience)
    }
}

fn micros(instant: Instant) -> u64 {
    u64::try_from(instant.saturating_duration_since(*EPOCH).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_call_is_let_in_while_its_caller_waits_for_much_longer_than_it_has_waited_to_be_begun() {
        let (calls, begun) = (TurnCalls::default(), *EPOCH + MILLI);
        let lets_in = |waited: u32, patience: Option<u32>| {
            let patience = patience.map(|patience| MILLI * patience);
            calls.lets_in(begun + MILLI * waited, || patience)
        };
        calls.begin(begun);
        assert!(lets_in(30, Some(90)), "the first");
        assert!(!lets_in(30, Some(239)));
        assert!(lets_in(30, Some(240)));
        assert!(lets_in(30_000, None));
        assert!(lets_in(0, Some(1)));
        calls.begin(begun);
        assert!(!lets_in(30, Some(89)), "the first of another turn");
    }

    #[tokio::test]
    async fn who_floods_is_read_on_when_all_others_had_their_turn_however_often_it_is_polled() {
        let mut turn = Turn::default();
        let (begun, other) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        turn.read(MOST_BYTES);
        let counted = Arc::clone(&other);
        tokio::spawn(async move { counted.fetch_add(1, Ordering::Relaxed) });
        std::future::poll_fn(|context| {
            begun.fetch_add(1, Ordering::Relaxed);
            let may_read = turn.poll_may_read(context);
            assert_eq!(turn.poll_may_read(context).is_ready(), may_read.is_ready());
            assert_eq!(other.load(Ordering::Relaxed), u32::from(may_read.is_ready()));
            may_read
        })
        .await;
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        assert!(turn.poll_may_read(&mut Context::from_waker(std::task::Waker::noop())).is_ready());
    }
}
