//! A connection whose calls arrive all at once: what its client says is held back, frame by frame, until so many calls have begun.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tonic::body::Body;
use tower::Service;

/// How HTTP/2 is written: the preface, then frames, each with a head that says its length and its kind.
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;

/// How much may be on its way between the client and what holds its words back.
const PIPE_BYTES: usize = 64 * 1024;

/// The client's end of one connection. It gives no call up by itself, whatever its timeout, so the service answers each.
#[derive(Clone)]
pub struct Burst {
    calls: SendRequest<Body>,
}

impl Burst {
    /// Connects. The first so many calls arrive once all of them have begun, here and on the other connections of the barrier; later ones
    /// are not held back.
    pub async fn connect(address: SocketAddr, calls: usize, together: Arc<Barrier>) -> Self {
        let (mut from_service, to_service) = TcpStream::connect(address).await.unwrap().into_split();
        let (client, wire) = tokio::io::duplex(PIPE_BYTES);
        let (from_client, mut to_client) = tokio::io::split(wire);
        tokio::spawn(async move {
            let _ = tokio::io::copy(&mut from_service, &mut to_client).await;
            // So that the client hears that the service has closed.
            let _ = to_client.shutdown().await;
        });
        tokio::spawn(gather(from_client, to_service, calls, together));
        let (calls, connection) = handshake(TokioExecutor::new(), TokioIo::new(client)).await.unwrap();
        tokio::spawn(connection);
        Self { calls }
    }

    /// What clients of a service take as their own address.
    pub fn origin() -> Uri {
        Uri::from_static("http://tollgate")
    }

    /// Charging, over this connection.
    pub fn charging(&self) -> ChargingServiceClient<Self> {
        ChargingServiceClient::with_origin(self.clone(), Self::origin())
    }
}

impl Service<Request<Body>> for Burst {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Response<Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.calls.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.calls.send_request(request).boxed()
    }
}

/// Passes on what the client says; from its first call on, only once so many have begun. Ends with the client.
async fn gather(
    mut client: impl AsyncRead + Unpin,
    mut service: impl AsyncWrite + Unpin,
    calls: usize,
    together: Arc<Barrier>,
) -> io::Result<()> {
    let (mut held, mut begun) = (vec![0; PREFACE_BYTES], 0);
    client.read_exact(&mut held).await?;
    loop {
        let mut head = [0; HEAD_BYTES];
        client.read_exact(&mut head).await?;
        let [a, b, c, kind, ..] = head;
        held.extend(head);
        let payload = held.len();
        held.resize(payload + u32::from_be_bytes([0, a, b, c]) as usize, 0);
        client.read_exact(&mut held[payload..]).await?;
        if kind == HEADERS {
            begun += 1;
            if begun == calls {
                together.wait().await;
            }
        }
        if begun == 0 || begun >= calls {
            service.write_all(&held).await?;
            held.clear();
        }
    }
}
