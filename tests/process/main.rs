//! What the running binary does, seen from outside: by gRPC, by its commands, and in its stores.
//!
//! `TOLLGATE_BINARY` names another binary to test, for instance one of an earlier commit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/burst.rs"]
mod burst;
#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../support/command.rs"]
mod command;
#[path = "../support/paper.rs"]
mod paper_support;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/sentence.rs"]
mod sentence;
#[path = "../support/sentinel.rs"]
mod sentinel;
#[path = "../support/service.rs"]
mod service;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/table.rs"]
mod table;

mod access;
mod aggregation;
mod audit;
mod billing_service;
mod books;
mod browser;
mod callers;
pub mod clients;
mod clustered;
mod commands;
mod config;
mod console;
mod crash;
mod drills;
mod embedded;
mod exports;
mod formats;
mod fuzz;
mod gap;
mod http;
mod identity;
mod isolation;
mod issuing;
mod listing;
mod money;
mod on_paper;
mod operated;
mod operators;
mod paper;
mod payments;
mod probes;
mod proxied;
mod refunds;
mod renderings;
mod retention;
mod same_errors;
mod schemathesis;
mod search;
mod sending;
mod snapshots;
mod starting;
mod step;
mod stores_over_tls;
mod tables;
mod tls;
mod twelve;
mod window;
mod wire;

use service::seed;
use support::{temporary_folder, unique_name};
