//! Erases what is personal of an account that is closed, wherever it is kept but in issued documents: in the ledger, in the journal's part that
//! is kept, and in the billing store.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::change::{Applied, Change};
use billing::erase::{ERASED, Erased};
use billing::{Billing, BillingError};
use domain::account::Status;
use domain::command::{Action, Command, Metadata};
use domain::outcome::Refusal;
use ledger::{IdempotencyKey, Trimmer};

/// How long it waits for the aggregation, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

impl UseCases {
    /// Erases it, once for each request. Each step finds what was done before it, so that a repetition goes on where it ended.
    pub async fn erase_account(&self, context: &RequestContext, account: &str, change: &Change) -> Result<Applied, Error> {
        context.require(Permission::EraseAccounts, account)?;
        let change = &context.signed(change)?;
        let billing = self.billing(context).await?;
        self.erase_name(context, account, change).await?;
        let partition = self.ledger.partition_of(account);
        let end = self.ledger.engine().journal_span(partition).await?.next;
        wait_for(billing, partition, end).await?;
        let applied = match billing.erase_account(account, change).await? {
            Erased::Applied(applied) => applied,
            Erased::Unsettled => {
                let text = "a document of it is yet to be issued, an invoice is open, or mail is under way: settle these first";
                return Err(Error::precondition("ACCOUNT_NOT_SETTLED", format!("accounts/{account}"), text));
            }
        };
        // All of it is in the billing store by now: what the journal still has of before is kept for nobody who could not read it there.
        while self.ledger.engine().trim(partition, end, Trimmer::Reader).await? {}
        Ok(applied)
    }

    /// Takes the name off the account. Nothing can be changed of a closed one, so it is opened for that; nobody charges it meanwhile who could
    /// not have opened it.
    async fn erase_name(&self, context: &RequestContext, account: &str, change: &Change) -> Result<(), Error> {
        let command = |step: &str, action: Action| Command {
            account: account.to_owned(),
            request_id: step_id(step, &change.request_id),
            first_sent_at: None,
            currency: None,
            action,
            metadata: Metadata {
                actor: change.actor.clone(),
                on_behalf_of: change.on_behalf_of.clone(),
                reason: change.reason.clone(),
                origin: change.origin.to_string(),
                ..Metadata::default()
            },
        };
        let status = self.look_at(account).await?.account.status;
        let is_named = self.ledger.profile(account).await?.is_some_and(|profile| profile.name != ERASED);
        if status != Status::Closed && is_named {
            return Err(Error::refused(Refusal::AccountNotClosed, &command("erase", Action::Close)));
        }
        let rename = Action::Update { name: Some(ERASED.to_owned()), low_credit_threshold: None, non_usage_billing: None };
        let steps = match (status == Status::Closed, is_named) {
            (true, false) => Vec::new(),
            (false, _) => vec![command("close", Action::Close)],
            (true, true) => vec![command("open", Action::Reopen), command("name", rename), command("close", Action::Close)],
        };
        for step in steps {
            self.decide_admitted(context, step.into()).await?;
        }
        Ok(())
    }
}

/// The name of the request that a step is: as long for every request.
fn step_id(step: &str, request_id: &str) -> String {
    let IdempotencyKey(digest) = IdempotencyKey::of(step, request_id);
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("erase:{step}:{digest}")
}

/// Waits until the billing store has all entries below one.
async fn wait_for(billing: &Billing, partition: u16, end: u64) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    while billing.next_sequence(partition).await? < end {
        if Instant::now() >= deadline {
            let text = "the account has no name any more; the rest is erased when the aggregation has come so far: repeat the request";
            return Err(BillingError::unavailable(text).into());
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
