//! The context of a request, made here for gRPC and for HTTP, which passes its requests on as calls of gRPC.

use std::sync::Arc;

use http::{Extensions, HeaderMap};
use tonic::Request;

use super::access::nobody;
use crate::lanes::socket::Peer;
use crate::service::context::{Protocol, RequestContext, Trace};
use crate::service::deadline::Deadline;
use access::Principal;
use platform::rpc::timeout;
use platform::telemetry::traces::SpanReference;
use platform::tls::Certificate;

/// The context of a call.
#[must_use]
pub fn of<T>(request: &Request<T>) -> RequestContext {
    of_parts(request.metadata().as_ref(), request.extensions())
}

/// The context of a call that was not taken in by its method yet. What has not passed the access layer comes from nobody. HTTP marks its calls by an extension, which no peer can send.
#[must_use]
pub fn of_parts(headers: &HeaderMap, extensions: &Extensions) -> RequestContext {
    if let Some(context) = extensions.get::<RequestContext>() {
        return context.clone();
    }
    let protocol = extensions.get::<Protocol>().copied().unwrap_or(Protocol::Grpc);
    let text = |name| headers.get(name)?.to_str().ok();
    let deadline = timeout::of(headers).and_then(Deadline::after);
    let caller = extensions.get::<Arc<Principal>>().cloned().unwrap_or_else(nobody);
    let peer = extensions.get::<Peer>();
    let certificate_ends = peer.and_then(|peer| peer.certificate.as_deref()).map(Certificate::ends);
    let of_caller = text("traceparent").and_then(Trace::parse);
    let trace = match extensions.get::<SpanReference>() {
        Some(SpanReference { trace_id, span_id }) => Some(Trace::recorded(*trace_id, *span_id, of_caller)),
        None => of_caller,
    };
    let context = RequestContext::new(protocol, caller, deadline, trace);
    let context = context.from_address(peer.map(|peer| peer.address.ip())).certified_until(certificate_ends);
    context.from_this_machine(peer.is_some_and(|peer| peer.is_local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_brings_its_deadline_its_trace_and_its_protocol() {
        let mut request = Request::new(());
        let plain = of(&request);
        assert_eq!((plain.protocol, plain.deadline, plain.trace), (Protocol::Grpc, None, None));
        request.metadata_mut().insert("grpc-timeout", "99999999H".parse().unwrap());
        request.metadata_mut().insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap());
        request.extensions_mut().insert(Protocol::Http);
        let full = of(&request);
        assert_eq!((full.protocol, full.trace.unwrap().parent_id), (Protocol::Http, 0x00f0_67aa_0ba9_02b7));
        assert!(full.deadline.is_some());
        request.extensions_mut().insert(full.clone());
        assert_eq!(of(&request).deadline, full.deadline, "it was made before");
    }
}
