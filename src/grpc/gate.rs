//! How much is let in at once. Over a bound, the answer is RESOURCE_EXHAUSTED at once: nothing queues here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tonic::Status;

use super::{Limits, status};

/// The bounds of this process. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Gate {
    requests: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Gate {
    /// A gate of these limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let bound = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { requests: bound(limits.max_concurrent_requests), watches: bound(limits.max_watches), streams: bound(limits.max_streams) }
    }

    /// Lets a request in, until the permit is dropped.
    pub fn request(&self) -> Result<SemaphorePermit<'_>, Status> {
        self.requests.try_acquire().map_err(|_| status::overloaded("too many requests are under way"))
    }

    /// Lets a watch in, until the permit is dropped.
    pub fn watch(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.watches).try_acquire_owned().map_err(|_| status::overloaded("too many watches are open"))
    }

    /// Lets a stream in, until the permit is dropped.
    pub fn stream(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| status::overloaded("too many streams are open"))
    }
}
