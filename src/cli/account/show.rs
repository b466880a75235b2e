//! Prints accounts and the results of changes.

use std::future::Future;

use prost::{Message, Name};
use tonic::{Response, Status};

use crate::cli::credit::{self, mode_name, status_name};
use crate::cli::failure::explain;
use crate::cli::output::{Output, instant_text};
use crate::cli::table::{self, table_of};
use crate::grpc::v1::{
    Account, AdjustBalanceResponse, CloseAccountResponse, ConvertResponse, Credit, Money, NonUsageBilling, RecordPaymentResponse,
    RefundResponse, ReopenAccountResponse, ResumeAccountResponse, ReversePaymentResponse, ReverseWriteOffResponse, SetCreditLimitResponse,
    SuspendAccountResponse, TopUpResponse, WithdrawResponse, WriteOffResponse,
};

/// The result of a change of an account.
pub trait Changed: Message + Name {
    /// The account's credit afterwards.
    fn credit(&self) -> Option<&Credit>;
    /// Whether an earlier request of the same id has done it.
    fn replayed(&self) -> bool;
}

macro_rules! changed {
    ($($response:ty,)*) => {
        $(impl Changed for $response {
            fn credit(&self) -> Option<&Credit> {
                self.credit.as_ref()
            }

            fn replayed(&self) -> bool {
                self.replayed
            }
        })*
    };
}

changed! {
    TopUpResponse,
    WithdrawResponse,
    AdjustBalanceResponse,
    SetCreditLimitResponse,
    SuspendAccountResponse,
    ResumeAccountResponse,
    CloseAccountResponse,
    ReopenAccountResponse,
    RefundResponse,
    ConvertResponse,
    RecordPaymentResponse,
    ReversePaymentResponse,
    WriteOffResponse,
    ReverseWriteOffResponse,
}

/// Awaits a change of an account, and prints the result: for people, in a sentence, with the credit afterwards.
pub async fn show_change<M: Changed>(
    output: Output,
    account: &str,
    call: impl Future<Output = Result<Response<M>, Status>>,
    sentence: impl FnOnce(&M) -> String,
) -> anyhow::Result<M> {
    let changed = call.await.map_err(explain)?.into_inner();
    output.show(&changed, |changed| {
        let again = if changed.replayed() { " This was done before, by a request of the same id." } else { "" };
        let credit = changed.credit().cloned().unwrap_or_default();
        format!("{}{again}\n{}", sentence(changed), credit::as_table(account, &credit))
    })?;
    Ok(changed)
}

/// Accounts, one in a row.
pub fn accounts_table(accounts: &[Account]) -> table::Listing {
    let header = ["account", "name", "mode", "status", "", "balance", "unbilled", "reserved", "credit limit", "usable credit"];
    let mut table = table_of(&header, 5..header.len());
    for account in accounts {
        let credit = account.credit.clone().unwrap_or_default();
        let limit = match instant_text(credit.credit_limit_expires_at) {
            end if end.is_empty() => credit.credit_limit.clone(),
            end => format!("{} until {end}", credit.credit_limit),
        };
        table.add_row(vec![
            account.account_id.clone().into(),
            account.name.clone().into(),
            mode_name(credit.mode()).into(),
            table::unless("active", status_name(credit.status())),
            credit.currency_code.clone().into(),
            table::amount(&credit.balance),
            table::amount(&credit.unbilled),
            table::amount(&credit.reserved),
            limit.into(),
            table::amount(&credit.usable),
        ]);
    }
    table
}

/// One account, with all that there is to know of it.
pub fn account_table(account: &Account) -> table::Listing {
    let credit = account.credit.clone().unwrap_or_default();
    let mut table = credit::as_table(&account.account_id, &credit);
    let temporary = account
        .temporary_limit
        .as_ref()
        .map_or_else(|| "none".to_owned(), |limit| format!("{} until {}", limit.amount, instant_text(account.temporary_limit_expires_at)));
    let text = |money: Option<&Money>, none: &str| money.map_or_else(|| none.to_owned(), |money| money.amount.clone());
    table.add_rows([
        ["name", &account.name],
        ["permanent limit", &text(account.permanent_limit.as_ref(), "none")],
        ["temporary limit", &temporary],
        ["credit is low below", &text(account.low_credit_threshold.as_ref(), "never")],
        ["other charges than usage", non_usage_name(account.non_usage_billing())],
        ["open reservations", &account.open_reservations.to_string()],
        ["bill number", &account.bill_number.to_string()],
        ["created", &instant_text(account.created_at)],
    ]);
    table
}

fn non_usage_name(billing: NonUsageBilling) -> &'static str {
    match billing {
        NonUsageBilling::Unspecified => "unknown",
        NonUsageBilling::Consolidated => "consolidated",
        NonUsageBilling::OneByOne => "one-by-one",
    }
}
