//! Executes approved acts: by the ledger, under its own request id, with the instant of its approval as that of its sending. So it is done
//! once, however often it is tried after a crash, and not at all once the ledger has forgotten the id.

use std::sync::Arc;
use std::time::Duration;

use super::super::UseCases;
use super::super::context::{Protocol, RequestContext};
use super::super::error::Error;
use access::Principal;
use billing::approvals::Approval;
use billing::{Billing, BillingError};
use domain::outcome::Refusal;
use domain::rules::MAX_SENT_AHEAD;
use domain::time::Millis;
use platform::telemetry::logs::Repeated;
use platform::telemetry::metrics::metrics;

/// How often acts are looked for that were approved and not done, and that nobody has decided on in time.
pub const SWEEP: Duration = Duration::from_secs(5);

/// For how long an act is left to who has approved it.
const LEFT_ALONE: Millis = 10_000;

static UNSWEPT: Repeated = Repeated::new();

/// Executes acts that were approved and left, as by a crash, and expires those that nobody has decided on in time. To be called again and again.
pub async fn sweep(use_cases: &UseCases) {
    if let Err(error) = use_cases.try_to_sweep().await
        && let Some(times) = UNSWEPT.times()
    {
        tracing::warn!(times, "acts that wait for approval are looked after later: {error}");
    }
}

impl UseCases {
    /// Executes what was approved, and notes the outcome. What is left open stays approved, and is tried again. Of what was left for a while,
    /// as by a crash, it is looked at once more whether who asked may do it; of what was approved just now it was.
    pub(super) async fn do_approved(&self, approval: &Approval, was_left: bool) -> Result<(), Error> {
        let nobody = RequestContext::new(Protocol::Grpc, Arc::new(Principal::nobody()), None, None);
        let billing = self.billing(&nobody).await?;
        // The ledger repeats its decision, and asks for no permission.
        let is_remembered = self.ledger.is_remembered(&approval.account, &approval.request_id).await?;
        if !is_remembered && self.was_done_before(billing, approval).await? {
            return note_forgotten(billing, approval).await;
        }
        let permitted = match was_left && !is_remembered {
            true => self.asker_may(&nobody, approval).await.map(drop),
            false => Ok(()),
        };
        let decided = match permitted {
            Ok(()) => self.decide_admitted(&nobody, Arc::new(approval.to_command()?)).await.map(drop),
            Err(error) => Err(error),
        };
        match decided {
            Ok(()) => Ok(billing.note_done(approval.id).await?),
            // A clock that differs from the ledger's is right again later.
            Err(error) if error.leaves_open() || error.reason == Refusal::SentInFuture.reason() => Err(error),
            Err(error) if error.reason != Refusal::RequestIdReused.reason() && self.was_done(billing, approval).await? => {
                note_forgotten(billing, approval).await
            }
            Err(error) => {
                billing.note_failed(approval, error.reason, self.clock().now()).await?;
                Err(error)
            }
        }
    }

    /// Whether an act that the ledger does not remember was done since it was asked for, and not by this approval: in a later state of the
    /// billing store than the one that was restored. The journal says so: what may be forgotten by now has to be taken in.
    async fn was_done_before(&self, billing: &Billing, approval: &Approval) -> Result<bool, Error> {
        let (partition, from) = (self.ledger.partition_of(&approval.account), approval.asked.at - MAX_SENT_AHEAD);
        let span = self.ledger.engine().journal_span(partition).await?;
        let forgotten_until = self.clock().now().max(span.now) - self.ledger.idempotency_window();
        if forgotten_until >= from
            && billing.next_sequence(partition).await? < span.next
            && billing.last_time(partition).await? <= forgotten_until
        {
            return Err(not_taken_in());
        }
        Ok(billing.has_entry_of(approval, from).await?)
    }

    /// Whether an act was done that the ledger does not remember. The journal says so, once all of it is taken in: until then nobody knows.
    async fn was_done(&self, billing: &Billing, approval: &Approval) -> Result<bool, Error> {
        let partition = self.ledger.partition_of(&approval.account);
        let span = self.ledger.engine().journal_span(partition).await?;
        // The clocks of two processes differ by so much at most.
        let from = approval.decided.at - MAX_SENT_AHEAD;
        if self.clock().now().max(span.now) < from + self.ledger.idempotency_window() {
            return Ok(false);
        }
        if billing.next_sequence(partition).await? < span.next {
            return Err(not_taken_in());
        }
        Ok(billing.has_entry_of(approval, from).await?)
    }

    async fn try_to_sweep(&self) -> Result<(), Error> {
        let Some(billing) = &self.billing else { return Ok(()) };
        billing.ready().await?;
        let now = self.clock().now();
        while billing.expire_approvals(now).await? {}
        while billing.forget_approvals(now).await? {}
        let (waiting, since) = billing.approvals_waiting_since(now).await?;
        metrics().approvals.set(waiting, since.map_or(0, |since| (now - since).max(0)));
        let (mut last, mut left_open) = (0, None);
        loop {
            let approved = billing.approved_before(now - LEFT_ALONE, last).await?;
            for approval in &approved {
                match self.do_approved(approval, true).await {
                    // One that is held up, as by a partition that is away, holds up no other.
                    Err(error) if error.leaves_open() => left_open = Some(error),
                    // What was refused is noted.
                    _ => tracing::info!(approval = approval.id, "resumed an approved act that was interrupted"),
                }
            }
            match approved.last() {
                Some(approval) => last = approval.id,
                None => return left_open.map_or(Ok(()), Err),
            }
        }
    }
}

async fn note_forgotten(billing: &Billing, approval: &Approval) -> Result<(), Error> {
    tracing::info!(approval = approval.id, "an act was done before, and then forgotten");
    Ok(billing.note_done(approval.id).await?)
}

fn not_taken_in() -> Error {
    BillingError::unavailable("an act may have been done by an entry of the journal that is not taken in yet").into()
}
