//! Requests to identity providers: one at a time, over TLS, bounded in time and size.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST};
use hyper::http::request::Builder;
use hyper::http::uri::{Scheme, Uri};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use platform::tls::ClientTls;

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A URL, which must be one of https. `what` says whose it is.
pub fn url(what: &str, text: &str) -> anyhow::Result<Uri> {
    let url: Uri = text.parse().with_context(|| format!("{what} {text:?} is not a URL"))?;
    ensure!(url.scheme() == Some(&Scheme::HTTPS) && url.host().is_some(), "{what} {url} must begin with https://");
    Ok(url)
}

/// Fetches JSON, which must be there.
pub async fn get(url: &Uri, tls: &ClientTls, most: usize) -> anyhow::Result<Bytes> {
    let (status, body) = send(url, tls, Request::get(path(url)), Bytes::new(), most).await?;
    ensure!(status == StatusCode::OK, "its status is {status}, not 200");
    Ok(body)
}

/// Sends a request with a body, if it has one; returns the status, and the JSON that came back.
pub async fn send(url: &Uri, tls: &ClientTls, request: Builder, body: Bytes, most: usize) -> anyhow::Result<(StatusCode, Bytes)> {
    let sent = timeout(LIMIT, send_at_once(url, tls, request, body, most));
    sent.await.context("it took too long").and_then(|sent| sent)
}

/// The path of a request to a URL.
pub fn path(url: &Uri) -> &str {
    url.path_and_query().map_or("/", |path| path.as_str())
}

async fn send_at_once(url: &Uri, tls: &ClientTls, request: Builder, body: Bytes, most: usize) -> anyhow::Result<(StatusCode, Bytes)> {
    let host = url.host().unwrap_or_default();
    let place = (host.trim_start_matches('[').trim_end_matches(']'), url.port_u16().unwrap_or(443));
    let stream = TcpStream::connect(place).await.context("there is no connection")?;
    let stream = TokioIo::new(tls.connect(host, stream).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let authority = url.authority().map_or(host, |authority| authority.as_str());
    let request = request.header(HOST, authority).header(ACCEPT, "application/json").body(Full::new(body))?;
    let asked = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), most).collect().await.map_err(|error| anyhow!("{error}"))?;
        anyhow::Ok((status, body.to_bytes()))
    };
    tokio::pin!(asked);
    // The connection does the work, and ends with the answer or before it.
    tokio::select! {
        answered = &mut asked => answered,
        ended = connection => {
            ended?;
            asked.await
        }
    }
}
