//! A way to a server that can be cut at any byte, slowed down, or left open with nothing passing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// No bound on the bytes that pass.
const ALL: i64 = i64::MAX;

#[derive(Debug)]
pub struct Link {
    pub address: SocketAddr,
    /// Where it leads. `None`: it closes what it accepts.
    target: Mutex<Option<SocketAddr>>,
    /// How often all connections were cut.
    cuts: watch::Sender<u64>,
    /// Nothing passes, though everything is open.
    is_held: AtomicBool,
    /// How many bytes may still pass there, and back, before the connection is cut.
    left: [AtomicI64; 2],
    /// Bytes at once, and microseconds between them; 0: as they come.
    piece: AtomicUsize,
    pause: AtomicU64,
    /// How many connections were cut by a bound of bytes.
    pub cut_at_a_byte: AtomicU64,
}

impl Link {
    /// Opens it, closed at its other end.
    pub async fn open() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            target: Mutex::new(None),
            cuts: watch::channel(0).0,
            is_held: AtomicBool::new(false),
            left: [AtomicI64::new(ALL), AtomicI64::new(ALL)],
            piece: AtomicUsize::new(0),
            pause: AtomicU64::new(0),
            cut_at_a_byte: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&link);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&accepting).pass(client));
            }
        });
        link
    }

    pub fn lead_to(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap() = target;
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts a connection in the midst: after so many more bytes to the server, or back from it.
    pub fn cut_after(&self, is_back: bool, bytes: u64) {
        if let Some(left) = self.left.get(usize::from(is_back)) {
            left.store(i64::try_from(bytes).unwrap(), Ordering::SeqCst);
        }
    }

    /// Cuts nothing at a byte any more.
    pub fn pass_all(&self) {
        self.left.iter().for_each(|left| left.store(ALL, Ordering::SeqCst));
    }

    /// Lets everything pass again, or nothing.
    pub fn hold(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::SeqCst);
    }

    /// Passes so many bytes at once, with a pause between.
    pub fn slow(&self, piece: usize, pause: Duration) {
        self.piece.store(piece, Ordering::SeqCst);
        self.pause.store(u64::try_from(pause.as_micros()).unwrap(), Ordering::SeqCst);
    }

    async fn pass(self: Arc<Self>, mut client: TcpStream) {
        let mut cuts = self.cuts.subscribe();
        let target = *self.target.lock().unwrap();
        let Some(target) = target else { return };
        let both = async {
            let mut server = TcpStream::connect(target).await?;
            let _ = (server.set_nodelay(true), client.set_nodelay(true));
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            tokio::select! {
                ended = self.forward(&mut from_client, &mut to_server, 0) => ended,
                ended = self.forward(&mut from_server, &mut to_client, 1) => ended,
            }
        };
        tokio::select! {
            _ = both => {}
            _ = cuts.changed() => {}
        }
    }

    async fn forward(
        &self,
        from: &mut (impl AsyncReadExt + Unpin),
        to: &mut (impl AsyncWriteExt + Unpin),
        direction: usize,
    ) -> std::io::Result<()> {
        let mut bytes = vec![0; 16_384];
        loop {
            let count = from.read(&mut bytes).await?;
            while self.is_held.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if count == 0 {
                return Ok(());
            }
            let mut rest = &bytes[..count];
            while !rest.is_empty() {
                let piece = match self.piece.load(Ordering::SeqCst) {
                    0 => rest.len(),
                    piece => piece.min(rest.len()),
                };
                let left = &self.left[direction];
                let allowed = left.load(Ordering::SeqCst);
                if allowed != ALL {
                    let allowed = usize::try_from(allowed).unwrap_or(0);
                    if allowed < piece {
                        // The bound is for one connection.
                        left.store(ALL, Ordering::SeqCst);
                        self.cut_at_a_byte.fetch_add(1, Ordering::SeqCst);
                        to.write_all(&rest[..allowed]).await?;
                        return Ok(());
                    }
                    left.fetch_sub(i64::try_from(piece).unwrap(), Ordering::SeqCst);
                }
                to.write_all(&rest[..piece]).await?;
                rest = &rest[piece..];
                let pause = self.pause.load(Ordering::SeqCst);
                if pause > 0 {
                    tokio::time::sleep(Duration::from_micros(pause)).await;
                }
            }
        }
    }
}
