//! The HTTP endpoint for machines that watch: `GET /metrics` (either text format of Prometheus), `GET /healthz` (200 while the store is up, else 503 and
//! the reason; warnings below it), `GET /livez` (200 while the process answers).

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::metrics::{TextFormat, metrics};

/// Whether the service can serve, else why not; set by the checks. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Serving(Arc<Mutex<Found>>);

/// Whether it can serve, and warnings.
type Found = (Result<(), String>, Vec<String>);

impl Default for Serving {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Err("the store was not looked at yet".to_owned()), Vec::new()))))
    }
}

impl Serving {
    /// Notes what a look has found, and what an operator should know though it does not keep anyone from being served.
    pub fn set(&self, state: Result<(), String>, warnings: &[String]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (state, warnings.to_vec());
    }

    /// Whether it can serve.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.is_ok()
    }

    fn get(&self) -> Found {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The endpoint's routes.
pub fn router(serving: Serving) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(show_health))
        .route("/livez", get(show_life))
        .with_state(serving)
}

/// Reports liveness: the process replies, whatever its store does.
pub async fn show_life() -> &'static str {
    "live\n"
}

async fn show_metrics(headers: HeaderMap) -> Response {
    let accept: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).collect();
    let format = TextFormat::accepted(&accept.join(","));
    match metrics().encode(format) {
        Ok(text) => ([(CONTENT_TYPE, format.media_type()), (VARY, "Accept")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn show_health(State(serving): State<Serving>) -> (StatusCode, String) {
    let (state, warnings) = serving.get();
    let (status, mut text) = match state {
        Ok(()) => (StatusCode::OK, "serving\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not serving: {reason}\n")),
    };
    for warning in warnings {
        text += &format!("warning: {warning}\n");
    }
    (status, text)
}
