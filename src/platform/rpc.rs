//! One span and one measurement for each call: from its first byte until the last byte of its answer.
//!
//! The span of the log costs a look at a flag where nobody listens (the usual case: its level is debug), that of the trace a look at a
//! header where the call is not sampled. The code is found in the trailers, or in the headers of an answer without a body; a call whose
//! answer was dropped before that was cancelled.

pub mod timeout;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span};

use super::telemetry::method::{Method, Shape};
use super::telemetry::metrics::{code_name, metrics};
use super::telemetry::traces;
use crate::lanes::proxies::TrustedProxies;
use crate::lanes::socket::Peer;
use crate::lanes::source::Source;
use crate::lanes::watchdog::watched;

/// Measures the calls of the service below it. From here on, a call by way of a proxy that is believed comes from the client.
#[derive(Clone, Debug, Default)]
pub struct RpcLayer {
    proxies: TrustedProxies,
    /// The headers of a refusal, made once: where many are refused, what each costs is taken from the calls that are let in.
    refusal: Option<Arc<HeaderMap>>,
}

impl RpcLayer {
    /// Believes proxies that say where a call comes from.
    #[must_use]
    pub fn behind(proxies: TrustedProxies) -> Self {
        Self { proxies, refusal: None }
    }

    /// Refuses calls with that status while the thread is behind, as far as it must.
    #[must_use]
    pub fn refusing_with(self, status: Status) -> Self {
        let refusal = status.into_http::<Body>().into_parts().0.headers;
        Self { refusal: Some(Arc::new(refusal)), ..self }
    }

    /// The refusal of a call that is not let in. Streams, and RPCs of other services such as health checks, always are.
    fn refusal(&self, call: &Call, request: &Request<Body>) -> Option<Response<Body>> {
        let refusal = self.refusal.as_deref().filter(|_| call.method.shape() == Shape::Call)?;
        let peer = request.extensions().get::<Peer>()?;
        if peer.calls.lets_in(call.started, || timeout::of(request.headers())) {
            return None;
        }
        metrics().callers.count_overload("thread");
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = refusal.clone();
        Some(response)
    }
}

/// How much of the body of a refused call is read.
const UNREAD_BYTES: usize = 64 * 1024;

/// Refuses a call after reading its body, undecoded: h2 would reset the stream of an unread one, count what still arrives on it as the
/// peer's error, and close the connection after too many of these.
async fn refused<E>(mut body: Body, refusal: Response<Body>) -> Result<Response<Body>, E> {
    let mut left = UNREAD_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    Ok(refusal)
}

impl<S> Layer<S> for RpcLayer {
    type Service = RpcService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RpcService { inner, layer: self.clone() }
    }
}

/// A service whose calls are measured.
#[derive(Clone, Debug)]
pub struct RpcService<S> {
    inner: S,
    layer: RpcLayer,
}

impl<S> Service<Request<Body>> for RpcService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: 'static>,
{
    type Response = Response<RpcBody>;
    type Error = S::Error;
    type Future = RpcFuture<Either<BoxFuture<'static, Result<Response<Body>, S::Error>>, Instrumented<S::Future>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        if let Some(client) = peer.and_then(|peer| self.layer.proxies.seen_through(peer, request.headers())) {
            request.extensions_mut().insert(client);
        }
        let call = Call::start(Method::of_path(request.uri().path()), &request);
        if let Some(trace) = &call.trace {
            request.extensions_mut().insert(trace.place());
        }
        let inner = match self.layer.refusal(&call, &request) {
            Some(refusal) => Either::Left(refused(request.into_body(), refusal).boxed()),
            None => Either::Right(self.inner.call(request).instrument(call.span.clone())),
        };
        RpcFuture { inner, call: Some(call) }
    }
}

/// A call under way. Dropped before its code was found, it was cancelled.
struct Call {
    method: Method,
    /// A stream is a source of work of its own; of other calls, their connection is.
    source: Source,
    started: Instant,
    span: Span,
    /// Its span of the trace, if it is sampled.
    trace: Option<traces::Span>,
    is_recorded: bool,
}

impl Call {
    fn start(method: Method, request: &Request<Body>) -> Self {
        let peer = request.extensions().get::<Peer>();
        let connection = peer.map_or_else(Source::default, |peer| peer.source);
        let source = match method.shape() {
            Shape::Call => connection,
            Shape::Answers => Source::new(),
            Shape::Exchange => Source::stream(),
        };
        let name = method.full_name();
        let trace = traces::Span::of_call(name, request.headers());
        if let Some(trace) = &trace {
            trace.set("rpc.system.name", "grpc");
            trace.set("rpc.method", name);
            if let Some(Peer { address, is_proxied, .. }) = peer {
                trace.set("client.address", address.ip().to_canonical().to_string());
                if !is_proxied {
                    trace.set("client.port", i64::from(address.port()));
                }
            }
        }
        metrics().calls.started(method);
        let span = tracing::debug_span!("rpc", rpc.method = name);
        Self { method, source, started: Instant::now(), span, trace, is_recorded: false }
    }

