//! The aggregator commits each entry exactly once, whatever is killed, stalled or cut off meanwhile; and what does not go on as it must
//! stops visibly. On a real PostgreSQL and a real Redis, with the aggregator as its own process; and on SQLite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/service.rs"]
mod service;
#[path = "../support/mod.rs"]
mod support;

mod check;
mod embedded;
mod full;
mod idle;
mod kills;
mod load;
#[path = "../support/paper.rs"]
mod paper;
mod process;
mod receivables;
mod recovery;
mod stops;

use service::seed;
use support::{temporary_folder, unique_name};
