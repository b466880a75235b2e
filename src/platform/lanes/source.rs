//! Where work comes from: a connection, or a call that streams. Queues are served in turn by it, so that nobody waits for a stranger's work.
//!
//! The source of what a thread does just now is kept by the thread: the code that polls a call's work says whose it is, and a queue that takes
//! something in asks. So it need not be passed through every function between the two.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

thread_local! {
    static CURRENT: Cell<Source> = const { Cell::new(Source::PROCESS) };
}

/// A source of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(u64);

/// Set in the numbers of streams.
const STREAM: u64 = 1 << 63;

impl Source {
    /// The process itself.
    pub const PROCESS: Self = Self(0);

    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A new one that streams its work.
    #[must_use]
    pub fn stream() -> Self {
        Self::new().streaming()
    }

    /// The same source where it has much work at a time, and waits for all of it: others, which wait for each piece, go before it.
    #[must_use]
    pub fn streaming(self) -> Self {
        Self(self.0 | STREAM)
    }

    /// Whether it streams its work.
    #[must_use]
    pub fn is_stream(self) -> bool {
        self.0 & STREAM != 0
    }

    /// The source of what this thread does now.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// Runs a closure on behalf of this source.
    pub fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        let _before = Restored(CURRENT.replace(self));
        work()
    }

    /// A future whose work is done on behalf of this source.
    pub fn scoped<F: Future>(self, work: F) -> Scoped<F> {
        Scoped { source: self, work }
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::PROCESS
    }
}

/// The source that was current before.
struct Restored(Source);

impl Drop for Restored {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

pin_project! {
    /// A future whose work is done on behalf of a source.
    pub struct Scoped<F> {
        source: Source,
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.source.scope(|| this.work.poll(context))
    }
}
