//! `tollgate account limit`, `convert`: the credit limit and the payment mode.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::list::Mode;
use super::show::{Done, amount_of};
use crate::cli::client::{Client, explain};
use crate::cli::credit::mode_name;
use crate::cli::operator::{ByHand, ByHandWithReason};
use crate::cli::output::Output;
use crate::grpc::v1::credit_limit_change::Temporary;
use crate::grpc::v1::temporary_credit_limit::End;
use crate::grpc::v1::{AdviceTopic, ConvertRequest, CreditLimitChange, Money, PaymentMode, SetCreditLimitRequest, TemporaryCreditLimit};

/// The limit to have.
#[derive(Args, Clone, Debug)]
pub struct LimitArguments {
    /// The permanent credit limit; 0 removes it.
    #[arg(long, value_name = "AMOUNT", visible_alias = "permanent")]
    limit: Option<String>,
    /// A temporary credit limit. While it runs, the larger of it and the permanent one counts.
    #[arg(long, value_name = "AMOUNT", requires = "end")]
    temporary: Option<String>,
    /// The temporary limit ends after so many days of 24 hours.
    #[arg(long, value_name = "NUMBER", visible_alias = "temporary-increase-days", group = "end", requires = "temporary")]
    days: Option<i32>,
    /// The temporary limit ends at this instant, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "INSTANT", group = "end", requires = "temporary")]
    until: Option<Timestamp>,
    /// The temporary limit ends now.
    #[arg(long, conflicts_with = "temporary")]
    remove_temporary: bool,
}

impl LimitArguments {
    /// As the API takes it; none, if nothing is to change.
    pub fn change(&self) -> anyhow::Result<Option<CreditLimitChange>> {
        let end = match (self.days, self.until) {
            (Some(days), _) => Some(End::Days(days)),
            (None, Some(until)) => {
                Some(End::Until(prost_types::Timestamp { seconds: until.as_second(), nanos: until.subsec_nanosecond() }))
            }
            (None, None) => None,
        };
        let temporary = match &self.temporary {
            Some(amount) => Some(Temporary::SetTemporary(TemporaryCreditLimit { limit: Some(money(amount)), end })),
            None => self.remove_temporary.then_some(Temporary::RemoveTemporary(true)),
        };
        let permanent = self.limit.as_deref().map(money);
        Ok((permanent.is_some() || temporary.is_some()).then_some(CreditLimitChange { permanent, temporary }))
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
    let request_id = options.by_hand.request_id();
    let request = SetCreditLimitRequest {
        account_id: options.account.clone(),
        request_id: request_id.clone(),
        credit_limit: options.limit.change()?,
        allow_unusable: options.allow_unusable,
        operator: options.by_hand.operator(),
        first_sent_at: None,
    };
    let answer = client.accounts.set_credit_limit(request).await.map_err(explain)?.into_inner();
    let credit = answer.credit.clone().unwrap_or_default();
    let text = format!("The credit limit is {} {}.", credit.credit_limit, credit.currency_code);
    let done = Done {
        account: &options.account,
        request_id: &request_id,
        text,
        replayed: answer.replayed,
        credit: answer.credit,
        more: Map::new(),
    };
    done.print(output);
    Ok(ExitCode::SUCCESS)
}

/// Converts an account, and shows what to consider now.
pub async fn convert(client: &mut Client, options: ConvertOptions, output: Output) -> anyhow::Result<ExitCode> {
    let request_id = options.by_hand.request_id();
    let mode = PaymentMode::from(options.mode);
    let request = ConvertRequest {
        account_id: options.account.clone(),
        request_id: request_id.clone(),
        mode: mode.into(),
        credit_limit: options.limit.change()?,
        allow_unusable: options.allow_unusable,
        first_sent_at: None,
        operator: options.by_hand.operator(),
    };
    let answer = client.charging.convert(request).await.map_err(explain)?.into_inner();
    let (before, after) = (answer.usable_before.clone().unwrap_or_default(), answer.usable_after.clone().unwrap_or_default());
    let name = mode_name(mode);
    let mut text = match answer.converted {
        true => format!("Converted to {name}. Usable credit: {} before, {} after.", before.amount, after.amount),
        false => format!("The account was {name} already; nothing was changed, not even the limit."),
    };
    for advice in &answer.advice {
        text += &format!("\n- {}", advice.text);
    }
    let advice = answer.advice.iter().map(|advice| json!({ "topic": topic_name(advice.topic()), "text": advice.text })).collect::<Value>();
    let more = json!({
        "converted": answer.converted,
        "usable_before": amount_of(answer.usable_before.as_ref()),
        "usable_after": amount_of(answer.usable_after.as_ref()),
        "advice": advice,
    });
    let more = more.as_object().cloned().context("a JSON object is none")?;
    let done = Done { account: &options.account, request_id: &request_id, text, replayed: answer.replayed, credit: answer.credit, more };
    done.print(output);
    Ok(ExitCode::SUCCESS)
}

/// An advice's topic, for programs: as the API names it.
fn topic_name(topic: AdviceTopic) -> &'static str {
    topic.as_str_name().trim_start_matches("ADVICE_TOPIC_")
}
