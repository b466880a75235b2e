//! The HTTP endpoint for machines that watch: `GET /metrics` (OpenMetrics text), `GET /healthz` (200 while the store is up, else 503).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics::metrics;

/// Whether the service can serve; set by whoever checks.
pub type IsServing = Arc<AtomicBool>;

/// Serves the endpoint. Runs until dropped.
pub async fn serve(listener: TcpListener, is_serving: IsServing) -> std::io::Result<()> {
    let router = Router::new().route("/metrics", get(show_metrics)).route("/healthz", get(show_health)).with_state(is_serving);
    axum::serve(listener, router).await
}

async fn show_metrics() -> Response {
    match metrics().encode() {
        Ok(text) => ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn show_health(State(is_serving): State<IsServing>) -> (StatusCode, &'static str) {
    if is_serving.load(Ordering::Relaxed) { (StatusCode::OK, "serving\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not serving\n") }
}
