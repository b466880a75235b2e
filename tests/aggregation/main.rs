//! The aggregator commits each entry exactly once, whatever is killed, stalled or cut off meanwhile; and what does not go on as it must
//! stops visibly. On a real PostgreSQL and a real Redis, with the aggregator as its own process; and on SQLite.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/mod.rs"]
mod support;

mod check;
mod idle;
mod kills;
mod load;
mod process;
mod stops;

// The folders of the tests' servers are made by the shared support.
use support::{temporary_folder, unique_name};

/// A seed for a test's random choices: printed, and taken from TOLLGATE_TEST_SEED if that is set.
fn seed() -> u64 {
    let given = std::env::var_os("TOLLGATE_TEST_SEED").map(|text| text.to_str().unwrap().parse().unwrap());
    let seed = given.unwrap_or_else(rand::random);
    println!("TOLLGATE_TEST_SEED={seed}");
    seed
}
