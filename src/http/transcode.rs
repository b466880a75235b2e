//! A request of HTTP as a call of gRPC: JSON in, the message to the service, its answer as JSON; a stream as lines or as events; a file
//! as itself.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, Value};
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::problem::Problem;
use super::{Api, MAX_BODY_BYTES, Services, json};
use crate::grpc::dynamic::{Dynamic, path, to_json};
use crate::lanes::socket::Peer;
use crate::service::context::Protocol;
use access::Principal;

/// Headers that go on to the service: the caller's deadline, in gRPC's notation, and its trace.
const PASSED_ON: [&str; 3] = ["grpc-timeout", "traceparent", "tracestate"];

/// The fields by which a stream of answers is known to be a file in parts.
const FILE_FIELDS: [&str; 3] = ["content_type", "file_name", "content"];

/// Serves a call.
pub async fn call(
    State(api): State<Api>,
    Path((service, method)): Path<(String, String)>,
    peer: Option<Extension<Peer>>,
    caller: Option<Extension<Arc<Principal>>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(method) = api.methods.find(&service, &method).cloned() else {
        return Problem::not_found("there is no such method: /openapi.json lists those that there are").into_response();
    };
    let request = match read(&method, &body) {
        Ok(message) => with_metadata(message, &headers, peer, caller),
        Err(problem) => return problem.into_response(),
    };
    let answered = match (method.is_server_streaming(), is_file(&method.output())) {
        (false, _) => unary(api.services, &method, request).await,
        (true, true) => file(api.services, &method, request).await,
        (true, false) => messages(api.services, &method, request, wants_events(&headers)).await,
    };
    answered.unwrap_or_else(|status| Problem::of(&status).into_response())
}

fn read(method: &MethodDescriptor, body: &Result<Bytes, BytesRejection>) -> Result<DynamicMessage, Problem> {
    let body = body.as_ref().map_err(|rejected| match rejected.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(MAX_BODY_BYTES),
        _ => Problem::malformed("the body could not be read to its end"),
    })?;
    let malformed = |error: serde_json::Error| Problem::malformed(&format!("the body is not a {} in JSON: {error}", method.input().name()));
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let message = DynamicMessage::deserialize(method.input(), &mut deserializer).map_err(malformed)?;
    deserializer.end().map_err(malformed)?;
    Ok(message)
}

fn with_metadata(
    message: DynamicMessage,
    headers: &HeaderMap,
    peer: Option<Extension<Peer>>,
    caller: Option<Extension<Arc<Principal>>>,
) -> Request<DynamicMessage> {
    let passed_on = PASSED_ON.iter().filter_map(|name| Some((HeaderName::from_static(name), headers.get(*name)?.clone())));
    let mut request = Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(passed_on.collect());
    request.extensions_mut().insert(Protocol::Http);
    if let Some(Extension(peer)) = peer {
        request.extensions_mut().insert(peer);
    }
    if let Some(Extension(caller)) = caller {
        request.extensions_mut().insert(caller);
    }
    request
}

async fn unary(services: Services, method: &MethodDescriptor, request: Request<DynamicMessage>) -> Result<Response, Status> {
    let mut grpc = ready(services).await?;
    let answer = grpc.unary(request, path(method)?, Dynamic(method.output())).await?;
    Ok(json("application/json", &to_json(answer.get_ref())?))
}

async fn streamed(
    services: Services,
    method: &MethodDescriptor,
    request: Request<DynamicMessage>,
) -> Result<impl Stream<Item = Result<DynamicMessage, Status>> + Send + use<>, Status> {
    let mut grpc = ready(services).await?;
    Ok(grpc.server_streaming(request, path(method)?, Dynamic(method.output())).await?.into_inner())
}

/// A stream of answers: a line of JSON for each, or a server-sent event. An error in its midst is its last line, or event.
async fn messages(
    services: Services,
    method: &MethodDescriptor,
    request: Request<DynamicMessage>,
    as_events: bool,
) -> Result<Response, Status> {
    let answers = streamed(services, method, request).await?;
    let parts = answers.map(move |answer| {
        let (event, value) = match answer.and_then(|message| to_json(&message)) {
            Ok(value) => ("message", value),
            Err(status) => ("error", serde_json::json!({ "error": Problem::of(&status).into_body() })),
        };
        Ok::<_, Infallible>(if as_events { format!("event: {event}\ndata: {value}\n\n") } else { format!("{value}\n") })
    });
    let media_type = if as_events { "text/event-stream" } else { "application/x-ndjson" };
    let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// A file in parts, as the file. One that ends early ends the connection without its last chunk.
async fn file(services: Services, method: &MethodDescriptor, request: Request<DynamicMessage>) -> Result<Response, Status> {
    let mut parts = Box::pin(streamed(services, method, request).await?);
    let first = parts.next().await.unwrap_or_else(|| Err(Status::internal("the file has no parts")))?;
    let (media_type, name) = (text(&first, "content_type"), text(&first, "file_name"));
    let body = Body::from_stream(stream::iter([Ok(first)]).chain(parts).map(|part| part.map(|part| content(&part))));
    let mut response = body.into_response();
    let disposition = format!("attachment; filename=\"{}\"", name.replace(['"', '\\'], "_"));
    for (header, value) in [(CONTENT_TYPE, media_type), (CONTENT_DISPOSITION, disposition)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(header, value);
        }
    }
    Ok(response)
}

/// Whether a stream of such answers is a file in parts.
#[must_use]
pub fn is_file(output: &MessageDescriptor) -> bool {
    FILE_FIELDS.iter().all(|name| output.get_field_by_name(name).is_some())
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn content(message: &DynamicMessage) -> Bytes {
    match message.get_field_by_name("content").as_deref() {
        Some(Value::Bytes(bytes)) => bytes.clone(),
        _ => Bytes::new(),
    }
}

fn wants_events(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/event-stream"))
}

async fn ready(services: Services) -> Result<Grpc<Services>, Status> {
    let mut grpc = Grpc::new(services).max_decoding_message_size(usize::MAX);
    grpc.ready().await.unwrap_or_else(|never| match never {});
    Ok(grpc)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tonic::body::Body;
    use tower::Layer;
    use tower::util::BoxCloneSyncService;

    use super::super::methods::Methods;
    use super::*;
    use crate::grpc::context;
    use platform::rpc::RpcLayer;

    #[tokio::test]
    async fn a_service_sees_that_a_call_came_over_http_and_its_deadline_and_trace() {
        let seen = Arc::new(Mutex::new(None));
        let seeing = Arc::clone(&seen);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            *seeing.lock().unwrap() = Some(context::of_parts(request.headers(), request.extensions()));
            async { Ok::<_, Infallible>(Status::aborted("seen").into_http::<Body>()) }
        });
        let methods = Methods::load();
        let method = methods.find("charging", "debit").unwrap();
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = [("grpc-timeout", "5S"), ("traceparent", trace)];
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let request = with_metadata(DynamicMessage::new(method.input()), &headers.into_iter().collect(), None, None);
        let called = unary(BoxCloneSyncService::new(RpcLayer::default().layer(service)), method, request).await;
        assert_eq!(called.unwrap_err().code(), tonic::Code::Aborted);
        let seen = seen.lock().unwrap().take().unwrap();
        assert_eq!((seen.protocol, seen.trace.unwrap().parent_id), (Protocol::Http, 0x00f0_67aa_0ba9_02b7));
        assert!(seen.deadline.is_some());
    }
}
