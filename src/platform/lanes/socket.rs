//! A connection of a peer: a source of work, with a place among all connections, which is given up if it never begins to speak HTTP/2.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use super::flooders::Flooders;
use super::last_words::LastWords;
use super::source::Source;
use super::turn::{Turn, TurnCalls};
use crate::tls::{Certificate, TlsStream};

/// How long a peer may take to say the preface of HTTP/2 and to begin its settings.
pub const PREFACE_LIMIT: Duration = Duration::from_secs(10);

/// How long a peer is listened to after its connection was closed on this side.
pub const LINGER: Duration = Duration::from_millis(500);

/// How much of it is read then, if it speaks HTTP/2: as much as a peer may have under way before it hears that the connection is closed,
/// which is the window of a connection, and the headers of calls. HTTP/1 has no such bound: a form or a file that is too large is sent on.
const LINGER_BYTES: usize = (1024 + 256) * 1024;

/// How HTTP/2 begins.
const HTTP2: &[u8] = b"PRI ";

/// How many bytes these are: the preface, and the header of a frame.
const PREFACE_BYTES: usize = 24 + 9;

/// A socket on its way to a lane, with its place among all connections.
pub struct AcceptedSocket {
    pub(crate) stream: Stream,
    pub(crate) address: SocketAddr,
    pub(crate) is_local: bool,
    pub(crate) place: OwnedSemaphorePermit,
    pub(crate) flooders: Option<Arc<Flooders>>,
}

/// A socket, before or after its TLS handshake.
pub enum Stream {
    /// A connection without TLS.
    Plain(std::net::TcpStream),
    /// One whose handshake is done.
    Tls(Box<TlsStream>),
}

/// The peer of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The connection, as a source of work.
    pub source: Source,
    /// The calls that were read of it in its last turn.
    pub calls: Arc<TurnCalls>,
    /// Where it comes from.
    pub address: SocketAddr,
    /// The certificate that the peer has shown, and that an authority of clients has signed.
    pub certificate: Option<Arc<Certificate>>,
    /// Whether it is behind a proxy that is believed, which has said where it comes from.
    pub is_proxied: bool,
    /// Whether it is on this machine, and no proxy: at its loopback, or at the address of this machine that it has called.
    pub is_local: bool,
}

/// A connection.
pub struct Socket {
    bytes: Bytes,
    peer: Peer,
    turn: Turn,
    /// Until the preface is there.
    preface: Option<Preface>,
    is_http2: bool,
    /// When it is cut off, whatever is under way.
    cut: Option<Pin<Box<Sleep>>>,
    /// Once it is closed on this side: until when the peer is listened to, and how much of it.
    linger: Option<(Pin<Box<Sleep>>, usize)>,
    last_words: LastWords,
    /// Where its peer is noted, should it flood the connection.
    flooders: Option<Arc<Flooders>>,
    _place: OwnedSemaphorePermit,
}

enum Bytes {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

struct Preface {
    seen: usize,
    /// All that was seen is how HTTP/2 begins.
    is_http2: bool,
    limit: Pin<Box<Sleep>>,
}

impl Socket {
    /// Registers a socket with the current runtime.
    pub fn new(AcceptedSocket { stream, address, is_local, place, flooders }: AcceptedSocket) -> io::Result<Self> {
        let preface = Preface { seen: 0, is_http2: true, limit: Box::pin(sleep(PREFACE_LIMIT)) };
        let (bytes, certificate) = match stream {
            Stream::Plain(socket) => (Bytes::Plain(TcpStream::from_std(socket)?), None),
            Stream::Tls(mut stream) => {
                let (socket, session) = stream.get_mut();
                socket.attach()?;
                let shown = session.peer_certificates().and_then(<[_]>::first);
                let certificate = shown.map(|shown| Certificate::parse(shown).map_err(io::Error::other)).transpose()?;
                (Bytes::Tls(stream), certificate.map(Arc::new))
            }
        };
        let turn = Turn::default();
        let peer = Peer { source: Source::new(), calls: turn.calls(), address, certificate, is_proxied: false, is_local };
        let last_words = LastWords::default();
        Ok(Self {
            bytes,
            peer,
            turn,
            preface: Some(preface),
            is_http2: false,
            cut: None,
            linger: None,
            last_words,
            flooders,
            _place: place,
        })
    }

    /// The same, cut off after so long.
    #[must_use]
    pub fn cut_after(self, age: Option<Duration>) -> Self {
        Self { cut: age.map(|age| Box::pin(sleep(age))), ..self }
    }

