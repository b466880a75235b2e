//! How accounts, and what became of a change, are shown.

use serde_json::{Map, Value, json};

use crate::cli::credit::{self, mode_name, status_name};
use crate::cli::output::{Output, instant_json, instant_text, print_json};
use crate::cli::table::{self, table_of};
use crate::grpc::v1::{Account, Credit, Money, NonUsageBilling};

/// What became of a change.
pub struct Done<'a> {
    /// The account.
    pub account: &'a str,
    /// The name of the request.
    pub request_id: &'a str,
    /// What was done, in a sentence.
    pub text: String,
    /// It was done before.
    pub replayed: bool,
    /// The account's credit afterwards.
    pub credit: Option<Credit>,
    /// What else programs should know.
    pub more: Map<String, Value>,
}

impl Done<'_> {
    /// Prints it.
    pub fn print(self, output: Output) {
        let credit = self.credit.unwrap_or_default();
        match output {
            Output::Table => {
                let again = if self.replayed { " This was done before, by a request of the same id." } else { "" };
                println!("{}{again}\n{}", self.text, credit::as_table(self.account, &credit));
            }
            Output::Json => {
                let mut fields = self.more;
                fields.insert("request_id".into(), self.request_id.into());
                fields.insert("replayed".into(), self.replayed.into());
                fields.insert("credit".into(), Value::Object(credit::as_json(self.account, &credit)));
                print_json(&Value::Object(fields));
            }
        }
    }
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
    let temporary = match amount_of(account.temporary_limit.as_ref()) {
        Value::String(amount) => format!("{amount} until {}", instant_text(account.temporary_limit_expires_at)),
        _ => "none".to_owned(),
    };
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

/// An account, for programs.
pub fn account_json(account: &Account) -> Value {
    let mut fields = credit::as_json(&account.account_id, &account.credit.clone().unwrap_or_default());
    let more = json!({
        "name": account.name,
        "decimals": account.decimals,
        "permanent_limit": amount_of(account.permanent_limit.as_ref()),
        "temporary_limit": amount_of(account.temporary_limit.as_ref()),
        "temporary_limit_expires_at": instant_json(account.temporary_limit_expires_at),
        "low_credit_threshold": amount_of(account.low_credit_threshold.as_ref()),
        "non_usage_billing": non_usage_name(account.non_usage_billing()),
        "open_reservations": account.open_reservations,
        "bill_number": account.bill_number,
        "sequence": account.sequence,
        "created_at": instant_json(account.created_at),
    });
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    Value::Object(fields)
}

/// An amount that may be absent, for programs.
pub fn amount_of(money: Option<&Money>) -> Value {
    money.map_or(Value::Null, |money| Value::String(money.amount.clone()))
}

fn non_usage_name(billing: NonUsageBilling) -> &'static str {
    match billing {
        NonUsageBilling::Unspecified => "unknown",
        NonUsageBilling::Consolidated => "consolidated",
        NonUsageBilling::OneByOne => "one-by-one",
    }
}
