//! Refuses what a web page in the operator's browser could send to this machine: a foreign `Origin`, a `Host` that is not this
//! listener's (DNS rebinding), and a body that a form can send without asking (anything but `application/json`).

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Method};

use super::problem::Problem;

/// What the listener may be called.
#[derive(Clone)]
pub struct Guard {
    hosts: Vec<String>,
}

impl Guard {
    /// Of a listener at an address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let mut hosts = vec![address.to_string()];
        if address.ip().is_loopback() {
            hosts.push(format!("localhost:{}", address.port()));
        }
        Self { hosts }
    }

    fn knows(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn refusal(&self, method: &Method, headers: &HeaderMap) -> Option<Problem> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("not text"));
        if !text(HOST).is_some_and(|host| self.knows(host)) {
            return Some(Problem::forbidden(format!("the header host must be {}", self.hosts.join(" or "))));
        }
        if let Some(origin) = text(ORIGIN)
            && !origin.strip_prefix("http://").is_some_and(|host| self.knows(host))
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
    match guard.refusal(request.method(), request.headers()) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}
