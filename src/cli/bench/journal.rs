//! An account's part of the journal, read back to where a run began, and proved whole on the way.

use super::answer::{Failure, Millionths, decimal, units};
use super::books::AcknowledgedTotals;
use crate::cli::client::Client;
use crate::cli::failure::explain;
use crate::grpc::v1::{Entry, EntryKind, ListEntriesRequest};

const PAGE: i32 = 1000;

/// Reads pages, not more than it may.
pub struct Pages {
    client: Client,
    left: usize,
}

impl Pages {
    /// At most this many pages over all accounts.
    pub fn new(client: Client, left: usize) -> Self {
        Self { client, left }
    }
}

/// What an account's entries of a run add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many there are that moved money.
    pub entries: u64,
    charges: u64,
    charged: Millionths,
    flaws: Vec<String>,
    /// The number, and what stood before, of the entry that was read last: the next older one must end there.
    newer: Option<(u64, [Millionths; 2])>,
}

/// Reads an account's entries that moved money, down to the one after `since`. `None` if the pages did not suffice.
pub async fn read(pages: &mut Pages, account: &str, since: u64) -> anyhow::Result<Option<Found>> {
    let mut request = ListEntriesRequest { account_id: account.to_owned(), page_size: PAGE, ..Default::default() };
    let mut found = Found::default();
    while pages.left > 0 {
        pages.left -= 1;
        let page = pages.client.accounts.list_entries(request.clone()).await.map_err(explain)?.into_inner();
        for entry in page.entries.iter().filter(|entry| entry.account_sequence > 0) {
            if u64::try_from(entry.account_sequence)? <= since {
                return Ok(Some(found));
            }
            found.add(entry).map_err(|failure| anyhow::anyhow!(failure.kind))?;
        }
        if found.newer.is_some_and(|(number, _)| number == since + 1) {
            return Ok(Some(found));
        }
        if page.next_page_token.is_empty() {
            found.flaws.push(format!("the journal ends above entry {}", since + 1));
            return Ok(Some(found));
        }
        request.page_token = page.next_page_token;
    }
    Ok(None)
}

impl Found {
    /// Takes the next older entry.
    fn add(&mut self, entry: &Entry) -> Result<(), Failure> {
        let number = u64::try_from(entry.account_sequence).unwrap_or_default();
        let before = [units(entry.balance_before.as_ref())?, units(entry.unbilled_before.as_ref())?];
        let after = [units(entry.balance_after.as_ref())?, units(entry.unbilled_after.as_ref())?];
        if let Some((newer, start)) = self.newer
            && (newer != number + 1 || start != after)
        {
            self.flaws.push(format!("entry {newer} does not go on where entry {number} ended"));
        }
        self.newer = Some((number, before));
        self.entries += 1;
        if is_charge(entry.kind()) {
            self.charges += 1;
            self.charged += units(entry.amount.as_ref())?;
        }
        Ok(())
    }

    /// The differences from what was acknowledged.
    pub fn compare(&self, told: &AcknowledgedTotals) -> Vec<String> {
        let mut mismatches = self.flaws.clone();
        if (self.charges, self.charged) != (told.charges, told.charged) {
            mismatches.push(format!(
                "{} charges of {} were told, and the journal has {} of {}",
                told.charges,
                decimal(told.charged),
                self.charges,
                decimal(self.charged)
            ));
        }
        mismatches
    }
}

fn is_charge(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::ChargedBalance | EntryKind::ChargedUnbilled | EntryKind::ChargedOwnBill)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::v1::Money;

    fn money(amount: &str) -> Option<Money> {
        Some(Money { amount: amount.to_owned(), currency_code: "EUR".to_owned() })
    }

    fn charge(number: i64, before: &str, amount: &str, after: &str) -> Entry {
        Entry {
            kind: EntryKind::ChargedBalance.into(),
            account_sequence: number,
            amount: money(amount),
            balance_before: money(before),
            balance_after: money(after),
            unbilled_before: money("0"),
            unbilled_after: money("0"),
            ..Default::default()
        }
    }

    #[test]
    fn a_whole_journal_agrees_and_a_gap_or_a_jump_does_not() {
        let told = AcknowledgedTotals { charged: 300_000, charges: 2, ..AcknowledgedTotals::default() };
        let newest = charge(8, "-0.1", "0.2", "-0.3");
        let mut found = Found::default();
        found.add(&newest).unwrap();
        found.add(&charge(7, "0", "0.1", "-0.1")).unwrap();
        assert_eq!(found.compare(&told), Vec::<String>::new());
        for other in [charge(6, "0", "0.1", "-0.1"), charge(7, "0", "0.1", "-0.2")] {
            let mut found = Found::default();
            found.add(&newest).unwrap();
            found.add(&other).unwrap();
            assert_eq!(found.compare(&told).len(), 1);
        }
    }

    #[test]
    fn an_entry_too_few_is_found() {
        let told = AcknowledgedTotals { charged: 300_000, charges: 2, ..AcknowledgedTotals::default() };
        let mut found = Found::default();
        found.add(&charge(8, "-0.1", "0.2", "-0.3")).unwrap();
        assert_eq!(found.compare(&told), ["2 charges of 0.3 were told, and the journal has 1 of 0.2"]);
    }
}
