//! An answer comes within the caller's deadline, even if it is only that the outcome is unknown.
//!
//! The caller gets what was known when the time ran out: a command that was not sent was not done. What only adds to a decision
//! gets what the caller has left, at most its own patience, and is left out otherwise.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::context::RequestContext;
use super::deadline::Stage;
use super::error::Error;
use billing::BillingError;
use ledger::LedgerError;
use platform::telemetry::metrics;

/// Which part of the caller's time an answer may take, and what adds to a decision.
const ANSWER: f64 = 0.9;
const ADDITION: f64 = 0.8;

/// How many times as long as a wait for the store is expected to be there must be time for: it is an estimate, and the answer waits for the
/// thread, too.
const TIMES_AS_LONG: u32 = 3;

impl RequestContext {
    /// Notes how far the request has come.
    pub(super) fn reached(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Refuses what would wait for so long that its answer would hardly come in time: where too much waits, what is begun is then finished, and
    /// the rest is told at once. Without a deadline, what counts is how much waits.
    pub(super) fn ensure_time_for(&self, expected_wait: impl FnOnce() -> Duration) -> Result<(), Error> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        let left = deadline.after_part(ANSWER).saturating_duration_since(Instant::now());
        if expected_wait().saturating_mul(TIMES_AS_LONG) <= left {
            return Ok(());
        }
        metrics().callers.count_overload("wait");
        Err(LedgerError::Busy.into())
    }

    /// Waits for an answer for nine tenths of the time that the caller gave.
    pub(super) async fn within_deadline<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(deadline) = self.deadline else { return answer.await };
        timeout_at(deadline.after_part(ANSWER), answer).await.unwrap_or_else(|_| Err(self.out_of_time()))
    }

    /// Returns what adds to a decision, if it comes in time.
    pub(super) async fn addition<T>(&self, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let until = Instant::now() + patience;
        let caller_waits_until = self.deadline.map(|deadline| deadline.after_part(ADDITION));
        timeout_at(caller_waits_until.map_or(until, |at| at.min(until)), work).await.ok()
    }

    fn out_of_time(&self) -> Error {
        const WHY: &str = "there was no answer within the caller's deadline";
        match Stage::numbered(self.stage.load(Ordering::Relaxed)) {
            Stage::Looking => LedgerError::not_done(WHY).into(),
            Stage::AskingBilling => BillingError::unavailable(WHY).into(),
            Stage::Sent => LedgerError::unknown(WHY).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use access::Principal;

    use super::*;
    use crate::context::Protocol;
    use crate::deadline::Deadline;

    fn context(millis: Option<u64>) -> RequestContext {
        let deadline = millis.map(Duration::from_millis).and_then(Deadline::after);
        RequestContext::new(Protocol::Grpc, Principal::local().into(), deadline, None)
    }

    #[tokio::test]
    async fn who_runs_out_of_time_is_told_what_is_known() {
        for (stage, reason) in
            [(Stage::Looking, "STORE_UNAVAILABLE"), (Stage::AskingBilling, "BILLING_UNAVAILABLE"), (Stage::Sent, "OUTCOME_UNKNOWN")]
        {
            let context = context(Some(20));
            let call = async {
                context.reached(stage);
                std::future::pending::<Result<(), Error>>().await
            };
            assert_eq!(context.within_deadline(call).await.unwrap_err().reason, reason);
        }
    }

    #[tokio::test]
    async fn what_could_not_be_answered_in_time_is_refused_before_it_is_begun() {
        let seconds = |count| move || Duration::from_secs(count);
        assert!(context(None).ensure_time_for(seconds(1_000_000)).is_ok());
        let patient = context(Some(100_000));
        assert!(patient.ensure_time_for(seconds(29)).is_ok());
        let refused = patient.ensure_time_for(seconds(31)).unwrap_err();
        assert_eq!((refused.reason, refused.retry_after.is_some()), ("OVERLOADED", true));
    }

    #[tokio::test]
    async fn what_adds_to_a_decision_never_costs_the_answer() {
        let forever = std::future::pending::<()>;
        let context = context(Some(50));
        let decided = context.within_deadline(async { Ok(context.addition(Duration::from_secs(1), forever()).await) });
        assert_eq!(decided.await.unwrap(), None);
    }

    #[tokio::test]
    async fn without_a_deadline_patience_is_what_counts() {
        let context = context(None);
        let decided =
            context.within_deadline(async { Ok(context.addition(Duration::from_millis(20), std::future::pending::<()>()).await) });
        assert_eq!(decided.await.unwrap(), None);
    }
}
