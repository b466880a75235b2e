//! A connection of a peer: a source of work, with a place among all connections, which is given up if it never begins to speak HTTP/2.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use super::source::Source;

/// How long a peer may take to say the preface of HTTP/2 and to begin its settings.
pub const PREFACE_LIMIT: Duration = Duration::from_secs(10);

/// How many bytes these are: the preface, and the header of a frame.
const PREFACE_BYTES: usize = 24 + 9;

/// A socket on its way to a lane, with its place among all connections.
pub struct Dealt {
    pub(super) socket: std::net::TcpStream,
    pub(super) place: OwnedSemaphorePermit,
}

/// A connection.
pub struct Socket {
    stream: TcpStream,
    source: Source,
    /// Until the preface is there.
    preface: Option<Preface>,
    _place: OwnedSemaphorePermit,
}

struct Preface {
    seen: usize,
    limit: Pin<Box<Sleep>>,
}

impl Socket {
    /// Registers a socket with the current runtime.
    pub fn new(Dealt { socket, place }: Dealt) -> io::Result<Self> {
        let preface = Preface { seen: 0, limit: Box::pin(sleep(PREFACE_LIMIT)) };
        Ok(Self { stream: TcpStream::from_std(socket)?, source: Source::new(), preface: Some(preface), _place: place })
    }
}

impl Connected for Socket {
    type ConnectInfo = Source;

    fn connect_info(&self) -> Source {
        self.source
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Some(preface) = &mut this.preface {
            preface.seen += buffer.filled().len() - before;
            if preface.seen >= PREFACE_BYTES {
                this.preface = None;
            } else if preface.limit.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
