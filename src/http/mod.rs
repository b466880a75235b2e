//! HTTP/JSON: each RPC of the charging, account, billing and audit services as `POST /v1/…`, by the canonical JSON mapping of proto3.
//!
//! Nothing is decided here, and no method is named: [`methods`] takes them from the descriptors, [`transcode`] turns JSON into the
//! message and hands it to the same services that gRPC calls, [`problem`] renders their errors, [`openapi`] describes all of it.
//! [`guard`] refuses what a page in somebody's browser could send, [`access`] unknown callers. [`serve`] runs it. [`probes`] are for those who
//! only ask whether the process is well.

pub mod access;
pub mod guard;
pub mod methods;
pub mod openapi;
pub mod probes;
pub mod problem;
pub mod serve;
pub mod transcode;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use tonic::body::Body;
use tower::Service;
use tower::util::BoxCloneSyncService;

use crate::grpc::AccessLayer;
use guard::Guard;
use methods::Methods;
use platform::rpc::RpcBody;
use problem::Problem;

/// The gRPC services, as this protocol calls them.
pub type Services = BoxCloneSyncService<http::Request<Body>, http::Response<RpcBody>, Infallible>;

/// The largest body of a request, as of a gRPC message.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// Where the API is described.
const OPENAPI: &str = "/openapi.json";

/// The state that the routes share.
#[derive(Clone)]
pub struct Api {
    services: Services,
    methods: Arc<Methods>,
    openapi: Arc<str>,
    access: AccessLayer,
}

/// The routes, in front of the gRPC services, at an address, and by a URL if they are called by another.
pub fn router<S>(services: S, access: AccessLayer, address: SocketAddr, url: Option<&str>) -> anyhow::Result<Router>
where
    S: Service<http::Request<Body>, Response = http::Response<RpcBody>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    let methods = Arc::new(Methods::load());
    let openapi = serde_json::to_string(&openapi::document(&methods))?.into();
    let api = Api { services: BoxCloneSyncService::new(services), methods, openapi, access };
    Ok(Router::new()
        .route("/v1/{service}/{method}", post(transcode::call))
        .route(OPENAPI, get(show_openapi))
        .fallback(async || Problem::not_found("there is no such path: /openapi.json lists those that there are"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(api.clone(), access::check))
        .layer(middleware::from_fn_with_state(Guard::new(address, url), guard::check))
        .with_state(api))
}

async fn show_openapi(State(api): State<Api>) -> Response {
    ([(CONTENT_TYPE, "application/json")], api.openapi.to_string()).into_response()
}

/// A value as a JSON body of a media type.
fn json(media_type: &'static str, value: &serde_json::Value) -> Response {
    let mut response = Json(value).into_response();
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    response
}
