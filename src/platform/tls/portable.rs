//! A TLS connection that goes from the thread of its handshake to the lane that serves it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TLS connection.
pub type TlsStream = tokio_rustls::server::TlsStream<Portable>;

/// A socket that can be taken out of one runtime and registered with another.
pub enum Portable {
    /// It belongs to the current runtime.
    Registered(TcpStream),
    /// It belongs to none.
    Detached(std::net::TcpStream),
    /// Neither could be done; it is closed.
    Lost,
}

impl Portable {
    /// Detaches it from the current runtime.
    pub fn detach(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Registered(stream) => Self::Detached(stream.into_std()?),
            other => other,
        };
        Ok(())
    }

    /// Registers it with the current runtime.
    pub fn attach(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Detached(stream) => Self::Registered(TcpStream::from_std(stream)?),
            other => other,
        };
        Ok(())
    }

    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        match self.get_mut() {
            Self::Registered(stream) => Ok(Pin::new(stream)),
            Self::Detached(_) | Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Portable {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Portable {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}
