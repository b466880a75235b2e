//! The context of a request: who calls, until when the caller waits, its trace, and the protocol it came by.
//!
//! Every use case takes a context first, so that access is decided in one place, whatever the protocol. A context is made once, where a
//! protocol takes a request in. It costs no allocation, and a stream keeps a clone while it lives.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use super::deadline::Deadline;
use access::{Kind, Principal};
use domain::origin::Origin;
use domain::time::UnixMillis;

/// The context of one request.
#[derive(Debug)]
pub struct RequestContext {
    pub caller: Arc<Principal>,
    /// Until when the caller waits, if it said so.
    pub deadline: Option<Deadline>,
    /// The trace that the caller is part of, if it said so.
    pub trace: Option<Trace>,
    /// How the request came.
    pub protocol: Protocol,
    /// Where the caller is, if that is known.
    pub address: Option<IpAddr>,
    /// Whether the caller is on this machine itself, and no proxy stands between.
    pub is_local: bool,
    /// From when on the client certificate of its connection no longer holds, if there is one: in milliseconds since the Unix epoch.
    pub certificate_ends: Option<UnixMillis>,
    /// How far the request has come, as [`super::deadline`] numbers it.
    pub(super) stage: AtomicU8,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    /// As HTTP/JSON.
    Http,
    /// By a page of the web console.
    Console,
}

/// A place in a trace, as W3C Trace Context carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    pub trace_id: u128,
    /// The id of the caller's span.
    pub parent_id: u64,
    /// Whether the caller records the trace.
    pub is_sampled: bool,
    /// The id of this service's own span of the request, if it records one.
    pub span_id: Option<u64>,
}

impl RequestContext {
    /// The context of a request that has done nothing yet.
    #[must_use]
    pub fn new(protocol: Protocol, caller: Arc<Principal>, deadline: Option<Deadline>, trace: Option<Trace>) -> Self {
        Self { caller, deadline, trace, protocol, address: None, is_local: false, certificate_ends: None, stage: AtomicU8::default() }
    }

    /// The same, from an address.
    #[must_use]
    pub fn from_address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// The same, from this machine itself, or not.
    #[must_use]
    pub fn from_this_machine(self, is_local: bool) -> Self {
        Self { is_local, ..self }
    }

    /// The same, over a connection whose client certificate holds until then.
    #[must_use]
    pub fn certified_until(self, certificate_ends: Option<UnixMillis>) -> Self {
        Self { certificate_ends, ..self }
    }

    /// From when on its caller is no longer let in by what it has presented.
    #[must_use]
    pub fn ends(&self) -> Option<UnixMillis> {
        let of_certificate = self.certificate_ends.filter(|_| self.caller.kind == Kind::Certificate);
        [self.caller.ends, of_certificate].into_iter().flatten().min()
    }

    /// How it came, as it is recorded.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let protocol = match self.protocol {
            Protocol::Grpc => "grpc",
            Protocol::Http => "http",
            Protocol::Console => "console",
        };
        // An IPv4 peer of a socket for both is one of IPv4.
        let address = self.address.map_or_else(String::new, |address| address.to_canonical().to_string());
        let origin = Origin::of(protocol, address, self.trace.map(|trace| trace.trace_id)).authenticated_by(self.caller.authenticated_by());
        origin.recorded_as(self.trace.and_then(|trace| trace.span_id))
    }

    /// Whether this service records a span of it.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.trace.is_some_and(|trace| trace.span_id.is_some())
    }
}

impl Clone for RequestContext {
    /// The same request, for work that has done nothing yet.
    fn clone(&self) -> Self {
        let context = Self::new(self.protocol, Arc::clone(&self.caller), self.deadline, self.trace);
        context.from_address(self.address).from_this_machine(self.is_local).certified_until(self.certificate_ends)
    }
}

impl Trace {
    /// Parses a `traceparent` header; `None` if it is not valid, which W3C Trace Context wants ignored.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace_id) = (hexadecimal(parts.next()?, 2)?, hexadecimal(parts.next()?, 32)?);
        let (parent_id, flags) = (hexadecimal(parts.next()?, 16)?, hexadecimal(parts.next()?, 2)?);
        // Later versions may append parts.
        let is_valid = version != 0xff && trace_id != 0 && parent_id != 0 && (version != 0 || parts.next().is_none());
        is_valid.then_some(Self { trace_id, parent_id: u64::try_from(parent_id).ok()?, is_sampled: flags & 1 == 1, span_id: None })
    }

    /// A trace of which this service records a span; the caller may be part of it.
    #[must_use]
    pub fn recorded(trace_id: u128, span_id: u64, of_caller: Option<Self>) -> Self {
        Self { trace_id, parent_id: of_caller.map_or(span_id, |trace| trace.parent_id), is_sampled: true, span_id: Some(span_id) }
    }
}

fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_lower = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    u128::from_str_radix(text, 16).ok().filter(|_| is_lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_or_ignored() {
        let trace = Trace {
            trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            parent_id: 0x00f0_67aa_0ba9_02b7,
            is_sampled: true,
            span_id: None,
        };
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(Trace::parse(valid), Some(trace));
        assert_eq!(Trace::parse(&valid.replace("-01", "-00")), Some(Trace { is_sampled: false, ..trace }));
        assert_eq!(Trace::parse(&format!("{}-more", valid.replacen("00", "01", 1))), Some(trace));
        for wrong in [
            String::new(),
            valid.to_uppercase(),
            format!("{valid}-more"),
            valid.replacen("00", "ff", 1),
            valid.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            valid.replace("00f067aa0ba902b7", &"0".repeat(16)),
            valid.replace("4bf9", "+bf9"),
        ] {
            assert_eq!(Trace::parse(&wrong), None, "{wrong}");
        }
    }
}
