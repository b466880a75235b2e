//! Work of unknown length, off the lanes: documents, lists, exports, searches of the journal.
//!
//! [`THREADS`] pieces of work are under way at once, at a lower priority than the lanes; up to [`QUEUE`] more wait, and are taken in turn by
//! their source. What does not fit is refused at once. Work whose caller is gone is not begun, or ends where it next waits for something.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, oneshot};

use super::fair::FairQueue;
use super::source::Source;

/// How many pieces of work are under way at once.
pub const THREADS: usize = 4;

/// How many wait.
pub const QUEUE: usize = 1024;

/// How much these threads give way to others, as `nice` counts it.
const NICENESS: i32 = 10;

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    /// Its source has too much waiting, or all together have.
    #[error("too much work is waiting")]
    Overloaded,
    /// It panicked, or the service is shutting down.
    #[error("the work was given up")]
    GivenUp,
}

/// The threads for work of unknown length. Cheap to clone.
#[derive(Clone)]
pub struct Offload {
    jobs: Arc<Jobs>,
    _threads: Arc<Threads>,
}

/// Jobs that wait for a thread.
struct Jobs {
    waiting: Mutex<FairQueue<Job>>,
    is_any: Notify,
}

type Job = BoxFuture<'static, ()>;

/// The threads, ended with this value.
struct Threads(Option<Runtime>);

impl Offload {
    /// Starts the threads. They end, and drop what they were doing, when the last handle is gone.
    pub fn start() -> anyhow::Result<Self> {
        // One thread more than there is work under way: it looks after sockets and timers while the others compute.
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS + 1)
            .thread_name("offload")
            .on_thread_start(|| {
                // Where the priority may not be lowered, it stays as it is.
                let _ = rustix::process::nice(NICENESS);
            })
            .enable_all()
            .build()
            .context("cannot start the threads for long work")?;
        let jobs = Arc::new(Jobs { waiting: Mutex::new(FairQueue::new(QUEUE)), is_any: Notify::new() });
        for _ in 0..THREADS {
            runtime.spawn(Arc::clone(&jobs).work());
        }
        Ok(Self { jobs, _threads: Arc::new(Threads(Some(runtime))) })
    }

    /// Runs work on these threads, on behalf of the current source. Dropped, the work is given up.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, NotRun> {
        let source = Source::current();
        let (mut done, result) = oneshot::channel();
        let job = source.scoped(async move {
            let value = tokio::select! {
                biased;
                () = done.closed() => return,
                value = work => value,
            };
            let _ = done.send(value);
        });
        self.jobs.lock().push(source, job.boxed()).map_err(|_| NotRun::Overloaded)?;
        self.jobs.is_any.notify_one();
        result.await.map_err(|_| NotRun::GivenUp)
    }
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, FairQueue<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes waiting jobs, in a loop.
    async fn work(self: Arc<Self>) {
        loop {
            let next = self.lock().pop();
            match next {
                // A panic has been told by the hook; the waiting caller learns that there is no result.
                Some(job) => drop(AssertUnwindSafe(job).catch_unwind().await),
                None => self.is_any.notified().await,
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Work that is all under way, and ends with a permit.
    async fn occupy(offload: &Offload) -> (Arc<Semaphore>, Vec<tokio::task::JoinHandle<Result<(), NotRun>>>) {
        let (may_end, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let mut running = Vec::new();
        for _ in 0..THREADS {
            let (offload, may_end, begun) = (offload.clone(), Arc::clone(&may_end), Arc::clone(&begun));
            running.push(tokio::spawn(async move {
                let work = async move {
                    begun.add_permits(1);
                    may_end.acquire().await.unwrap().forget();
                };
                offload.run(work).await
            }));
        }
        begun.acquire_many(u32::try_from(THREADS).unwrap()).await.unwrap().forget();
        (may_end, running)
    }

    #[tokio::test]
    async fn sources_are_served_in_turn_and_what_does_not_fit_is_refused() {
        let offload = Offload::start().unwrap();
        let (may_end, running) = occupy(&offload).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let (greedy, other) = (Source::new(), Source::new());
        let mut waiting: Vec<_> = [(greedy, "greedy"); QUEUE / 2 + 1]
            .into_iter()
            .chain([(other, "other")])
            .map(|(source, name)| {
                let order = Arc::clone(&order);
                Box::pin(source.scoped(offload.run(async move { order.lock().unwrap().push(name) })))
            })
            .collect();
        let refused: Vec<_> = waiting.iter_mut().map(|work| work.now_or_never()).collect();
        assert_eq!(refused.iter().filter(|result| **result == Some(Err(NotRun::Overloaded))).count(), 1);
        assert_eq!(refused[QUEUE / 2], Some(Err(NotRun::Overloaded)), "the greedy one had its share");
        may_end.add_permits(THREADS);
        waiting.pop().unwrap().await.unwrap();
        let place = order.lock().unwrap().iter().position(|name| *name == "other").unwrap();
        assert!(place <= 2 * THREADS, "it was not served in turn, but after {place}");
        for work in running {
            work.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_given_up_and_a_panic_takes_no_thread_with_it() {
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let offload = Offload::start().unwrap();
        let ended = Arc::new(AtomicUsize::new(0));
        for _ in 0..THREADS {
            let counted = Counted(Arc::clone(&ended));
            let work = offload.run(async move {
                let _counted = counted;
                pending::<()>().await;
            });
            assert_eq!(Box::pin(work).now_or_never(), None);
        }
        for _ in 0..2 * THREADS {
            assert_eq!(offload.run(async { assert_eq!(1, 2, "as the test wants it") }).await, Err(NotRun::GivenUp));
        }
        assert_eq!((offload.run(async { 7 }).await, ended.load(Ordering::Relaxed)), (Ok(7), THREADS));
    }
}
