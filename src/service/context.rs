//! What is known of a request besides what it asks for: who calls, until when the caller waits, its trace, and the protocol it came by.
//!
//! Every use case takes a context first, so that access is decided in one place, whatever the protocol. A context is made once, where a
//! protocol takes a request in. It costs no allocation, and a stream keeps a clone while it lives.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use super::deadline::Deadline;
use access::Principal;
use domain::origin::Origin;

/// The context of one request.
#[derive(Debug)]
pub struct RequestContext {
    /// Who calls.
    pub caller: Arc<Principal>,
    /// Until when the caller waits, if it said so.
    pub deadline: Option<Deadline>,
    /// The trace that the caller is part of, if it said so.
    pub trace: Option<Trace>,
    /// How the request came.
    pub protocol: Protocol,
    /// Where the caller is, if that is known.
    pub address: Option<IpAddr>,
    /// How far the request has come, as [`super::deadline`] numbers it.
    pub(super) stage: AtomicU8,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// As gRPC.
    Grpc,
    /// As HTTP/JSON.
    Http,
    /// By a page of the web console.
    Console,
}

/// A place in a trace, as W3C Trace Context carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The id of the trace.
    pub trace_id: u128,
    /// The id of the caller's span.
    pub parent_id: u64,
    /// Whether the caller records the trace.
    pub is_sampled: bool,
}

impl RequestContext {
    /// The context of a request that has done nothing yet.
    #[must_use]
    pub fn new(protocol: Protocol, caller: Arc<Principal>, deadline: Option<Deadline>, trace: Option<Trace>) -> Self {
        Self { caller, deadline, trace, protocol, address: None, stage: AtomicU8::default() }
    }

    /// The same, from an address.
    #[must_use]
    pub fn from_address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
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
        Origin::of(protocol, address, self.trace.map(|trace| trace.trace_id))
    }
}

impl Clone for RequestContext {
    /// The same request, for work that has done nothing yet.
    fn clone(&self) -> Self {
        Self::new(self.protocol, Arc::clone(&self.caller), self.deadline, self.trace).from_address(self.address)
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
        is_valid.then_some(Self { trace_id, parent_id: u64::try_from(parent_id).ok()?, is_sampled: flags & 1 == 1 })
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
        let trace = Trace { trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, parent_id: 0x00f0_67aa_0ba9_02b7, is_sampled: true };
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
