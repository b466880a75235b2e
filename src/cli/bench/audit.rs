//! After the load: do the accounts and the journal hold what the clients were told, no more and no less?
//!
//! Each checked account: its current balance fell by the sum of the charges told; what is reserved is what was reserved and not settled;
//! as many entries moved money as charges and refunds were told (a conversion may cut a bill, which moves some more). Of some accounts also the
//! journal: read from the newest entry back to where the run began, without a gap, each entry beginning where the one before it ended,
//! the charges as many, and of the same sum, as were told.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::answer::{Millionths, decimal, units_of};
use super::books::{AcknowledgedTotals, Books};
use super::journal::{self, Pages};
use super::operation::Writer;
use super::patience::Patience;
use super::setup::{Clients, bar};
use super::worker::Shared;
use super::{PAUSE, unary};
use crate::cli::failure::explain;
use crate::grpc::v1::{Account, GetAccountRequest};

/// How many accounts are read at a time.
const AT_A_TIME: usize = 64;

/// How often an unknown outcome is asked for.
const ATTEMPTS: usize = 250;

/// The entries that a conversion may add: a bill, and its rounding.
const ENTRIES_OF_A_CONVERSION: u64 = 2;

/// An account, as the service shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Its balance less what is unbilled.
    pub current_balance: Millionths,
    /// What is reserved.
    pub reserved: Millionths,
    /// How many entries have moved its money.
    pub sequence: u64,
}

/// The states of the checked accounts.
pub type States = BTreeMap<u32, State>;

/// The result of the check.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Audit {
    /// Accounts compared with what was told.
    pub accounts: usize,
    /// Accounts whose journal was read as well.
    pub journals: usize,
    /// Accounts whose journal was to be read, and was longer than the pages that may be read.
    pub journals_cut_short: usize,
    /// Entries read from the journal.
    pub entries: u64,
    /// Operations whose outcome was unknown at first, and was found out.
    pub found_out: usize,
    /// Operations whose outcome is still unknown. With any, the accounts cannot be compared exactly.
    pub unknown: usize,
    /// The differences, in words.
    pub mismatches: Vec<String>,
}

