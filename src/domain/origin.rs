//! How a request came: by which protocol, by what its caller was known, from where, in which trace. An entry keeps it as one short text.

use std::fmt;

/// How a request came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// "grpc", "http", "console", or "local" for a command on the machine itself; empty if unknown.
    pub protocol: String,
    /// By what the caller was known: "key", "certificate", "token", "user", or "none" where everybody was let in; empty if unknown.
    pub authenticated_by: String,
    /// The caller's address; empty if unknown, or there is none.
    pub address: String,
    /// The id of the trace that it was part of, in hexadecimal; empty if there was none.
    pub trace_id: String,
    /// The id of the service's own span of it, in hexadecimal; empty if it was not recorded.
    pub span_id: String,
}

/// What stands where there is no address.
const NONE: &str = "-";

/// What stands between the protocol and by what the caller was known: earlier versions read both as the protocol, and write the same again.
const BY: char = '/';

impl Origin {
    /// A request over the network.
    #[must_use]
    pub fn of(protocol: &str, address: String, trace_id: Option<u128>) -> Self {
        let trace_id = trace_id.map_or_else(String::new, |id| format!("{id:032x}"));
        Self { protocol: protocol.to_owned(), address, trace_id, ..Self::default() }
    }

    /// The same, of a caller that was known by this.
    #[must_use]
    pub fn authenticated_by(self, authenticated_by: &str) -> Self {
        Self { authenticated_by: authenticated_by.to_owned(), ..self }
    }

    /// The same, recorded as this span.
    #[must_use]
    pub fn recorded_as(self, span_id: Option<u64>) -> Self {
        Self { span_id: span_id.map_or_else(String::new, |id| format!("{id:016x}")), ..self }
    }

    /// A command on the machine itself.
    #[must_use]
    pub fn local() -> Self {
        Self { protocol: "local".to_owned(), ..Self::default() }
    }

    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut parts = text.split(' ');
        let mut part = || parts.next().filter(|part| *part != NONE).unwrap_or_default().to_owned();
        let (first, address, trace_id, span_id) = (part(), part(), part(), part());
        let (protocol, authenticated_by) = first.split_once(BY).unwrap_or((&first, ""));
        Self { protocol: protocol.to_owned(), authenticated_by: authenticated_by.to_owned(), address, trace_id, span_id }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, authenticated_by, address, trace_id, span_id } = self;
        if protocol.is_empty() {
            return Ok(());
        }
        let address = if address.is_empty() { NONE } else { address };
        formatter.write_str(protocol)?;
        if !authenticated_by.is_empty() {
            write!(formatter, "{BY}{authenticated_by}")?;
        }
        write!(formatter, " {address}")?;
        for id in [trace_id, span_id].into_iter().filter(|id| !id.is_empty()) {
            write!(formatter, " {id}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_it_is_written() {
        let texts = [
            (
                Origin::of("grpc", "192.0.2.7".to_owned(), Some(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736)),
                "grpc 192.0.2.7 4bf92f3577b34da6a3ce929d0e0e4736",
            ),
            (
                Origin::of("grpc", "192.0.2.7".to_owned(), Some(1)).recorded_as(Some(0x00f0_67aa_0ba9_02b7)),
                "grpc 192.0.2.7 00000000000000000000000000000001 00f067aa0ba902b7",
            ),
            (Origin::of("http", "2001:db8::1".to_owned(), None), "http 2001:db8::1"),
            (Origin::of("http", "2001:db8::1".to_owned(), None).authenticated_by("certificate"), "http/certificate 2001:db8::1"),
            (Origin::of("grpc", String::new(), None).authenticated_by("key"), "grpc/key -"),
            (Origin::of("grpc", String::new(), Some(1)), "grpc - 00000000000000000000000000000001"),
            (Origin::local(), "local -"),
            (Origin::default(), ""),
        ];
        for (origin, text) in texts {
            assert_eq!(origin.to_string(), text);
            assert_eq!(Origin::read(text), origin);
        }
    }
}
