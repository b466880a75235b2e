//! The foundation of the process: clock, configuration, worker threads, telemetry, TLS.

pub mod clock;
pub mod config;
pub mod durability;
pub mod files;
pub mod lanes;
pub mod network;
pub mod redis_place;
pub mod rpc;
pub mod telemetry;
pub mod tls;
