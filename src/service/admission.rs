//! How much is let in at once. Over a limit, a request is refused at once: nothing queues here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::error::Error;

/// How much is under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most requests with a single answer.
    pub max_concurrent_requests: usize,
    /// The most watches.
    pub max_watches: usize,
    /// The most other streams: of charges, exports, conversions, backups.
    pub max_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_concurrent_requests: 8192, max_watches: 10_000, max_streams: 1024 }
    }
}

/// What is under way. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Admission {
    requests: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Admission {
    /// Lets in as much as these limits say.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let bound = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { requests: bound(limits.max_concurrent_requests), watches: bound(limits.max_watches), streams: bound(limits.max_streams) }
    }

    /// Lets a request in, until the permit is dropped.
    pub fn request(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.requests.try_acquire().map_err(|_| Error::overloaded("too many requests are under way"))
    }

    /// Lets a watch in, until the permit is dropped.
    pub fn watch(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.watches).try_acquire_owned().map_err(|_| Error::overloaded("too many watches are open"))
    }

    /// Lets a stream in, until the permit is dropped.
    pub fn stream(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| Error::overloaded("too many streams are open"))
    }
}