    fn record(&mut self, code: Code) {
        if self.is_recorded {
            return;
        }
        self.is_recorded = true;
        metrics().calls.ended(self.method, code, self.started.elapsed(), self.trace.as_ref().map(traces::Span::place));
        if let Some(trace) = &self.trace {
            trace.set("rpc.response.status_code", code_name(code));
            if is_server_error(code) {
                trace.fail(code_name(code));
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.record(Code::Cancelled);
    }
}

/// The codes that the semantic conventions of OpenTelemetry take as a server's error; the others are its answers.
fn is_server_error(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

fn code_of(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value: &HeaderValue| Code::from_bytes(value.as_bytes()))
}

pin_project! {
    /// The answer to come of a measured call.
    pub struct RpcFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, E> Future for RpcFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<RpcBody>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let source = this.call.as_ref().map_or(Source::PROCESS, |call| call.source);
        let entered = this.call.as_ref().and_then(|call| call.trace.as_ref()).map(traces::Span::enter);
        let result = watched(|| source.scope(|| this.inner.poll(context)));
        drop(entered);
        let result = ready!(result);
        let mut call = this.call.take();
        if let Some(call) = &mut call {
            match &result {
                Ok(response) => {
                    if let Some(code) = code_of(response.headers()) {
                        call.record(code);
                    }
                }
                Err(_) => call.record(Code::Unknown),
            }
        }
        Poll::Ready(result.map(|response| response.map(|body| RpcBody { body, call })))
    }
}

/// The body of a measured call's answer.
pub struct RpcBody {
    body: Body,
    call: Option<Call>,
}

impl http_body::Body for RpcBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = match &this.call {
            Some(call) => {
                let body = Pin::new(&mut this.body);
                let _entered = call.trace.as_ref().map(traces::Span::enter);
                watched(|| call.source.scope(|| call.span.in_scope(|| body.poll_frame(context))))
            }
            None => Pin::new(&mut this.body).poll_frame(context),
        };
        let frame = ready!(frame);
        let code = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().and_then(code_of),
            Some(Err(status)) => Some(status.code()),
            None => Some(Code::Unknown),
        };
        if let (Some(code), Some(mut call)) = (code, this.call.take_if(|_| code.is_some())) {
            call.record(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http_body_util::Full;

    use super::*;
    use crate::lanes::turn::Turn;

    #[test]
    fn the_code_is_read_from_headers_or_trailers() {
        let mut headers = HeaderMap::new();
        assert_eq!(code_of(&headers), None);
        headers.insert("grpc-status", HeaderValue::from_static("14"));
        assert_eq!(code_of(&headers), Some(Code::Unavailable));
    }

    /// What a service whose thread is behind returns to a call.
    async fn answered(path: &str, timeout: &str, peer: Option<Peer>) -> Option<Code> {
        let inner = tower::service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Status::aborted("begun").into_http::<Body>()));
        let mut service = RpcLayer::default().refusing_with(Status::resource_exhausted("behind")).layer(inner);
        let mut request = Request::post(path).header("grpc-timeout", timeout).body(Body::new(Full::from("request"))).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        code_of(service.call(request).await.unwrap().headers())
    }

    #[tokio::test]
    async fn calls_that_have_waited_too_long_to_be_begun_are_refused_but_no_streams_and_no_health_checks() {
        const DEBIT: &str = "/tollgate.v1.ChargingService/Debit";
        let mut turn = Turn::default();
        turn.read(1);
        std::thread::sleep(Duration::from_millis(2));
        let (source, address, calls) = (Source::new(), ([127, 0, 0, 1], 1).into(), turn.calls());
        let peer = Peer { source, calls, address, certificate: None, is_proxied: false, is_local: true };
        let of = |path, timeout| answered(path, timeout, Some(peer.clone()));
        assert_eq!(of(DEBIT, "1n").await, Some(Code::ResourceExhausted));
        assert_eq!(of(DEBIT, "99H").await, Some(Code::Aborted));
        assert_eq!(of("/tollgate.v1.ChargingService/Charge", "1n").await, Some(Code::Aborted));
        assert_eq!(of("/grpc.health.v1.Health/Check", "1n").await, Some(Code::Aborted));
        assert_eq!(answered(DEBIT, "1n", None).await, Some(Code::Aborted));
    }
}
