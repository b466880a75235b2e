//! tollgate: a real-time charging service.
//!
//! Imports point only downwards in this list; a test keeps it so.

pub mod app;
pub mod billing;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod http;
pub mod lanes;
pub mod ledger;
pub mod service;
pub mod telemetry;
