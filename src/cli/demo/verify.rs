//! The proof at the end: the answers, added up, are what the service says; and the journal has no gap.

use super::customer::Customer;
use super::stage::{Stage, show};
use crate::cli::client::explain;
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
        let numbers: Vec<i64> = entries.iter().map(|entry| entry.account_sequence).filter(|number| *number > 0).collect();
        let expected: Vec<i64> = (1..=account.sequence).rev().collect();
        let found = if numbers == expected { "1 to ".to_owned() + &account.sequence.to_string() } else { format!("{numbers:?}") };
        stage.check(format!("{}: journal entries without a gap", customer.name), format!("1 to {}", account.sequence), found);
    }
    Ok(())
}

fn amounts([balance, unbilled, reserved]: [String; 3]) -> String {
    format!("{balance} | {unbilled} | {reserved}")
}

/// All entries of an account, newest first.
async fn entries(customer: &Customer) -> anyhow::Result<Vec<Entry>> {
    let mut request = ListEntriesRequest { account_id: customer.id.clone(), page_size: PAGE, page_token: String::new() };
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
