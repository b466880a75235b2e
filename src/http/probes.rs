//! Probes: health and liveness for those who speak neither TLS nor tokens, such as a kubelet. gRPC's health, and `GET /healthz` and
//! `/livez`, on one listener. They say yes or no, and never why: that is for the metrics listener.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::grpc::Health;
use crate::telemetry::endpoint::{Serving, show_life};

/// The routes; watches of health end once the service is `stopping`.
pub fn router(health: &Health, serving: Serving, stopping: CancellationToken) -> Router {
    let http = Router::new().route("/healthz", get(show_health)).route("/livez", get(show_life)).with_state(serving);
    health.router(stopping).merge(http)
}

async fn show_health(State(serving): State<Serving>) -> (StatusCode, &'static str) {
    match serving.is_good() {
        true => (StatusCode::OK, "serving\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not serving\n"),
    }
}
