//! Calls of unknown length, answered off the lanes: documents, lists, exports.
//!
//! All of such a call is done on the threads of [`Offload`]: its message is decoded, it is handled, and its answer is encoded there. The
//! lane only passes on bytes that are ready. Each piece of an answer is work of its own, begun when the one before was taken, so a reader
//! that is slow holds no thread.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use tokio::time::timeout_at;
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt};
use tracing::Instrument;

use super::{context, status};
use crate::lanes::offload::{NotRun, Offload};
use crate::service::error::Error;

/// How many bytes a piece has, after which it is passed on though more is ready.
const PIECE_BYTES: usize = 64 * 1024;

/// Calls of BillingService that a lane may answer itself: they send a command, or wait for a row.
const SHORT: [&str; 5] = ["RecordPayment", "WriteOff", "ReverseWriteOff", "GetBillingDetails", "SetBillingDetails"];

/// Whether it is unknown how long a call takes.
#[must_use]
pub fn is_long(path: &str) -> bool {
    match path.strip_prefix("/tollgate.v1.").and_then(|path| path.split_once('/')) {
        Some(("BillingService", method)) => !SHORT.contains(&method),
        Some(("AuditService" | "ApprovalService", _)) => true,
        Some(("AccountService", method)) => method.starts_with("List") || method == "SearchAccounts",
        _ => false,
    }
}

/// Serves a call on these threads.
pub async fn call<S>(offload: Offload, service: S, mut request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Send + 'static,
{
    let context = context::of_parts(request.headers(), request.extensions());
    let deadline = context.deadline;
    request.extensions_mut().insert(context);
    let begun = Arc::new(AtomicBool::new(false));
    let has_begun = Arc::clone(&begun);
    let work = async move {
        begun.store(true, Ordering::Relaxed);
        let (parts, body) = match service.oneshot(request).await {
            Ok(response) => response.into_parts(),
            Err(never) => match never {},
        };
        (parts, Piece::of(body).await)
    };
    let answering = offload.run(work.instrument(tracing::Span::current()));
    let answered = match deadline {
        None => answering.await.map_err(Error::from),
        // What is handled has its own, shorter patience, and says what it knows.
        Some(deadline) => match timeout_at(deadline.first_piece_by(), answering).await {
            Ok(answered) => answered.map_err(Error::from),
            Err(_) if has_begun.load(Ordering::Relaxed) => Err(Error::outcome_unknown()),
            Err(_) => Err(Error::from(NotRun::Overloaded)),
        },
    };
    match answered {
        Ok((parts, piece)) => Response::from_parts(parts, Body::new(Pieces { offload, piece, next: None })),
        Err(error) => status::of(error).into_http(),
    }
}

/// A piece of an answer, and what makes the next; nothing: there is none.
struct Piece {
    frames: VecDeque<Result<Frame<Bytes>, Status>>,
    rest: Option<Body>,
}

impl Piece {
    /// The next piece of a body: what is ready, once something is.
    async fn of(mut body: Body) -> Self {
        let (mut frames, mut bytes) = (VecDeque::new(), 0);
        let mut next = next_frame(&mut body).await;
        while let Some(frame) = next {
            bytes += frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
            frames.push_back(frame);
            if bytes >= PIECE_BYTES {
                return Self { frames, rest: Some(body) };
            }
            next = match next_frame(&mut body).now_or_never() {
                Some(next) => next,
                None => return Self { frames, rest: Some(body) },
            };
        }
        Self { frames, rest: None }
    }

    /// The end of an answer whose rest could not be made.
    fn failed(not_run: NotRun) -> Self {
        let mut trailers = HeaderMap::new();
        let status = status::of(not_run.into());
        let frame = status.add_header(&mut trailers).map(|()| Frame::trailers(trailers));
        Self { frames: VecDeque::from([frame]), rest: None }
    }
}

fn next_frame(body: &mut Body) -> impl Future<Output = Option<Result<Frame<Bytes>, Status>>> + Send {
    std::future::poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut *body), context))
}

/// The body of an answer.
struct Pieces {
    offload: Offload,
    piece: Piece,
    next: Option<BoxFuture<'static, Piece>>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if let Some(frame) = this.piece.frames.pop_front() {
                return Poll::Ready(Some(frame));
            }
            if let Some(body) = this.piece.rest.take() {
                let offload = this.offload.clone();
                let work = Piece::of(body).instrument(tracing::Span::current());
                this.next = Some(async move { offload.run(work).await.unwrap_or_else(Piece::failed) }.boxed());
            }
            let Some(next) = &mut this.next else { return Poll::Ready(None) };
            this.piece = ready!(next.poll_unpin(context));
            this.next = None;
        }
    }

    fn is_end_stream(&self) -> bool {
        self.piece.frames.is_empty() && self.piece.rest.is_none() && self.next.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_charges_is_short_and_what_lists_is_long() {
        for path in ["ChargingService/Debit", "ChargingService/Charge", "AccountService/TopUp", "BillingService/RecordPayment"] {
            assert!(!is_long(&format!("/tollgate.v1.{path}")), "{path}");
        }
        for path in ["AccountService/ListEntries", "BillingService/GetInvoiceFile", "BillingService/ExportUsage"] {
            assert!(is_long(&format!("/tollgate.v1.{path}")), "{path}");
        }
    }
}
