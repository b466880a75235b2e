//! tollgate: a real-time charging service.
//!
//! Imports point only downwards in this list; a test keeps it so.

pub mod clock;
pub mod domain;
pub mod grpc;
pub mod ledger;
pub mod telemetry;
