//! Looks up what the step asks for that decides on a refund or a reversal: by an index of the billing store where there is one, and in the
//! journal, for what that has not taken in yet.

use super::{Billing, BillingError};
use domain::command::{Action, Command, OriginalBill, OriginalEntry, Reversal};
use domain::entry::EntryKind;
use domain::ids::{AccountId, RequestId};
use domain::outcome::Refusal;
use domain::rules::originals_of;
use ledger::{Ledger, LedgerError, Searched};

/// The result of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookedUp {
    /// The command, with what the step asked for.
    Completed(Box<Command>),
    /// There never was such a charge.
    NeverWas,
    /// It is no longer known.
    NoLongerKnown,
}

/// Why nothing could be looked up.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookUpError {
    /// The ledger gave no answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The billing store gave none.
    #[error(transparent)]
    Billing(#[from] BillingError),
}

/// Completes a command by what the step asked for: [`Refusal::OriginalNeeded`] or [`Refusal::BillNeeded`].
pub async fn look_up(ledger: &Ledger, billing: Option<&Billing>, mut command: Command, needed: Refusal) -> Result<LookedUp, LookUpError> {
    let Some((undo, is_wanted)) = originals_of(&command.action) else { return Ok(LookedUp::NeverWas) };
    let account = &command.account;
    let mut facts = undo.facts;
    if needed == Refusal::OriginalNeeded {
        facts = match original(ledger, billing, account, &undo.original, is_wanted).await? {
            (None, is_whole) => return Ok(if is_whole { LookedUp::NeverWas } else { LookedUp::NoLongerKnown }),
            // It was not enough before: part of what was given back is in a gap.
            (found, _) if found == undo.facts => return Ok(LookedUp::NoLongerKnown),
            (found, _) => found,
        };
    }
    let number = match facts {
        Some(OriginalEntry { kind: EntryKind::ChargedUnbilled, bill, .. }) => Some(bill),
        Some(_) => None,
        None => ledger.remembered_bill(account, &undo.original).await?,
    };
    let bill = match number {
        Some(number) => bill_sums(ledger, billing, account, number).await?,
        None => None,
    };
    if needed == Refusal::BillNeeded && (bill.is_none() || bill == undo.bill) {
        return Ok(LookedUp::NoLongerKnown);
    }
    if let Action::Refund(undo) | Action::ReversePayment(undo) | Action::ReverseWriteOff(undo) = &mut command.action {
        *undo = Reversal { facts, bill, ..undo.clone() };
    }
    Ok(LookedUp::Completed(Box::new(command)))
}

/// The original, and whether all was looked through.
async fn original(
    ledger: &Ledger,
    billing: Option<&Billing>,
    account: &AccountId,
    id: &RequestId,
    is_wanted: fn(EntryKind) -> bool,
) -> Result<(Option<OriginalEntry>, bool), LookUpError> {
    let mut known_until = 0;
    if let Some(billing) = billing {
        let partition = ledger.partition_of(account);
        known_until = billing.known_until(partition).await?;
        if let Some(found) = billing.original(partition, account, id, is_wanted, known_until).await? {
            return Ok((Some(found), true));
        }
    }
    let Searched { found, is_whole } = ledger.original(account, id, is_wanted, known_until).await?;
    let has_gap = match billing {
        Some(billing) if found.is_none() => billing.has_gap(ledger.partition_of(account)).await?,
        _ => false,
    };
    Ok((found, is_whole && !has_gap))
}

/// The sums of a bill; `None` if it is not known any more, or not cut.
async fn bill_sums(
    ledger: &Ledger,
    billing: Option<&Billing>,
    account: &AccountId,
    bill: u32,
) -> Result<Option<OriginalBill>, LookUpError> {
    let mut known_until = 0;
    if let Some(billing) = billing {
        let partition = ledger.partition_of(account);
        known_until = billing.known_until(partition).await?;
        if let Some(found) = billing.bill_sums(partition, account, bill, known_until).await? {
            return Ok(Some(found));
        }
    }
    Ok(ledger.bill_sums(account, bill, known_until).await?.found)
}
