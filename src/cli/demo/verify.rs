//! The proof at the end: the answers, added up, are what the service says; and the journal has no gap.

use super::customer::Customer;
use super::stage::{Stage, show};
use crate::cli::failure::explain;
use crate::grpc::v1::{Entry, GetAccountRequest, ListEntriesRequest};

const PAGE: i32 = 1000;

/// Checks every customer.
pub async fn verify(stage: &mut Stage) -> anyhow::Result<()> {
    for customer in stage.customers.clone() {
        let credit = customer.credit().await?;
        let found = amounts([show(&credit.balance)?, show(&credit.unbilled)?, show(&credit.reserved)?]);
        let expected = {
            let tally = customer.tally();
            amounts([tally.balance, tally.unbilled, tally.reserved()].map(|amount| amount.normalize().to_string()))
        };
        stage.check(format!("{}: the answers add up", customer.name), expected, found);

        let entries = entries(&customer).await?;
        let request = GetAccountRequest { account_id: customer.id.clone() };
        let account = customer.client().accounts.get_account(request).await.map_err(explain)?.into_inner().account.unwrap_or_default();
        let expected = format!("1 to {}, each from where the last ended", account.sequence);
        stage.check(format!("{}: the journal", customer.name), expected, chain(&entries));
    }
    Ok(())
}

fn amounts([balance, unbilled, reserved]: [String; 3]) -> String {
    format!("{balance} | {unbilled} | {reserved}")
}

/// What the entries that moved money are, newest first: numbered without a gap, each beginning where the one before it ended?
fn chain(entries: &[Entry]) -> String {
    let mut entries = entries.iter().rev().filter(|entry| entry.account_sequence > 0);
    let (mut last, mut after) = (0, None);
    match entries.find(|entry| {
        let follows = after.is_none_or(|after| after == (&entry.balance_before, &entry.unbilled_before));
        let is_next = entry.account_sequence == last + 1;
        last = entry.account_sequence;
        after = Some((&entry.balance_after, &entry.unbilled_after));
        !(is_next && follows)
    }) {
        Some(broken) => format!("broken at {}", broken.account_sequence),
        None => format!("1 to {last}, each from where the last ended"),
    }
}

/// All entries of an account, newest first.
async fn entries(customer: &Customer) -> anyhow::Result<Vec<Entry>> {
    let mut request = ListEntriesRequest { account_id: customer.id.clone(), page_size: PAGE, ..Default::default() };
    let mut entries = Vec::new();
    loop {
        let page = customer.client().accounts.list_entries(request.clone()).await.map_err(explain)?.into_inner();
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return Ok(entries);
        }
        request.page_token = page.next_page_token;
    }
}
