//! Refunds and reversals. What is needed of the charge (the payment, the write-off) is mostly remembered by the ledger, which decides
//! alone. Where it asks for more, it is looked up, off the lane, and the command is sent again with it.
//!
//! Looking it up before the step is safe: it never changes. Only what was given back so far does. That is kept in the step as long as
//! a lookup might not see it yet, and what is looked up says up to which entry it is known.

use std::sync::Arc;

use super::UseCases;
use super::error::{Error, Missing};
use billing::lookup::{LookedUp, look_up};
use domain::command::{Action, Command};
use domain::outcome::{Answer, Refusal};
use domain::rules::originals_of;
use ledger::LedgerError;

/// How often a command is sent: without facts, with those of the original and its bill; and again, if the bill was cut, or sums that were
/// given back were dropped, meanwhile.
const TRIES: usize = 4;

/// Whether a command may need what only this use case finds.
pub(crate) fn is_one(action: &Action) -> bool {
    originals_of(action).is_some()
}

impl UseCases {
    /// Executes a refund or a reversal.
    pub(crate) async fn give_back(&self, mut command: Arc<Command>) -> Result<Answer, Error> {
        for _ in 0..TRIES {
            let answer = self.ledger.submit(Arc::clone(&command)).await?;
            let Err(needed @ (Refusal::OriginalNeeded | Refusal::BillNeeded)) = answer else { return Ok(answer) };
            let (ledger, billing, asked) = (self.ledger.clone(), self.billing.clone(), Command::clone(&command));
            let looked_up = self.offload.run(async move { look_up(&ledger, billing.as_ref(), asked, needed).await }).await?;
            command = match looked_up? {
                LookedUp::Completed(command) => Arc::from(command),
                LookedUp::NeverWas => return Ok(Err(Refusal::ChargeNotFound)),
                LookedUp::NoLongerKnown => return Err(Error::missing_original(Missing::NoLongerKnown, &command)),
            };
        }
        Err(LedgerError::not_done("what was looked up of an earlier charge was out of date each time").into())
    }
}
