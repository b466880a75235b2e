//! A connection's turn: how much of it is read before all others that are ready have theirs, and which of the calls that were read in it are
//! let in.
//!
//! A call waits for its thread several times: to be begun, to be sent to the store, to be answered. Where that alone takes longer than its
//! caller waits, all that is begun is begun in vain, and a service that is asked for a little more than it can do does nothing in time. So a call
//! that has waited long to be begun, by what its caller gives it, is refused at once, which costs a fraction of what it takes to decide it. The
//! first call of a turn is let in for longer: who sends little does not pay for those who send much.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinHandle;

/// How much is read in a turn: hundreds of calls.
const MOST_BYTES: usize = 32 * 1024;

/// How many times as long as it has waited to be begun a caller must wait to have its call let in, and if it is the first of its turn.
const TIMES_AS_LONG: u32 = 8;
const TIMES_OF_FIRST: u32 = 3;

/// What has waited for less is let in without a look at how long its caller waits.
const SHORT: Duration = Duration::from_millis(1);

/// Times are kept in microseconds since then.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The turn of a connection.
#[derive(Debug, Default)]
pub struct Turn {
    read_bytes: usize,
    /// While all that was ready when it ended has its turn.
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

    /// Whether a call is let in that is begun now, and whose caller waits for so long.
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
