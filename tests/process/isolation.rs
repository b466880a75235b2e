//! One customer never stops another: queues are fair, lanes do only what is short, and whatever a peer can make grow has a bound.

mod bounds;
mod expiries;
mod flood;
mod lanes;
mod load;
mod logs;
mod requests;

use crate::service::Service;

/// The metrics, as text.
async fn metrics(service: &Service) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(service.metrics).await.unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The value of a series, if it is there.
async fn metric(service: &Service, series: &str) -> Option<f64> {
    metrics(service).await.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}
