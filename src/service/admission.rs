//! How much is let in at once: of each caller its share, of all together what this process takes. Over a limit, a request is refused at
//! once: nothing queues here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::context::RequestContext;
use super::error::Error;
use access::Call;
use platform::telemetry::logs::Repeated;
use platform::telemetry::metrics;

static OVER: Repeated = Repeated::new();

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

/// The requests and streams under way. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Admission {
    requests: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// A place among the requests, until it is dropped.
#[derive(Debug)]
pub struct RequestPermit<'a> {
    _of_all: SemaphorePermit<'a>,
    _of_its_caller: Option<Call>,
}

/// A place among the streams, until it is dropped.
#[derive(Debug)]
pub struct StreamPermit {
    _of_all: OwnedSemaphorePermit,
    _of_its_caller: Option<Call>,
}

impl Admission {
    /// Admits as much as these limits allow.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let bound = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { requests: bound(limits.max_concurrent_requests), watches: bound(limits.max_watches), streams: bound(limits.max_streams) }
    }

    /// Admits a request.
    pub fn request(&self, context: &RequestContext) -> Result<RequestPermit<'_>, Error> {
        let _of_its_caller = share_of(context)?;
        let _of_all = self.requests.try_acquire().map_err(|_| overloaded("requests", "too many requests are under way"))?;
        Ok(RequestPermit { _of_all, _of_its_caller })
    }

    /// Admits a watch.
    pub fn watch(&self, context: &RequestContext) -> Result<StreamPermit, Error> {
        let _of_its_caller = share_of(context)?;
        let watches = Arc::clone(&self.watches);
        let _of_all = watches.try_acquire_owned().map_err(|_| overloaded("watches", "too many watches are open"))?;
        Ok(StreamPermit { _of_all, _of_its_caller })
    }

    /// Admits a stream.
    pub fn stream(&self, context: &RequestContext) -> Result<StreamPermit, Error> {
        let _of_its_caller = share_of(context)?;
        Ok(StreamPermit { _of_its_caller, ..self.batch()? })
    }

    /// Admits a batch, which is a stream of one batch, and whose request was admitted before.
    pub fn batch(&self) -> Result<StreamPermit, Error> {
        let streams = Arc::clone(&self.streams);
        let _of_all = streams.try_acquire_owned().map_err(|_| overloaded("streams", "too many streams are open"))?;
        Ok(StreamPermit { _of_all, _of_its_caller: None })
    }
}

fn overloaded(limit: &'static str, message: &'static str) -> Error {
    metrics().callers.count_overload(limit);
    Error::overloaded(message)
}

/// Takes a request and a call from what the caller may have.
fn share_of(context: &RequestContext) -> Result<Option<Call>, Error> {
    let share = &context.caller.share;
    share.take_request().and_then(|()| share.begin_call()).map_err(|reached| {
        let limit = reached.limit();
        metrics().callers.count_over_its_share(limit);
        if let Some(times) = OVER.times() {
            tracing::warn!(caller = context.caller.name, limit, times, "a caller has its share, and was refused more");
        }
        Error::over_its_share(reached)
    })
}
