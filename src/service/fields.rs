//! The fields of commands that hold amounts, as the API names them in every protocol: errors name them when an amount is refused.

use domain::command::{Action, LimitChange, RemainderPolicy, Reserve, TemporaryChange};
use domain::money::DecimalAmount;

/// An amount, and the path of its field in the request.
type Amount = (&'static str, DecimalAmount);

/// The amounts of a command.
#[must_use]
pub fn amounts(action: &Action) -> Vec<Amount> {
    let mut amounts = Vec::new();
    match action {
        Action::Authorize(reserve) => add_reserve(&mut amounts, reserve),
        Action::Debit(debit) => {
            amounts.push(("amount.amount", debit.amount));
            if let RemainderPolicy::Reserve(reserve) = &debit.then {
                add_reserve(&mut amounts, reserve);
            }
        }
        Action::Refund(undo) | Action::ReversePayment(undo) | Action::ReverseWriteOff(undo) => {
            amounts.extend(undo.amount.map(|amount| ("amount.amount", amount)));
        }
        Action::WriteOff { amount } => amounts.extend(amount.map(|amount| ("amount.amount", amount))),
        Action::TopUp { amount } | Action::RecordPayment { amount, .. } | Action::Withdraw { amount, .. } | Action::Adjust { amount } => {
            amounts.push(("amount.amount", *amount));
        }
        Action::Convert { limit, .. } | Action::SetCreditLimit { limit, .. } => add_limit(&mut amounts, limit),
        Action::Create(create) => {
            add_limit(&mut amounts, &create.limit);
            amounts.extend(create.low_credit_threshold.map(|amount| ("low_credit_threshold.amount", amount)));
        }
        Action::Update { low_credit_threshold, .. } => {
            amounts.extend(low_credit_threshold.flatten().map(|amount| ("low_credit_threshold.amount", amount)));
        }
        Action::Observe { .. }
        | Action::Release { .. }
        | Action::Suspend
        | Action::Resume
        | Action::Close
        | Action::Reopen
        | Action::ClosePeriod
        | Action::EraseName => {}
    }
    amounts
}

fn add_reserve(amounts: &mut Vec<Amount>, reserve: &Reserve) {
    amounts.push(("reserve.amount.amount", reserve.amount));
    amounts.extend(reserve.minimum.map(|minimum| ("reserve.minimum.amount", minimum)));
}

fn add_limit(amounts: &mut Vec<Amount>, limit: &LimitChange) {
    amounts.extend(limit.permanent.map(|amount| ("credit_limit.permanent.amount", amount)));
    if let TemporaryChange::Set { amount, .. } = limit.temporary {
        amounts.push(("credit_limit.set_temporary.limit.amount", amount));
    }
}