/// Reads the accounts.
pub async fn states(clients: &Clients, writer: &Writer, checked: &BTreeSet<u32>) -> anyhow::Result<States> {
    let progress = bar("reading accounts", checked.len() as u64);
    let states = stream::iter(checked.iter().copied().enumerate())
        .map(|(number, account)| {
            let progress = &progress;
            async move {
                let mut client = clients.for_call(number)?;
                let request = GetAccountRequest { account_id: writer.account_id(account) };
                let found = client.accounts.get_account(request).await.map_err(explain)?.into_inner().account.unwrap_or_default();
                progress.inc(1);
                anyhow::Ok((account, state(&found)?))
            }
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await?;
    progress.finish_and_clear();
    Ok(states)
}

fn state(account: &Account) -> anyhow::Result<State> {
    let credit = account.credit.clone().unwrap_or_default();
    let units = |text: &str| units_of(text).ok_or_else(|| anyhow::anyhow!("the service answered {text:?} where an amount belongs"));
    Ok(State {
        current_balance: units(&credit.current_balance)?,
        reserved: units(&credit.reserved)?,
        sequence: u64::try_from(account.sequence)?,
    })
}

/// Repeats, under their request ids, the operations whose outcome is unknown: of a sequence, the first ones first.
pub async fn find_out(clients: &Clients, shared: &Shared, books: &mut Books) -> anyhow::Result<usize> {
    let unknown = books.take_unknown();
    let count = unknown.len();
    let mut stages: BTreeMap<Reverse<usize>, Vec<_>> = BTreeMap::new();
    for operation in unknown {
        stages.entry(Reverse(operation.rest.len())).or_default().push(operation);
    }
    let asked = AtomicU64::new(0);
    let patience = Patience { timeout: shared.options.timeout, deadline: None };
    for operations in stages.into_values() {
        let mut answers = stream::iter(operations)
            .map(|operation| {
                let number = asked.fetch_add(1, Ordering::Relaxed) as usize;
                async move {
                    let mut caller = unary::Caller::from(clients.for_call(number)?);
                    let mut answer = unary::send(&mut caller, &shared.writer, &operation, patience).await;
                    for _ in 1..ATTEMPTS {
                        if !answer.as_ref().is_err_and(|failure| failure.is_unknown) {
                            break;
                        }
                        tokio::time::sleep(PAUSE).await;
                        answer = unary::send(&mut caller, &shared.writer, &operation, patience).await;
                    }
                    anyhow::Ok((operation, answer))
                }
            })
            .buffer_unordered(AT_A_TIME);
        while let Some((operation, answer)) = answers.try_next().await? {
            books.enter(&operation, &answer);
        }
    }
    Ok(count - books.unknown())
}

/// Compares what was told with what there is.
pub async fn check(clients: &Clients, shared: &Shared, before: &States, books: &mut Books) -> anyhow::Result<Audit> {
    let mut audit = Audit { found_out: find_out(clients, shared, books).await?, unknown: books.unknown(), ..Audit::default() };
    let checked: BTreeSet<u32> = before.keys().copied().collect();
    let after = states(clients, &shared.writer, &checked).await?;
    let mut pages = Pages::new(clients.for_call(0)?, shared.options.journal_pages);
    let mut journals_left = shared.options.journal_accounts;
    for (account, before) in before {
        let (Some(after), told) = (after.get(account), books.told(*account)) else { continue };
        let id = shared.writer.account_id(*account);
        audit.accounts += 1;
        audit.mismatches.extend(compare(before, after, &told).into_iter().map(|what| format!("{id}: {what}")));
        if journals_left > 0 && after.sequence > before.sequence {
            journals_left -= 1;
            let Some(found) = journal::read(&mut pages, &id, before.sequence).await? else {
                audit.journals_cut_short += 1;
                continue;
            };
            audit.journals += 1;
            audit.entries += found.entries;
            audit.mismatches.extend(found.compare(&told).into_iter().map(|what| format!("{id}: {what}")));
        }
    }
    Ok(audit)
}

/// The differences of an account from what was acknowledged.
fn compare(before: &State, after: &State, told: &AcknowledgedTotals) -> Vec<String> {
    let mut mismatches = Vec::new();
    let charged = before.current_balance - after.current_balance;
    if charged != told.charged - told.refunded {
        mismatches.push(format!("charges of {} were told, and {} is gone", decimal(told.charged - told.refunded), decimal(charged)));
    }
    if after.reserved - before.reserved != told.reserved {
        mismatches.push(format!(
            "{} was told to be reserved, and {} more is",
            decimal(told.reserved),
            decimal(after.reserved - before.reserved)
        ));
    }
    let entries = after.sequence.saturating_sub(before.sequence);
    let moves = told.charges + told.refunds;
    if !(moves..=moves + told.conversions * ENTRIES_OF_A_CONVERSION).contains(&entries) {
        mismatches.push(format!("{moves} charges and refunds were told, and {entries} entries were made"));
    }
    mismatches
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: State = State { current_balance: -1_000_000, reserved: 0, sequence: 3 };

    #[test]
    fn what_agrees_is_no_mismatch() {
        let told = AcknowledgedTotals { charged: 700_000, charges: 2, refunded: 200_000, refunds: 1, reserved: 1_500_000, conversions: 1 };
        let after = State { current_balance: -1_500_000, reserved: 1_500_000, sequence: 7 };
        assert_eq!(compare(&BEFORE, &after, &told), Vec::<String>::new());
    }

    #[test]
    fn a_charge_that_nobody_was_told_of_is_found() {
        let told = AcknowledgedTotals { charged: 500_000, charges: 2, ..AcknowledgedTotals::default() };
        let after = State { current_balance: -1_510_000, reserved: 0, sequence: 6 };
        assert_eq!(
            compare(&BEFORE, &after, &told),
            ["charges of 0.5 were told, and 0.51 is gone", "2 charges and refunds were told, and 3 entries were made"]
        );
    }

    #[test]
    fn a_charge_that_was_told_and_not_made_is_found() {
        let told = AcknowledgedTotals { charged: 500_000, charges: 1, ..AcknowledgedTotals::default() };
        assert_eq!(compare(&BEFORE, &BEFORE, &told).len(), 2);
    }

    #[test]
    fn a_reservation_that_was_lost_is_found() {
        let told = AcknowledgedTotals { reserved: 1_500_000, ..AcknowledgedTotals::default() };
        assert_eq!(compare(&BEFORE, &BEFORE, &told), ["1.5 was told to be reserved, and 0 more is"]);
    }
}
