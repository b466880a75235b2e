//! A sentence of a table as a command of the ledger.

use tollgate::domain::account::{Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{
    Action, Create, Debit, ExcessPolicy, LimitChange, RemainderPolicy, Reserve, Reversal, TemporaryChange, Until,
};
use tollgate::domain::ids::RequestId;
use tollgate::domain::money::DecimalAmount;
use tollgate::domain::time::UnixMillis;

use crate::table::{Limit, Next, Opening, ReserveTerms, Temporary, What};

const DAY: i64 = 86_400_000;
const DEFAULT_VALIDITY: i64 = 600_000;

pub fn decimal(text: &str) -> DecimalAmount {
    DecimalAmount::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn mode(is_postpaid: bool) -> Mode {
    if is_postpaid { Mode::Postpaid } else { Mode::Prepaid }
}

fn billing(is_one_by_one: bool) -> NonUsageBilling {
    if is_one_by_one { NonUsageBilling::OneByOne } else { NonUsageBilling::Consolidated }
}

fn limit(limit: &Limit, now: UnixMillis) -> LimitChange {
    let temporary = match limit.temporary {
        None => TemporaryChange::Keep,
        Some(Temporary::Removed) => TemporaryChange::Remove,
        Some(Temporary::Days(amount, days)) => TemporaryChange::Set { amount: decimal(amount), until: Until::After(i64::from(days) * DAY) },
        Some(Temporary::Until(amount, ahead)) => TemporaryChange::Set { amount: decimal(amount), until: Until::Instant(now + ahead) },
    };
    LimitChange { permanent: limit.permanent.map(decimal), temporary }
}

fn reserve(wanted: &ReserveTerms) -> Reserve {
    let validity = wanted.validity.unwrap_or(DEFAULT_VALIDITY);
    let (amount, minimum) = (decimal(wanted.amount), wanted.minimum.map(decimal));
    Reserve { amount, minimum, validity, grace: wanted.grace.unwrap_or(validity) }
}

fn create(opening: &Opening, now: UnixMillis) -> Action {
    Action::Create(Create {
        name: "Alpha".into(),
        currency: currency(opening.currency),
        minor_digits: match opening.currency {
            "JPY" => 0,
            "KWD" => 3,
            _ => 2,
        },
        decimals: opening.decimals,
        mode: mode(opening.is_postpaid),
        limit: limit(&opening.limit, now),
        low_credit_threshold: opening.low_credit.map(decimal),
        non_usage_billing: billing(opening.is_one_by_one),
        allow_unusable: opening.allow_unusable,
    })
}

fn update(name: Option<&str>, low_credit_threshold: Option<Option<DecimalAmount>>, is_one_by_one: Option<bool>) -> Action {
    Action::Update { name: name.map(str::to_owned), low_credit_threshold, non_usage_billing: is_one_by_one.map(billing) }
}

/// What is asked of the ledger; `None` for nothing, as time is only let pass.
pub fn action(what: &What, now: UnixMillis) -> Option<Action> {
    Some(match what {
        What::Given { opening, .. } | What::Create(opening) => create(opening, now),
        What::Reserve(wanted) => Action::Authorize(reserve(wanted)),
        What::Debit { amount, category, against, then, is_consumed } => Action::Debit(Debit {
            amount: decimal(amount),
            category: match *category {
                "hardware" => Category::Hardware,
                "service" => Category::Service,
                "subscription" => Category::Subscription,
                _ => Category::Usage,
            },
            reservation: against.map(str::to_owned).map(RequestId::from),
            then: match then {
                Next::Settle => RemainderPolicy::Settle,
                Next::Keep => RemainderPolicy::Keep,
                Next::Reserve(wanted) => RemainderPolicy::Reserve(reserve(wanted)),
            },
            excess: if *is_consumed { ExcessPolicy::AlreadyConsumed } else { ExcessPolicy::WithinUsableCredit },
        }),
        What::Release(name) => Action::Release { reservation: (*name).to_owned().into() },
        What::Refund { charge, amount } => Action::Refund(Reversal::of((*charge).to_owned().into(), amount.map(decimal))),
        What::ReversePayment { payment, amount } => Action::ReversePayment(Reversal::of((*payment).to_owned().into(), amount.map(decimal))),
        What::ReverseWriteOff { write_off, amount } => {
            Action::ReverseWriteOff(Reversal::of((*write_off).to_owned().into(), amount.map(decimal)))
        }
        What::TopUp(amount) => Action::TopUp { amount: decimal(amount) },
        What::RecordPayment(amount) => Action::RecordPayment { amount: decimal(amount), invoices: Vec::new() },
        What::Withdraw(amount) => Action::Withdraw { amount: decimal(amount), is_paid_out: false },
        What::Adjust(amount) => Action::Adjust { amount: decimal(amount) },
        What::WriteOff(amount) => Action::WriteOff { amount: amount.map(decimal) },
        What::SetLimit { limit: change, allow_unusable } => {
            Action::SetCreditLimit { limit: limit(change, now), allow_unusable: *allow_unusable }
        }
        What::Convert { is_to_postpaid, limit: change, allow_unusable } => {
            Action::Convert { mode: mode(*is_to_postpaid), limit: limit(change, now), allow_unusable: *allow_unusable }
        }
        What::Rename(name) => update(Some(name), None, None),
        What::LowCredit(amount) => update(None, Some(amount.map(decimal)), None),
        What::Bill { is_one_by_one } => update(None, None, Some(*is_one_by_one)),
        What::Suspend => Action::Suspend,
        What::Resume => Action::Resume,
        What::Close => Action::Close,
        What::Reopen => Action::Reopen,
        What::ReserveAll | What::TimePasses(_) | What::MonthEnds => return None,
    })
}
