//! The access layer finds who calls, and checks what the method needs, before anything of a request is read.
//!
//! What a method needs stands in the proto. One that does not say it lets nobody in; what is no method of ours is refused by who serves
//! it, once the caller is known. Health needs no credentials.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use access::{Access, Denied, Kind, Permission, Presented, Principal};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use prost_reflect::Value;
use tonic::body::Body;
use tower::{Layer, Service};

use super::dynamic::descriptors;
use super::status;
use crate::lanes::proxies::is_forwarded;
use crate::lanes::socket::Peer;
use crate::service::audit::trail::{Refused, Trail as AuditTrail};
use crate::service::context::{Protocol, RequestContext, Trace};
use crate::service::error::Error;
use platform::telemetry::metrics;

const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: &str = "/grpc.reflection.";

/// What each method of the API needs, by its path; `None` if it does not say.
static NEEDED: LazyLock<HashMap<String, Option<Permission>>> = LazyLock::new(|| {
    let option = descriptors().get_extension_by_name("tollgate.v1.permission");
    let needed = |method: &prost_reflect::MethodDescriptor| match method.options().get_extension(option.as_ref()?).as_ref() {
        Value::String(name) => name.parse().ok(),
        _ => None,
    };
    let methods = descriptors().services().flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.map(|method| (format!("/{}/{}", method.parent_service().full_name(), method.name()), needed(&method))).collect()
});

/// A caller of which nothing is known.
static NOBODY: LazyLock<Arc<Principal>> = LazyLock::new(|| Arc::new(Principal::nobody()));

/// A caller that may do nothing: that of a request which has not passed the access layer.
#[must_use]
pub fn nobody() -> Arc<Principal> {
    Arc::clone(&NOBODY)
}

/// Why a caller is not let in.
#[derive(Debug)]
pub struct Refusal {
    /// What it gets to know.
    pub error: Error,
    /// When: who has failed to say who it is again and again waits for it.
    delay: Duration,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, delay: Duration::ZERO }
    }
}

impl Refusal {
    /// Returns the error for the caller, once it is due.
    pub async fn when_due(self) -> Error {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.error
    }
}

/// Authenticates and authorizes calls. Cheap to clone.
#[derive(Clone)]
pub struct AccessLayer {
    access: Arc<Access>,
    /// Records refusals, and by which protocol callers come.
    trail: Option<(AuditTrail, Protocol)>,
}

impl AccessLayer {
    /// Lets in whom `access` knows.
    #[must_use]
    pub fn new(access: Arc<Access>) -> Self {
        Self { access, trail: None }
    }

    /// Records refusals.
    #[must_use]
    pub fn recorded_by(self, trail: AuditTrail, protocol: Protocol) -> Self {
        Self { trail: Some((trail, protocol)), access: self.access }
    }

    fn tell(&self, error: &Error, caller: &Arc<Principal>, what: &str, headers: &HeaderMap, peer: Option<&Peer>) {
        let Some((trail, protocol)) = &self.trail else { return };
        let trace = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(Trace::parse);
        let address = peer.map(|peer| peer.address.ip());
        let origin = RequestContext::new(*protocol, Arc::clone(caller), None, trace).from_address(address).origin();
        trail.refused(Refused { reason: error.reason, what, caller: &caller.name, address, account: "", origin });
    }

    /// Admits everybody, with all permissions.
    #[must_use]
    pub fn open() -> Self {
        Self::new(Arc::new(Access::open()))
    }