    /// Takes in what was written; or was to be, if the peer has gone without a word.
    fn wrote(&mut self, slices: &[IoSlice<'_>], written: &io::Result<usize>) {
        self.last_words.wrote(slices, written.as_ref().map_or(usize::MAX, |count| *count));
        if written.is_err() {
            self.note_flood();
        }
    }

    /// Notes the peer, if it was told that it floods the connection.
    fn note_flood(&mut self) {
        let last_words = std::mem::take(&mut self.last_words);
        if let Some(flooders) = self.flooders.as_ref().filter(|_| last_words.tell_of_a_flood()) {
            flooders.note(self.peer.address.ip());
        }
    }
}

impl Connected for Socket {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.cut.as_mut().is_some_and(|cut| cut.as_mut().poll(context).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(this.turn.poll_may_read(context));
        let before = buffer.filled().len();
        let read = match &mut this.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Bytes::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        let count = buffer.filled().len() - before;
        if read.is_ready() {
            this.turn.read(count)
        } else {
            this.turn.end()
        }
        if let Some(preface) = &mut this.preface {
            let (read, expected) = (buffer.filled().get(before..).unwrap_or_default(), HTTP2.get(preface.seen..).unwrap_or_default());
            preface.is_http2 &= read.iter().zip(expected).all(|(read, expected)| read == expected);
            preface.seen += count;
            this.is_http2 = preface.is_http2 && preface.seen >= HTTP2.len();
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
        let written = ready!(match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Bytes::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        });
        self.wrote(&[IoSlice::new(bytes)], &written);
        Poll::Ready(written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = ready!(match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Bytes::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        });
        self.wrote(slices, &written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(stream) => stream.is_write_vectored(),
            Bytes::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(context),
            Bytes::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // Before the peer can make another one.
        this.note_flood();
        if this.linger.is_none() {
            ready!(match &mut this.bytes {
                Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(context),
                Bytes::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            })?;
        }
        // Closed over what the peer has sent meanwhile, the connection would be reset, and the peer lose the last answers that it has not read.
        // Who goes on sending as if nothing had been said does lose them: else the thread would read for those that flood it.
        let most = if this.is_http2 { LINGER_BYTES } else { usize::MAX };
        let (until, left) = this.linger.get_or_insert_with(|| (Box::pin(sleep(LINGER)), most));
        while *left > 0 && until.as_mut().poll(context).is_pending() {
            let mut unread = [0; 8 * 1024];
            let mut buffer = ReadBuf::new(&mut unread);
            let read = ready!(match &mut this.bytes {
                Bytes::Plain(stream) => Pin::new(stream).poll_read(context, &mut buffer),
                Bytes::Tls(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            });
            let count = buffer.filled().len();
            if read.is_err() || count == 0 {
                break;
            }
            *left = left.saturating_sub(count);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    use super::*;

    /// A connection, and its peer.
    async fn accepted() -> (Socket, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, address) = listener.accept().await.unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let stream = Stream::Plain(accepted.into_std().unwrap());
        (Socket::new(AcceptedSocket { stream, address, is_local: true, place, flooders: None }).unwrap(), peer)
    }

    #[tokio::test]
    async fn a_peer_that_floods_is_read_in_turns_and_to_its_end() {
        const FLOOD: usize = 1 << 20;
        const READ: usize = 8192;
        let (mut socket, mut peer) = accepted().await;
        let flood = tokio::spawn(async move { peer.write_all(&vec![0; FLOOD]).await.map(|()| peer) });
        let (mut polls, mut all) = (Vec::new(), 0);
        poll_fn(|context| {
            let mut read = 0;
            // As a server does, which reads again before it looks at each request.
            for _ in 0..1000 {
                let mut bytes = [0; READ];
                let mut buffer = ReadBuf::new(&mut bytes);
                if let Poll::Ready(result) = Pin::new(&mut socket).poll_read(context, &mut buffer) {
                    result.unwrap();
                    read += buffer.filled().len();
                }
            }
            polls.push(read);
            all += read;
            if all < FLOOD { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert!(polls.len() > 10 && polls.iter().all(|read| *read < 5 * READ), "{polls:?}");
        flood.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_goes_on_sending_after_its_http2_connection_was_closed_is_not_listened_to_for_long() {
        // More than sockets hold, and less than could be read within the time.
        const FLOOD: usize = 64 << 20;
        const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let (mut socket, mut peer) = accepted().await;
        peer.write_all(PREFACE).await.unwrap();
        socket.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        let flood = tokio::spawn(async move { peer.write_all(&vec![0; FLOOD]).await });
        socket.shutdown().await.unwrap();
        drop(socket);
        assert!(flood.await.unwrap().is_err(), "all of it was read");
    }
}
