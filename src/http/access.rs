//! Finds who calls, and whether it may, before the body of a request is read.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{Api, OPENAPI};
use crate::grpc::access::Refusal;
use crate::grpc::{AccessLayer, dynamic, status};
use crate::lanes::socket::Peer;
use access::Permission;

/// Lets a request through with the caller beside it, or refuses it.
pub async fn check(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    if let Err(refusal) = enter(&api, &mut request) {
        return Problem::of(&status::of(refusal.when_due().await)).into_response();
    }
    next.run(request).await
}

/// The same of metrics, which need a permission of their own; health needs none.
pub async fn check_metrics(State(access): State<AccessLayer>, request: Request, next: Next) -> Response {
    if request.uri().path() == "/metrics" {
        let peer = request.extensions().get::<Peer>();
        if let Err(refusal) = access.enter_for(Permission::ReadAggregation, request.headers(), peer) {
            return Problem::of(&status::of(refusal.when_due().await)).into_response();
        }
    }
    next.run(request).await
}

fn enter(api: &Api, request: &mut Request) -> Result<(), Refusal> {
    let (headers, peer) = (request.headers(), request.extensions().get::<Peer>());
    let caller = match api.methods.of_path(request.uri().path()).and_then(|method| dynamic::path(method).ok()) {
        Some(path) => api.access.enter(path.path(), headers, peer)?,
        None if request.uri().path() == OPENAPI => api.access.enter_for(Permission::Reflect, headers, peer)?,
        None => api.access.authenticate(headers, peer)?,
    };
    request.extensions_mut().insert(caller);
    Ok(())
}
