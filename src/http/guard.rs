//! Refuses what a web page in the operator's browser could send to this machine: a foreign `Origin`, a `Host` that is not this
//! listener's (DNS rebinding), and a body that a form can send without asking (anything but `application/json`).

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::{CONTENT_TYPE, HOST, ORIGIN};

use super::problem::Problem;
use crate::lanes::proxies::Scheme;

/// The host names of the listener.
#[derive(Clone)]
pub struct Guard {
    hosts: Vec<String>,
    /// What the origins of its own pages are.
    origins: Vec<String>,
    /// Whether it is called over TLS, by its URL.
    is_secure: bool,
}

impl Guard {
    /// The host names of a listener at an address, and of its URL, if one is given.
    #[must_use]
    pub fn new(address: SocketAddr, url: Option<&str>) -> Self {
        let mut hosts = vec![address.to_string()];
        if address.ip().is_loopback() {
            hosts.push(format!("localhost:{}", address.port()));
        }
        let mut origins: Vec<String> = hosts.iter().map(|host| format!("http://{host}")).collect();
        if let Some(url) = url {
            origins.push(url.to_ascii_lowercase());
            hosts.extend(url.split_once("://").map(|(_, host)| host.to_ascii_lowercase()));
        }
        Self { hosts, origins, is_secure: url.is_some_and(|url| url.starts_with("https://")) }
    }

    fn knows(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn refusal(&self, request: &Request) -> Option<Problem> {
        let (method, headers) = (request.method(), request.headers());
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("not text"));
        if !text(HOST).is_some_and(|host| self.knows(host)) {
            return Some(Problem::forbidden(format!("the header host must be {}", self.hosts.join(" or "))));
        }
        if self.is_secure && request.extensions().get::<Scheme>() == Some(&Scheme::Http) {
            return Some(Problem::forbidden("it is called by https: what was sent could be read on the way".to_owned()));
        }
        if let Some(origin) = text(ORIGIN)
            && !self.origins.iter().any(|own| own.eq_ignore_ascii_case(origin))
        {
            return Some(Problem::forbidden(
                "the header origin names another site: pages of other sites may not call this service".to_owned(),
            ));
        }
        let is_json = text(CONTENT_TYPE).and_then(|value| value.split(';').next()).is_some_and(|media| media.trim() == "application/json");
        (method == Method::POST && !is_json).then(Problem::not_json)
    }
}

/// Lets a request through, or refuses it.
pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refusal(&request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}
