//! The body of a request that is looked at before its method has it: most are one message in one frame, uncompressed.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

/// What stands before a message: whether it is compressed, and its length in four bytes.
pub(super) const PREFIX_BYTES: usize = 5;

/// The body of a request, and what was read of it to look whether it is one whole message.
pub(super) struct ReadBody {
    rest: Body,
    first: Option<Frame<Bytes>>,
    next: Option<Result<Frame<Bytes>, Status>>,
    is_over: bool,
}

impl ReadBody {
    pub(super) fn of(rest: Body) -> Self {
        Self { rest, first: None, next: None, is_over: false }
    }

    /// Reads on while it can be one whole message in one frame, uncompressed and up to a size; returns its bytes, if it is.
    pub(super) async fn whole_message(&mut self, headers: &HeaderMap, most: usize) -> Option<Bytes> {
        if headers.get("grpc-encoding").is_some_and(|encoding| encoding != "identity") {
            return None;
        }
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
        is_whole.then_some(frame)
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
