//! `tollgate suggest-limit ACCOUNT`: the credit limit that an account would need in postpaid, from its own history.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::account::show::amount_of;
use super::client::{Client, ServerOptions, explain};
use super::output::{Output, instant_json, month_text, print_json};
use super::table::{self, table_of};
use crate::grpc::v1::{Money, MonthOfCharges, SuggestCreditLimitRequest, SuggestCreditLimitResponse, SuggestionBasis};

/// Whose, and how to show it.
#[derive(Args, Debug)]
pub struct SuggestLimitOptions {
    /// The account's id.
    account: String,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

/// Asks, and prints.
pub async fn run(options: SuggestLimitOptions) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&options.server.server).await?;
    let request = SuggestCreditLimitRequest { account_id: options.account };
    let answer = client.billing.suggest_credit_limit(request).await.map_err(explain)?.into_inner();
    match options.output {
        Output::Table => println!("{}", as_text(&answer)),
        Output::Json => print_json(&as_json(&answer)),
    }
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

fn as_json(answer: &SuggestCreditLimitResponse) -> Value {
    let month = |month: &MonthOfCharges| {
        json!({
            "from": instant_json(month.from),
            "to": instant_json(month.to),
            "usage": amount_of(month.usage.as_ref()),
            "subscription": amount_of(month.subscription.as_ref()),
            "hardware": amount_of(month.hardware.as_ref()),
            "service": amount_of(month.service.as_ref()),
            "counted": amount_of(month.counted.as_ref()),
        })
    };
    json!({
        "suggested_limit": amount_of(answer.suggested_limit.as_ref()),
        "current_limit": amount_of(answer.current_limit.as_ref()),
        "basis": answer.basis().as_str_name().trim_start_matches("SUGGESTION_BASIS_"),
        "months": answer.months.iter().map(month).collect::<Value>(),
    })
}
