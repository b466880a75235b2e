//! Erases what is personal of an account that is closed, wherever it is kept but in issued documents: in the ledger, in the journal's part that
//! is kept, and in the billing store.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::change::{Applied, Change};
use billing::erase::Erased;
use billing::{Billing, BillingError};
use domain::account::Status;
use domain::command::{Action, Command, Metadata};
use domain::ids::{AccountId, RequestId};
use domain::outcome::Refusal;
use ledger::{IdempotencyKey, Trimmer};

/// How long it waits for the aggregation, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// How many entries of the journal are dropped in one step.
const DROPPED_AT_ONCE: u64 = 10_000;

impl UseCases {
    /// Erases it, once for each request. Each step finds what was done before it, so that a repetition goes on where it ended.
    pub async fn erase_account(&self, context: &RequestContext, account: &AccountId, change: &Change) -> Result<Applied, Error> {
        context.require(Permission::EraseAccounts, account)?;
        let change = &context.signed(change)?;
        let billing = self.billing(context).await?;
        let command = erase_name(account, change);
        self.ensure_closed(account, &command).await?;
        let partition = self.ledger.partition_of(account);
        let begun = self.ledger.engine().journal_span(partition).await?.next;
        wait_for(billing, partition, begun, "nothing is erased before the aggregation has come so far: repeat the request").await?;
        // Asked before anything is done: a document that is yet to be issued needs the name.
        if !billing.is_settled(account).await? {
            return Err(unsettled(account));
        }
        self.decide_admitted(context, command.clone().into()).await?;
        let end = self.ledger.engine().journal_span(partition).await?.next;
        let late = "the account has no name any more; the rest is erased when the aggregation has come so far: repeat the request";
        wait_for(billing, partition, end, late).await?;
        // If it was reopened in the meantime, it has a customer again.
        self.ensure_closed(account, &command).await?;
        let applied = match billing.erase_account(account, change).await? {
            Erased::Applied(applied) => applied,
            Erased::Unsettled => return Err(unsettled(account)),
        };
        self.drop_entries(billing, account, partition, end).await?;
        Ok(applied)
    }

    /// Drops the journal's blocks below `end` if one of them has an entry of the account: all of them are in the billing store.
    async fn drop_entries(&self, billing: &Billing, account: &AccountId, partition: u16, end: u64) -> Result<(), Error> {
        let last = billing.last_before_erasing(account).await?;
        if self.ledger.engine().journal_span(partition).await?.first > last {
            return Ok(());
        }
        // In slices: a step that drops much would hold up the charges of the partition.
        let mut below = self.ledger.engine().journal_span(partition).await?.first;
        while below < end {
            below = below.saturating_add(DROPPED_AT_ONCE).min(end);
            self.ledger.engine().trim(partition, below, Trimmer::Reader).await?;
        }
        while self.ledger.engine().trim(partition, end, Trimmer::Reader).await? {}
        if self.ledger.engine().journal_span(partition).await?.first <= last {
            let text = "the journal is kept whole while a backup is made of it: repeat the request afterwards";
            return Err(BillingError::unavailable(text).into());
        }
        Ok(())
    }

    async fn ensure_closed(&self, account: &AccountId, command: &Command) -> Result<(), Error> {
        match self.look_at(account).await?.account.status {
            Status::Closed => Ok(()),
            Status::Active | Status::Suspended => Err(Error::refused(Refusal::AccountNotClosed, command)),
        }
    }
}

/// Takes the name off the account, which must be closed, and stays so.
fn erase_name(account: &AccountId, change: &Change) -> Command {
    Command {
        account: account.to_owned(),
        request_id: request_of_ledger(&change.request_id),
        first_sent_at: None,
        currency: None,
        action: Action::EraseName,
        metadata: Metadata {
            actor: change.actor.clone(),
            on_behalf_of: change.on_behalf_of.clone(),
            reason: change.reason.clone(),
            origin: change.origin.to_string(),
            ..Metadata::default()
        },
    }
}

fn unsettled(account: &AccountId) -> Error {
    let text = "a bill is open, a document of it is yet to be issued, an invoice is unpaid, or mail is under way: settle these first";
    Error::precondition("ACCOUNT_NOT_SETTLED", format!("accounts/{account}"), text)
}

/// The id of the ledger's request: as long for every request.
fn request_of_ledger(request_id: &RequestId) -> RequestId {
    let IdempotencyKey(digest) = IdempotencyKey::within("name", request_id);
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("erase:name:{digest}").into()
}

/// Waits until the billing store has all entries below one.
async fn wait_for(billing: &Billing, partition: u16, end: u64, late: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    while billing.next_sequence(partition).await? < end {
        if Instant::now() >= deadline {
            return Err(BillingError::unavailable(late).into());
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
