//! The caller's deadline: an answer comes before it, even if it is only that the outcome is unknown.
//!
//! What was known when the time ran out is what the caller hears: a command that was not sent was not done. What only adds to a decision
//! gets what the caller has left, at most its own patience, and is left out otherwise.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::status;

/// Which part of the caller's time an answer may take, and what adds to a decision.
const ANSWER: f64 = 0.9;
const ADDITION: f64 = 0.8;

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It has done nothing but look.
    #[default]
    Looking,
    /// It waits for the billing store, and has done nothing.
    AskingBilling,
    /// Its command was sent.
    Sent,
}

/// A call under way.
struct Call {
    stage: Cell<Stage>,
    /// Until when something may be added to its decision; None: it has no deadline.
    additions_until: Option<Instant>,
}

tokio::task_local! {
    static CALL: Call;
}

/// Says how far the call has come that this is part of, if it is part of one.
pub fn reached(stage: Stage) {
    let _ = CALL.try_with(|call| call.stage.set(stage));
}

/// How much time the caller gave, if it gave any.
#[must_use]
pub fn given(metadata: &MetadataMap) -> Option<Duration> {
    parse(metadata.get("grpc-timeout")?.to_str().ok()?)
}

/// Waits for an answer for nine tenths of the time that the caller gave.
pub async fn within<T>(given: Option<Duration>, answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let now = Instant::now();
    let additions_until = given.and_then(|given| now.checked_add(given.mul_f64(ADDITION)));
    let call = Call { stage: Cell::default(), additions_until };
    let answer = CALL.scope(call, async {
        let Some(given) = given else { return answer.await };
        let answered = timeout(given.mul_f64(ANSWER), answer).await;
        answered.unwrap_or_else(|_| Err(status::out_of_time(CALL.with(|call| call.stage.get()))))
    });
    answer.await
}

/// What adds to a decision, if it comes in time.
pub async fn addition<T>(patience: Duration, work: impl Future<Output = T>) -> Option<T> {
    let until = Instant::now() + patience;
    let caller_waits_until = CALL.try_with(|call| call.additions_until).ok().flatten();
    timeout_at(caller_waits_until.map_or(until, |at| at.min(until)), work).await.ok()
}

/// One to eight digits and a unit, as gRPC over HTTP/2 has it.
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count * 3600)),
        'M' => Some(Duration::from_secs(count * 60)),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_runs_out_of_time_hears_what_is_known() {
        let given = Some(Duration::from_millis(20));
        for (stage, reason) in
            [(Stage::Looking, "STORE_UNAVAILABLE"), (Stage::AskingBilling, "BILLING_UNAVAILABLE"), (Stage::Sent, "OUTCOME_UNKNOWN")]
        {
            let call = async {
                reached(stage);
                std::future::pending::<Result<(), Status>>().await
            };
            let error = within(given, call).await.unwrap_err();
            assert_eq!(tonic_types::StatusExt::get_details_error_info(&error).unwrap().reason, reason);
        }
    }

    #[tokio::test]
    async fn what_adds_to_a_decision_never_costs_the_answer() {
        let forever = std::future::pending::<()>;
        let decided = within(Some(Duration::from_millis(50)), async { Ok(addition(Duration::from_secs(1), forever()).await) });
        assert_eq!(decided.await.unwrap(), None);
        let without_deadline = within(None, async { Ok(addition(Duration::from_millis(20), forever()).await) });
        assert_eq!(without_deadline.await.unwrap(), None);
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for text in ["", "m", "1", "1x", "-1m", "123456789m", "1é", "é"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
