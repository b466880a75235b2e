//! tollgate: a real-time charging service.
//!
//! The floors below are crates of their own, so that imports can point only downwards; the floors in this crate do, too, and a test
//! keeps it so.

pub mod app;
pub mod cli;
pub mod grpc;
pub mod http;

pub use ::{access, billing, delivery, domain, ledger, service};
pub use platform::{clock, config, lanes, telemetry};
