//! How long a call may take.

use std::time::Duration;

use tonic::Request;

/// How long a caller waits, and what the service is told of that.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until then, the caller waits.
    pub timeout: Duration,
    /// What the service is told.
    pub deadline: Option<Duration>,
}

impl Patience {
    /// A message on its way, with what the service is told.
    pub fn request<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        request
    }
}
