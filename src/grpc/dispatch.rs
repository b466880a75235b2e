//! Which service a call goes to: a debit, a batch and a stream of charges at once, by their paths; other charging by the beginning of its
//! path; all others through a router, off the lane if they are long.
//!
//! A router clones the service that it finds into a box, and boxes what comes back, once more for each layer around it. That is nothing
//! to a listing of accounts, but a part of a single debit that shows.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

use super::charging::Charging;
use super::offloaded::{self, is_long};
use super::v1::charging_service_server::ChargingServiceServer;
use super::{batch_charge, fast_debit, stream};
use crate::lanes::offload::Offload;

/// All services.
#[derive(Clone)]
pub struct Services {
    /// The most frequent calls: debits, batches, and streams of charges.
    pub debits: Arc<Charging>,
    /// What others are for.
    pub charging: ChargingServiceServer<Charging>,
    /// All else; what does not exist is refused by it.
    pub others: Routes,
    /// Threads for what may take long.
    pub offload: Offload,
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<BoxFuture<'static, Result<Response<Body>, Infallible>>, <Routes as Service<Request<Body>>>::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Charging is always ready.
        Service::<Request<Body>>::poll_ready(&mut self.others, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() == fast_debit::PATH {
            return Either::Left(fast_debit::call(Arc::clone(&self.debits), self.charging.clone(), request).boxed());
        }
        if request.uri().path() == stream::PATH {
            return Either::Left(stream::call(self.debits.use_cases.clone(), self.debits.max_message_bytes, request).boxed());
        }
        if request.uri().path() == batch_charge::PATH {
            return Either::Left(batch_charge::call(Arc::clone(&self.debits), self.charging.clone(), request).boxed());
        }
        if is_of::<ChargingServiceServer<Charging>>(request.uri().path()) {
            return Either::Left(self.charging.call(request));
        }
        if is_long(request.uri().path()) {
            return Either::Left(offloaded::call(self.offload.clone(), self.others.clone(), request).map(Ok).boxed());
        }
        Either::Right(self.others.call(request))
    }
}

/// Whether a path is that of a call of this service: "/tollgate.v1.ChargingService/Debit".
fn is_of<S: NamedService>(path: &str) -> bool {
    path.strip_prefix('/').and_then(|path| path.strip_prefix(S::NAME)).is_some_and(|method| method.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_a_service_by_its_whole_name() {
        let is_charging = is_of::<ChargingServiceServer<Charging>>;
        assert!(is_charging("/tollgate.v1.ChargingService/Debit"));
        for other in ["", "/", "/tollgate.v1.ChargingService", "/tollgate.v1.ChargingServices/Debit", "tollgate.v1.ChargingService/Debit"] {
            assert!(!is_charging(other), "{other}");
        }
    }
}
