//! What was approved is done: by the ledger, under its own request id, with the instant of its approval as that of its sending. So it is done
//! once, however often it is tried after a crash, and not at all once the ledger has forgotten the id.

use std::sync::Arc;
use std::time::Duration;

use super::super::UseCases;
use super::super::context::{Protocol, RequestContext};
use super::super::error::Error;
use access::Principal;
use billing::approvals::Approval;
use domain::account::Millis;
use domain::outcome::Refusal;
use platform::telemetry::logs::Repeated;

/// How often acts are looked for that were approved and not done, and that nobody has decided on in time.
pub const SWEEP: Duration = Duration::from_secs(5);

/// For how long an act is left to who has approved it.
const LEFT_ALONE: Millis = 10_000;

static UNSWEPT: Repeated = Repeated::new();

/// Does what was approved and left, as by a crash, and ends what nobody has decided on in time. To be called again and again.
pub async fn sweep(use_cases: &UseCases) {
    if let Err(error) = use_cases.try_to_sweep().await
        && let Some(times) = UNSWEPT.times()
    {
        tracing::warn!(times, "acts that wait for approval are looked after later: {error}");
    }
}

impl UseCases {
    /// Does what was approved, and notes what came of it. What is left open stays approved, and is tried again.
    pub(super) async fn do_approved(&self, approval: &Approval) -> Result<(), Error> {
        let context = RequestContext::new(Protocol::Grpc, Arc::new(Principal::nobody()), None, None);
        let billing = self.billing(&context).await?;
        let is_done = self.ledger.is_remembered(&approval.account, &approval.request_id).await?;
        let asker = match is_done {
            // The ledger repeats its decision, and asks for no permission.
            true => Ok(context),
            false => self.asker_may(&context, approval).await,
        };
        let decided = match asker {
            Ok(asker) => self.decide_admitted(&asker, Arc::new(approval.to_command()?)).await.map(drop),
            Err(error) => Err(error),
        };
        match decided {
            Ok(()) => Ok(billing.note_done(approval.id).await?),
            Err(error) if error.leaves_open() => Err(error),
            // It was to be done so long ago that the ledger has forgotten whether it was.
            Err(error)
                if error.reason == Refusal::RequestTooOld.reason()
                    && billing.has_entry_of(&approval.account, &approval.request_id).await? =>
            {
                Ok(billing.note_done(approval.id).await?)
            }
            Err(error) => {
                billing.note_failed(approval, error.reason, self.clock().now()).await?;
                Err(error)
            }
        }
    }

    async fn try_to_sweep(&self) -> Result<(), Error> {
        let Some(billing) = &self.billing else { return Ok(()) };
        billing.ready().await?;
        let now = self.clock().now();
        while billing.expire_approvals(now).await? {}
        for approval in billing.approved_before(now - LEFT_ALONE).await? {
            match self.do_approved(&approval).await {
                Err(error) if error.leaves_open() => return Err(error),
                // What was refused is noted.
                _ => tracing::info!(approval = approval.id, "an act that was approved and left was gone on with"),
            }
        }
        Ok(())
    }
}
