//! Everything that is tested within one process: the rules on every engine, the services on stores of their own, paper, and the house itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "../support/burst.rs"]
mod burst;
#[path = "../support/own_time.rs"]
mod own_time;
#[path = "../support/paper.rs"]
mod paper;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/sentence.rs"]
mod sentence;
#[path = "../support/stand_in.rs"]
mod stand_in;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/table.rs"]
mod table;

mod batch_charge;
mod batches;
mod bench_books;
mod billing_months;
mod circles;
mod engines;
mod fast_debit;
mod forms;
mod grpc_service;
mod grpc_store_failures;
mod held_up;
mod house;
mod neighbours;
mod overload;
mod redis_store;
mod restorations;
mod schedules;

use support::{temporary_folder, unique_name};