    /// Finds who calls the method of a path, and whether it may.
    pub fn enter(&self, path: &str, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Arc<Principal>, Refusal> {
        if path.starts_with(HEALTH) {
            return Ok(nobody());
        }
        let caller = self.authenticate(headers, peer)?;
        let method = path.rsplit('.').next().unwrap_or_default();
        permit(&caller, path).inspect_err(|error| self.tell(error, &caller, method, headers, peer))?;
        Ok(caller)
    }

    /// Finds who asks for what is no method, and whether it may.
    pub fn enter_for(&self, needed: Permission, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Arc<Principal>, Refusal> {
        let caller = self.authenticate(headers, peer)?;
        permit_for(&caller, needed).inspect_err(|error| self.tell(error, &caller, needed.name(), headers, peer))?;
        Ok(caller)
    }

    /// Finds who calls.
    pub fn authenticate(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Arc<Principal>, Refusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter().map(|value| value.to_str().unwrap_or_default());
        // Two are as wrong as more.
        let (first, second) = (values.next(), values.next());
        let both = [first.unwrap_or_default(), second.unwrap_or_default()];
        let count = usize::from(first.is_some()) + usize::from(second.is_some());
        let presented = Presented {
            authorization: both.get(..count).unwrap_or_default(),
            certificate: peer.and_then(|peer| peer.certificate.as_deref()),
            address: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip()),
        };
        let known = match self.access.authenticate(&presented) {
            // Who is not named is let in from this machine alone, and this has come from elsewhere.
            Ok(caller) if caller.kind == Kind::Local && !peer.is_some_and(|peer| peer.is_proxied) && is_forwarded(headers) => {
                Err(Denied::NothingPresented)
            }
            known => known,
        };
        let known = known.map_err(|denied| {
            tracing::debug!(address = %presented.address, reason = %denied, "a caller was not let in");
            if denied.lacks_credentials() {
                return Error::credentials_required().into();
            }
            metrics().callers.count_failed_authentication();
            Refusal { error: Error::credentials_invalid(), delay: self.access.note_failure(presented.address) }
        });
        known.inspect_err(|refusal: &Refusal| self.tell(&refusal.error, &NOBODY, "", headers, peer))
    }
}

/// Refuses a caller that may not call the method of a path at all.
fn permit(caller: &Principal, path: &str) -> Result<(), Error> {
    let needed = match NEEDED.get(path) {
        Some(needed) => *needed,
        None if path.starts_with(REFLECTION) => Some(Permission::Reflect),
        None => return Ok(()),
    };
    match needed {
        Some(needed) => permit_for(caller, needed),
        None => Err(Error::denied("PERMISSION_DENIED", "nobody is permitted to call this method")),
    }
}

/// Refuses a caller that may not do something at all.
fn permit_for(caller: &Principal, needed: Permission) -> Result<(), Error> {
    if caller.may(needed) {
        return Ok(());
    }
    Err(Error::not_permitted_at_all(needed))
}

impl<S> Layer<S> for AccessLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, access: self.clone() }
    }
}

/// Services behind the access layer.
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    access: AccessLayer,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<BoxFuture<'static, Result<Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let (path, extensions) = (request.uri().path(), request.extensions());
        // HTTP has found who calls; no peer can send an extension.
        let entered = match extensions.get::<Arc<Principal>>() {
            Some(caller) => permit(caller, path).map(|()| None).map_err(Refusal::from),
            None => self.access.enter(path, request.headers(), extensions.get::<Peer>()).map(Some),
        };
        match entered {
            Ok(caller) => {
                if let Some(caller) = caller {
                    request.extensions_mut().insert(caller);
                }
                Either::Right(self.inner.call(request))
            }
            Err(refusal) => Either::Left(async { Ok(status::of(refusal.when_due().await).into_http()) }.boxed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_api_says_what_it_needs() {
        let silent: Vec<_> = NEEDED.iter().filter(|(_, needed)| needed.is_none()).map(|(path, _)| path).collect();
        assert!(silent.is_empty(), "these state no permission, or none that there is: {silent:?}");
        assert!(NEEDED.len() > 50);
        assert_eq!(NEEDED["/tollgate.v1.ChargingService/Debit"], Some(Permission::Charge));
    }

    #[test]
    fn a_caller_that_is_not_known_may_call_nothing_but_health() {
        for path in NEEDED.keys().map(String::as_str).chain(["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"]) {
            assert_eq!(permit(&nobody(), path).unwrap_err().reason, "PERMISSION_DENIED", "{path}");
        }
        let unknown = AccessLayer::open().enter("/grpc.health.v1.Health/Check", &HeaderMap::new(), None).unwrap();
        assert!(unknown.grants.is_empty());
    }
}
