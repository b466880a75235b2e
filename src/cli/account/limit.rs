//! `tollgate account limit`, `convert`: the credit limit and the payment mode.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use super::list::Mode;
use super::show::show_change;
use crate::cli::client::Client;
use crate::cli::credit::mode_name;
use crate::cli::operator::{ByHand, ByHandWithReason};
use crate::cli::output::{Output, parse_instant, to_message};
use crate::grpc::v1::credit_limit_change::Temporary;
use crate::grpc::v1::temporary_credit_limit::End;
use crate::grpc::v1::{
    ConvertRequest, ConvertResponse, CreditLimitChange, Money, PaymentMode, SetCreditLimitRequest, SetCreditLimitResponse,
    TemporaryCreditLimit,
};

/// The limit to have.
#[derive(Args, Clone, Debug)]
pub struct LimitArguments {
    /// The permanent credit limit; 0 removes it.
    #[arg(long, value_name = "AMOUNT", visible_alias = "permanent")]
    limit: Option<String>,
    /// A temporary credit limit. While it runs, the larger of it and the permanent one counts.
    #[arg(long, value_name = "AMOUNT", requires = "end")]
    temporary: Option<String>,
    /// The temporary limit ends after this many days of 24 hours.
    #[arg(long, value_name = "NUMBER", visible_alias = "temporary-increase-days", group = "end", requires = "temporary")]
    days: Option<i32>,
    /// The temporary limit ends at this instant, such as 2027-01-31T00:00:00Z, or when this day begins (UTC).
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant, group = "end", requires = "temporary")]
    until: Option<Timestamp>,
    /// The temporary limit ends now.
    #[arg(long, conflicts_with = "temporary")]
    remove_temporary: bool,
}

impl LimitArguments {
    /// As the API takes it; none, if nothing is to change.
    pub fn change(&self) -> Option<CreditLimitChange> {
        let end = match (self.days, self.until) {
            (Some(days), _) => Some(End::Days(days)),
            (None, Some(until)) => Some(End::Until(to_message(until))),
            (None, None) => None,
        };
        let temporary = match &self.temporary {
            Some(amount) => Some(Temporary::SetTemporary(TemporaryCreditLimit { limit: Some(money(amount)), end })),
            None => self.remove_temporary.then_some(Temporary::RemoveTemporary(true)),
        };
        let permanent = self.limit.as_deref().map(money);
        (permanent.is_some() || temporary.is_some()).then_some(CreditLimitChange { permanent, temporary })
    }
}

/// An amount, in the account's currency.
pub fn money(amount: &str) -> Money {
    Money { amount: amount.to_owned(), currency_code: String::new() }
}

/// Which limit to set.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("change").args(["limit", "temporary", "remove_temporary"]).required(true).multiple(true)))]
pub struct LimitOptions {
    /// The account's id.
    account: String,
    #[command(flatten)]
    limit: LimitArguments,
    /// Allow a postpaid account to have neither limit nor overpayment, though it can make no transaction then.
    #[arg(long)]
    allow_unusable: bool,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

/// Which mode to have.
#[derive(Args, Debug)]
pub struct ConvertOptions {
    /// The account's id.
    account: String,
    /// The mode to have afterwards.
    #[arg(value_enum)]
    mode: Mode,
    #[command(flatten)]
    limit: LimitArguments,
    /// Allow a postpaid account to have neither limit nor overpayment, though it can make no transaction then.
    #[arg(long)]
    allow_unusable: bool,
    #[command(flatten)]
    by_hand: ByHand,
}

/// Sets a limit.
pub async fn limit(client: &mut Client, options: LimitOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request = SetCreditLimitRequest {
        account_id: options.account.clone(),
        request_id: options.by_hand.request_id(),
        credit_limit: options.limit.change(),
        allow_unusable: options.allow_unusable,
        operator: options.by_hand.operator(),
        ..Default::default()
    };
    let sentence = |answer: &SetCreditLimitResponse| {
        let credit = answer.credit.clone().unwrap_or_default();
        format!("The credit limit is {} {}.", credit.credit_limit, credit.currency_code)
    };
    show_change(output, &options.account, client.accounts.set_credit_limit(request), sentence).await?;
    Ok(ExitCode::SUCCESS)
}

/// Converts an account, and shows what to consider now.
pub async fn convert(client: &mut Client, options: ConvertOptions, output: Output) -> anyhow::Result<ExitCode> {
    let mode = PaymentMode::from(options.mode);
    let request = ConvertRequest {
        account_id: options.account.clone(),
        request_id: options.by_hand.request_id(),
        mode: mode.into(),
        credit_limit: options.limit.change(),
        allow_unusable: options.allow_unusable,
        operator: options.by_hand.operator(),
        ..Default::default()
    };
    let sentence = |answer: &ConvertResponse| {
        let (before, after) = (answer.usable_before.clone().unwrap_or_default(), answer.usable_after.clone().unwrap_or_default());
        let name = mode_name(mode);
        let mut text = match answer.converted {
            true => format!("Converted to {name}. Usable credit: {} before, {} after.", before.amount, after.amount),
            false => format!("The account was {name} already; nothing was changed, not even the limit."),
        };
        for advice in &answer.advice {
            text += &format!("\n- {}", advice.text);
        }
        text
    };
    show_change(output, &options.account, client.charging.convert(request), sentence).await?;
    Ok(ExitCode::SUCCESS)
}
