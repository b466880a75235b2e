//! Services that come from elsewhere (health, reflection, and what refuses unknown ones), brought into the form of our own: each of their
//! errors gets an ErrorInfo, also one that ends a stream, and a stream of theirs that waits ends when the service stops.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::status;
use crate::service::error::Error;

/// A service of others.
#[derive(Clone)]
pub struct ThirdPartyService<S> {
    inner: S,
    stopping: CancellationToken,
    max_message_bytes: usize,
}

impl<S> ThirdPartyService<S> {
    /// Wraps a service.
    pub fn new(inner: S, stopping: CancellationToken, max_message_bytes: usize) -> Self {
        Self { inner, stopping, max_message_bytes }
    }
}

impl<S: tonic::server::NamedService> tonic::server::NamedService for ThirdPartyService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for ThirdPartyService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answered = self.inner.call(request);
        let stopped = self.stopping.clone().cancelled_owned().boxed();
        let max_message_bytes = self.max_message_bytes;
        async move { Ok(answered.await?.map(|inner| Body::new(EndingBody { inner, stopped, max_message_bytes, is_over: false }))) }.boxed()
    }
}

/// A body that ends when the service stops, if it waits then.
struct EndingBody {
    inner: Body,
    stopped: BoxFuture<'static, ()>,
    max_message_bytes: usize,
    is_over: bool,
}

impl http_body::Body for EndingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_trailers() {
                Ok(trailers) => Frame::trailers(self.completed(trailers)),
                Err(frame) => frame,
            }))),
            Poll::Pending if self.stopped.poll_unpin(context).is_ready() => {
                self.is_over = true;
                Poll::Ready(Some(Ok(Frame::trailers(trailers_of(&status::of(Error::stopping()))))))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.inner.is_end_stream()
    }
}

impl EndingBody {
    fn completed(&self, trailers: HeaderMap) -> HeaderMap {
        let found = Status::from_header_map(&trailers).and_then(|status| status::completed(&status, self.max_message_bytes));
        found.map_or(trailers, |status| trailers_of(&status))
    }
}

fn trailers_of(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // What cannot be written as a header leaves the status without its text.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from(i32::from(status.code())));
    }
    trailers
}
