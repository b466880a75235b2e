//! The fast path of the most frequent call by far: a Debit whose message comes whole, in one frame and uncompressed.
//!
//! It is read, decided and answered here, in one future, and its answer written straight to bytes. All else (compressed, in parts, not to
//! be decoded, too large, with more than a message, broken off) goes to the generated service, with what was read of it: what there
//! is to say of that is said there. `tests/it/fast_debit.rs` compares the two.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
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
use super::read_body::{PREFIX_BYTES, ReadBody};
use super::v1::DebitRequest;
use super::v1::charging_service_server::ChargingServiceServer;
use super::wire::charging::debit;
use super::wire::written::{USUAL_BYTES, put_debit};
use super::{context, status};
use crate::service::commands::Decided;

/// The path of a Debit.
pub const PATH: &str = "/tollgate.v1.ChargingService/Debit";

/// Handles a Debit.
pub async fn call(
    charging: Arc<Charging>,
    mut general: ChargingServiceServer<Charging>,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible> {
    let (parts, rest) = request.into_parts();
    let mut body = ReadBody::of(rest);
    let whole = body.whole_message(&parts.headers, charging.max_message_bytes).await;
    let Some(request) = whole.and_then(|message| DebitRequest::decode(message).ok()) else {
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
