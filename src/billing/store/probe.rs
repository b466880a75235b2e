//! Checks whether the billing store is available, for the metrics, whatever else this process does with it.

use std::time::{Duration, Instant};

use sqlx::Executor;
use tokio::time::{sleep, timeout};

use super::Store;
use platform::telemetry::metrics;

/// How often it is looked at, and how long it may take to answer.
const LOOK: Duration = Duration::from_secs(2);

impl Store {
    /// Asks the smallest question again and again, and tells the metrics what came. Runs until dropped.
    pub async fn probe(&self) {
        loop {
            let asked = Instant::now();
            let answer = timeout(LOOK, self.pool.execute("SELECT 1")).await;
            let is_up = matches!(answer, Ok(Ok(_)));
            if is_up {
                let (all, idle) = (self.pool.size() as usize, self.pool.num_idle());
                metrics().aggregation.store_answered(asked.elapsed(), all.saturating_sub(idle), idle);
            }
            metrics().aggregation.set_store_up(is_up);
            sleep(LOOK.saturating_sub(asked.elapsed())).await;
        }
    }
}
