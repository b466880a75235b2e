//! `tollgate account details`: whom an account's documents are for.

use std::process::ExitCode;

use clap::Args;

use crate::cli::client::Client;
use crate::cli::failure::explain;
use crate::cli::operator::ByHand;
use crate::cli::output::Output;
use crate::cli::table::table;
use crate::grpc::v1::{
    GetAccountRequest, GetBillingDetailsRequest, GetBillingDetailsResponse, Party, SetBillingDetailsRequest, SetBillingDetailsResponse,
};

/// The account, and the change.
#[derive(Args, Debug)]
pub struct DetailsOptions {
    /// The account's id.
    account: String,
    /// The name on documents; empty for the account's.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// A line of the postal address; may be given several times, and replaces all that were there.
    #[arg(long, value_name = "LINE")]
    address: Option<Vec<String>>,
    /// The tax id.
    #[arg(long, value_name = "TEXT")]
    tax_id: Option<String>,
    /// Where to write to.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// In which language documents are written: en or de.
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    #[command(flatten)]
    by_hand: ByHand,
}

/// Changes what is given, and shows what is there then.
pub async fn run(client: &mut Client, options: DetailsOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request = GetBillingDetailsRequest { account_id: options.account.clone() };
    let before = client.billing.get_billing_details(request).await.map_err(explain)?.into_inner().customer.unwrap_or_default();
    let request = GetAccountRequest { account_id: options.account.clone() };
    let account = client.accounts.get_account(request).await.map_err(explain)?.into_inner().account.unwrap_or_default();
    // The account's own name is not written down, so that documents follow when that changes.
    let own_name = if before.name == account.name { String::new() } else { before.name.clone() };
    let customer = Party {
        name: options.name.unwrap_or(own_name),
        address: options.address.unwrap_or_else(|| before.address.clone()),
        tax_id: options.tax_id.unwrap_or_else(|| before.tax_id.clone()),
        email: options.email.unwrap_or_else(|| before.email.clone()),
        language: options.language.unwrap_or_else(|| before.language.clone()),
    };
    let is_changed = |name: &str| name != before.name && !(name.is_empty() && before.name == account.name);
    if is_changed(&customer.name) || (Party { name: before.name.clone(), ..customer.clone() }) != before {
        let request = SetBillingDetailsRequest {
            account_id: options.account.clone(),
            customer: Some(customer),
            request_id: options.by_hand.request_id(),
            operator: options.by_hand.operator(),
            first_sent_at: None,
        };
        let text = |set: &SetBillingDetailsResponse| in_full(&options.account, set.customer.clone().unwrap_or_default());
        output.show_call(client.billing.set_billing_details(request), text).await?;
    } else {
        let found = GetBillingDetailsResponse { customer: Some(before) };
        output.show(&found, |found| in_full(&options.account, found.customer.clone().unwrap_or_default()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn in_full(account: &str, customer: Party) -> String {
    let mut table = table([account, ""], 2);
    table.add_rows([
        ["name", &customer.name],
        ["address", &customer.address.join("\n")],
        ["tax id", &customer.tax_id],
        ["email", &customer.email],
        ["language", &customer.language],
    ]);
    table.to_string()
}
