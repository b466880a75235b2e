//! `tollgate suggest-limit ACCOUNT`: the credit limit that an account would need in postpaid, from its own history.

use std::process::ExitCode;

use clap::Args;

use super::client::{Client, ServerOptions};
use super::output::{Output, month_text};
use super::table::{self, table_of};
use crate::grpc::v1::{Money, SuggestCreditLimitRequest, SuggestCreditLimitResponse, SuggestionBasis};

/// Whose, and how to show it.
#[derive(Args, Debug)]
pub struct SuggestLimitOptions {
    /// The account's id.
    account: String,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

/// Asks, and prints.
pub async fn run(options: SuggestLimitOptions) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&options.server).await?;
    let request = SuggestCreditLimitRequest { account_id: options.account };
    options.output.show_call(client.billing.suggest_credit_limit(request), as_text).await?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(answer: &SuggestCreditLimitResponse) -> String {
    let Some(suggested) = &answer.suggested_limit else {
        return "There is no closed month of charges to estimate a limit from.".to_owned();
    };
    let counted = match answer.basis() {
        SuggestionBasis::Usage => "usage alone, since other charges are billed one by one",
        _ => "all transactions",
    };
    let code = &suggested.currency_code;
    let header = ["month", "usage", "subscription", "hardware", "service", "counted"];
    let mut months = table_of(&header, 1..header.len());
    for month in &answer.months {
        let amount = |money: &Option<Money>| table::amount(money.as_ref().map_or("", |money| &money.amount));
        months.add_row(vec![
            month_text(month.from).into(),
            amount(&month.usage),
            amount(&month.subscription),
            amount(&month.hardware),
            amount(&month.service),
            amount(&month.counted),
        ]);
    }
    let current = answer.current_limit.clone().unwrap_or_default().amount;
    let limit = &suggested.amount;
    format!("{months}\nSuggested: {limit} {code}, the largest of these months rounded up ({counted}). The limit now is {current} {code}.")
}
