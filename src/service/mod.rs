//! The use cases: domain values in, domain values out. No protocol is known here.
