//! What callers are told: what is known of the outcome, within their time, in a form that tools can read, until the service stops.

mod compressed;
mod lists;
mod outcomes;
mod rendered;
mod stopping;
mod time_ahead;
mod watching;

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt;

use crate::service::Service;

/// The reason of an error.
fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_else(|| panic!("an error without a reason: {status:?}"))
}

/// What a page of the endpoint for machines says.
async fn page(service: &Service, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(service.metrics).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Waits for something that must come in time.
async fn soon<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"))
}
