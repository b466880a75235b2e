//! Time that is a test's own: it passes only while everybody waits for something, so each run comes out the same.
#![allow(dead_code, clippy::unwrap_used, clippy::new_without_default, reason = "test support; each test uses a part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::yield_now;

/// After how many turns of all tasks nothing more happens by itself.
const TURNS: usize = 30;

/// Time, and who waits for it.
#[derive(Clone)]
pub struct Time {
    pub began: Instant,
    passed: Arc<Mutex<Passed>>,
}

#[derive(Default)]
struct Passed {
    now: Duration,
    count: usize,
    sleepers: BTreeMap<(Duration, usize), oneshot::Sender<()>>,
}

impl Time {
    pub fn new() -> Self {
        Self { began: Instant::now(), passed: Arc::default() }
    }

    pub fn now(&self) -> Duration {
        self.passed.lock().unwrap().now
    }

    pub async fn sleep(&self, duration: Duration) {
        let awake = {
            let mut passed = self.passed.lock().unwrap();
            let (sender, awake) = oneshot::channel();
            passed.count += 1;
            let place = (passed.now + duration, passed.count);
            passed.sleepers.insert(place, sender);
            awake
        };
        awake.await.unwrap();
    }

    /// Lets time pass, from one awakening to the next, until something has its result.
    pub async fn pass<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let work = tokio::spawn(work);
        loop {
            for _ in 0..TURNS {
                yield_now().await;
            }
            if work.is_finished() {
                return work.await.unwrap();
            }
            let mut passed = self.passed.lock().unwrap();
            let ((now, _), sleeper) = passed.sleepers.pop_first().unwrap();
            passed.now = now;
            let _ = sleeper.send(());
        }
    }
}
