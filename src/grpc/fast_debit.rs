//! The fast path of the most frequent call by far: a Debit whose message comes whole, in one frame and uncompressed.
//!
//! It is read, decided and answered here, in one future, and its answer written straight to bytes. All else (compressed, in parts, not to
//! be decoded, too large, with more than a message, broken off) goes to the generated service, with what was read of it: what there
//! is to say of that is said there. `tests/it/fast_debit.rs` compares the two.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::GRPC_CONTENT_TYPE;
use tower::Service;

use super::call::read;
use super::charging::Charging;
use super::v1::DebitRequest;
use super::v1::charging_service_server::ChargingServiceServer;
use super::wire::charging::debit;
use super::wire::written::{USUAL_BYTES, put_debit};
use super::{context, status};
use crate::service::commands::Decided;

/// The path of a Debit.
pub const PATH: &str = "/tollgate.v1.ChargingService/Debit";

/// What stands before a message: whether it is compressed, and its length in four bytes.
const PREFIX_BYTES: usize = 5;

/// Handles a Debit.
pub async fn call(
    charging: Arc<Charging>,
    mut general: ChargingServiceServer<Charging>,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible> {
    let (parts, rest) = request.into_parts();
    let mut body = ReadBody { rest, first: None, next: None, is_over: false };
    let whole = if parts.headers.contains_key("grpc-encoding") { None } else { body.whole_message(charging.max_message_bytes).await };
    let Some(request) = whole else {
        return general.call(Request::from_parts(parts, Body::new(body))).await;
    };
    let context = context::of_parts(&parts.headers, &parts.extensions);
    drop(parts);
    let decided = pin!(async {
        let command = read(&charging.use_cases, request, debit)?;
        Ok(answer(&charging.use_cases.decide(&context, command).await?))
    });
    Ok(charging.use_cases.handle(&context, decided).await.unwrap_or_else(|error| status::of(error).into_http()))
}

fn answer(decided: &Decided) -> Response<Body> {
    let mut message = Vec::with_capacity(USUAL_BYTES);
    message.put_bytes(0, PREFIX_BYTES);
    put_debit(decided, &mut message);
    let length = u32::try_from(message.len() - PREFIX_BYTES).unwrap_or(u32::MAX);
    if let Some(place) = message.get_mut(1..PREFIX_BYTES) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    let mut response = Response::new(Body::new(Answer { message: Some(message.into()), is_over: false }));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}

/// An answer: its message, and that all is well.
struct Answer {
    message: Option<Bytes>,
    is_over: bool,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if std::mem::replace(&mut self.is_over, true) {
            return Poll::Ready(None);
        }
        let trailers = HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

/// The body of a request, and what was read of it to look whether it is one whole message.
struct ReadBody {
    rest: Body,
    first: Option<Frame<Bytes>>,
    next: Option<Result<Frame<Bytes>, Status>>,
    is_over: bool,
}

impl ReadBody {
    /// Reads on while it can be one whole message in one frame, up to a size; returns it, if it is, and can be decoded.
    async fn whole_message(&mut self, most: usize) -> Option<DebitRequest> {
        loop {
            let frame = poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut self.rest), context)).await;
            match frame {
                None => break,
                // With tonic, the end comes in a frame of its own.
                Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
                Some(Ok(frame)) if self.first.is_none() && frame.is_data() => self.first = Some(frame),
                other => {
                    self.next = other;
                    return None;
                }
            }
        }
        self.is_over = true;
        let mut frame = self.first.as_ref()?.data_ref()?.clone();
        let (is_compressed, length) = (frame.try_get_u8().ok()?, frame.try_get_u32().ok()?);
        let is_whole = is_compressed == 0 && usize::try_from(length).ok()? == frame.len() && frame.len() <= most;
        if is_whole { DebitRequest::decode(frame).ok() } else { None }
    }
}

impl http_body::Body for ReadBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(next) = self.next.take() {
            return Poll::Ready(Some(next));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.rest).poll_frame(context));
        self.is_over = frame.is_none();
        Poll::Ready(frame)
    }
}
