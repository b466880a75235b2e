//! What is to be done once it is approved, as it is kept: in JSON, in which the same request is always the same text.

use serde::{Deserialize, Serialize};

use crate::BillingError;
use domain::account::{Currency, Mode, NonUsageBilling};
use domain::command::{Action, Command, Create, LimitChange, TemporaryChange, Until};
use domain::money::DecimalAmount;
use domain::time::UnixMillis;

/// A command, but for its account, its name, and who asks.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stored {
    /// The currency that the caller believes the account to have, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    #[serde(flatten)]
    action: StoredAction,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum StoredAction {
    WriteOff { amount: Option<String> },
    Adjust { amount: String },
    SetCreditLimit { limit: StoredLimit, allow_unusable: bool },
    Convert { mode: u8, limit: StoredLimit, allow_unusable: bool },
    Create(StoredAccount),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct StoredAccount {
    name: String,
    denomination: (String, u8, u8),
    mode: u8,
    limit: StoredLimit,
    low_credit_threshold: Option<String>,
    non_usage_billing: u8,
    allow_unusable: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct StoredLimit {
    permanent: Option<String>,
    temporary: StoredTemporary,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredTemporary {
    Keep,
    Remove,
    Until(String, i64),
    For(String, i64),
}

/// Writes what a command is to do; `None` if it is none that is ever approved.
#[must_use]
pub fn written(command: &Command) -> Option<String> {
    let currency = command.currency.map(|currency| currency.code().to_owned());
    let action = match &command.action {
        Action::WriteOff { amount } => StoredAction::WriteOff { amount: amount.map(text) },
        Action::Adjust { amount } => StoredAction::Adjust { amount: text(*amount) },
        Action::SetCreditLimit { limit, allow_unusable } => {
            StoredAction::SetCreditLimit { limit: StoredLimit::of(limit), allow_unusable: *allow_unusable }
        }
        Action::Convert { mode, limit, allow_unusable } => {
            StoredAction::Convert { mode: *mode as u8, limit: StoredLimit::of(limit), allow_unusable: *allow_unusable }
        }
        Action::Create(create) => StoredAction::Create(StoredAccount {
            name: create.name.clone(),
            denomination: (create.currency.code().to_owned(), create.decimals, create.minor_digits),
            mode: create.mode as u8,
            limit: StoredLimit::of(&create.limit),
            low_credit_threshold: create.low_credit_threshold.map(text),
            non_usage_billing: create.non_usage_billing as u8,
            allow_unusable: create.allow_unusable,
        }),
        _ => return None,
    };
    serde_json::to_string(&Stored { currency, action }).ok()
}

/// Reads what [`written`] writes.
pub fn read(stored: &str) -> Result<(Option<Currency>, Action), BillingError> {
    let Stored { currency, action } = serde_json::from_str(stored).map_err(BillingError::corrupt)?;
    let action = match action {
        StoredAction::WriteOff { amount } => Action::WriteOff { amount: amount.as_deref().map(amount_of).transpose()? },
        StoredAction::Adjust { amount } => Action::Adjust { amount: amount_of(&amount)? },
        StoredAction::SetCreditLimit { limit, allow_unusable } => Action::SetCreditLimit { limit: limit.read()?, allow_unusable },
        StoredAction::Convert { mode, limit, allow_unusable } => {
            Action::Convert { mode: mode_of(mode)?, limit: limit.read()?, allow_unusable }
        }
        StoredAction::Create(account) => {
            let StoredAccount { name, denomination, mode, limit, low_credit_threshold, non_usage_billing, allow_unusable } = account;
            let (currency, decimals, minor_digits) = denomination;
            let ways = [NonUsageBilling::Consolidated, NonUsageBilling::OneByOne];
            Action::Create(Create {
                name,
                currency: currency_of(&currency)?,
                minor_digits,
                decimals,
                mode: mode_of(mode)?,
                limit: limit.read()?,
                low_credit_threshold: low_credit_threshold.as_deref().map(amount_of).transpose()?,
                non_usage_billing: ways.into_iter().find(|way| *way as u8 == non_usage_billing).ok_or_else(|| wrong("a way of billing"))?,
                allow_unusable,
            })
        }
    };
    Ok((currency.as_deref().map(currency_of).transpose()?, action))
}

impl StoredLimit {
    fn of(limit: &LimitChange) -> Self {
        let temporary = match limit.temporary {
            TemporaryChange::Keep => StoredTemporary::Keep,
            TemporaryChange::Remove => StoredTemporary::Remove,
            TemporaryChange::Set { amount, until: Until::Instant(at) } => StoredTemporary::Until(text(amount), at.get()),
            TemporaryChange::Set { amount, until: Until::After(span) } => StoredTemporary::For(text(amount), span),
        };
        Self { permanent: limit.permanent.map(text), temporary }
    }

    fn read(self) -> Result<LimitChange, BillingError> {
        let temporary = match self.temporary {
            StoredTemporary::Keep => TemporaryChange::Keep,
            StoredTemporary::Remove => TemporaryChange::Remove,
            StoredTemporary::Until(amount, at) => {
                TemporaryChange::Set { amount: amount_of(&amount)?, until: Until::Instant(UnixMillis::new(at)) }
            }
            StoredTemporary::For(amount, span) => TemporaryChange::Set { amount: amount_of(&amount)?, until: Until::After(span) },
        };
        Ok(LimitChange { permanent: self.permanent.as_deref().map(amount_of).transpose()?, temporary })
    }
}

/// An amount without zeros behind its last digit: the same amount is always the same text.
fn text(amount: DecimalAmount) -> String {
    let (mut mantissa, mut scale) = (amount.mantissa(), amount.scale());
    while scale > 0 && mantissa % 10 == 0 {
        (mantissa, scale) = (mantissa / 10, scale - 1);
    }
    DecimalAmount::new(mantissa, scale).to_string()
}

fn amount_of(text: &str) -> Result<DecimalAmount, BillingError> {
    DecimalAmount::parse(text).map_err(|_| wrong("an amount"))
}

fn currency_of(code: &str) -> Result<Currency, BillingError> {
    Currency::parse(code).ok_or_else(|| wrong("a currency"))
}

fn mode_of(number: u8) -> Result<Mode, BillingError> {
    [Mode::Prepaid, Mode::Postpaid].into_iter().find(|mode| *mode as u8 == number).ok_or_else(|| wrong("a payment mode"))
}

fn wrong(what: &str) -> BillingError {
    BillingError::corrupt(format!("{what} of an act that waits for approval"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::command::Metadata;

    fn command(currency: Option<Currency>, action: Action) -> Command {
        let (account, request_id) = ("acme".to_owned(), "r".to_owned());
        Command {
            account: account.into(),
            request_id: request_id.into(),
            first_sent_at: None,
            currency,
            action,
            metadata: Metadata::default(),
        }
    }

    #[test]
    fn what_is_to_be_done_is_read_as_it_was_written() {
        let euros = Currency::parse("EUR").unwrap();
        let amount = |text| DecimalAmount::parse(text).unwrap();
        let limits = [
            LimitChange { permanent: Some(amount("5000.5")), temporary: TemporaryChange::Keep },
            LimitChange { permanent: None, temporary: TemporaryChange::Remove },
            LimitChange {
                permanent: None,
                temporary: TemporaryChange::Set { amount: amount("7"), until: Until::Instant(UnixMillis::new(12)) },
            },
            LimitChange { permanent: None, temporary: TemporaryChange::Set { amount: amount("7"), until: Until::After(12) } },
        ];
        let create = Create {
            name: "Acme".to_owned(),
            currency: euros,
            minor_digits: 2,
            decimals: 6,
            mode: Mode::Postpaid,
            limit: limits[2],
            low_credit_threshold: Some(amount("1")),
            non_usage_billing: NonUsageBilling::OneByOne,
            allow_unusable: true,
        };
        let mut actions = vec![
            Action::WriteOff { amount: None },
            Action::WriteOff { amount: Some(amount("3.25")) },
            Action::Adjust { amount: amount("-3.25") },
            Action::Create(create),
        ];
        for limit in limits {
            actions.push(Action::SetCreditLimit { limit, allow_unusable: true });
            actions.push(Action::Convert { mode: Mode::Prepaid, limit, allow_unusable: false });
        }
        for action in actions {
            for currency in [None, Some(euros)] {
                let stored = written(&command(currency, action.clone())).unwrap();
                assert_eq!(read(&stored).unwrap(), (currency, action.clone()), "{stored}");
            }
        }
        assert_eq!(written(&command(None, Action::Suspend)), None);
    }

    #[test]
    fn the_same_amount_is_the_same_text() {
        let of = |text| written(&command(None, Action::Adjust { amount: DecimalAmount::parse(text).unwrap() })).unwrap();
        assert_eq!(of("-10.50"), of("-10.5"));
        assert_eq!(of("100"), of("100.000"));
        assert_ne!(of("100"), of("10"));
    }
}
