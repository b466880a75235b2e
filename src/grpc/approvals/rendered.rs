//! Acts that need a second person, as answers show them.

use crate::billing::approvals::{Approval, Party, State};
use crate::domain::account::Currency;
use crate::domain::approval::GuardedAct;
use crate::domain::command::{Action, LimitChange, TemporaryChange, Until};
use crate::domain::money::DecimalAmount;
use crate::domain::time::Millis;
use crate::grpc::v1;
use crate::grpc::wire::render::{instant, mode};
use crate::service::error::Error;

/// A kind of act.
pub fn act(act: GuardedAct) -> v1::GuardedAct {
    match act {
        GuardedAct::WriteOff => v1::GuardedAct::WriteOff,
        GuardedAct::Adjust => v1::GuardedAct::Adjust,
        GuardedAct::RaiseLimit => v1::GuardedAct::RaiseLimit,
    }
}

/// An act that was asked for.
pub fn approval(found: &Approval) -> Result<v1::Approval, Error> {
    let state = match found.state {
        State::Waiting => v1::ApprovalState::Waiting,
        State::Approved => v1::ApprovalState::Approved,
        State::Done => v1::ApprovalState::Done,
        State::Failed => v1::ApprovalState::Failed,
        State::Rejected => v1::ApprovalState::Rejected,
        State::Expired => v1::ApprovalState::Expired,
    };
    Ok(v1::Approval {
        approval_id: found.id.to_string(),
        account_id: found.account.to_string(),
        request_id: found.request_id.to_string(),
        act: act(found.act).into(),
        amount: found.amount.map(|amount| money(amount, found.currency)),
        to_do: Some(to_do(&found.action()?)),
        asked: Some(party(&found.asked)),
        ends_at: Some(instant(found.ends_at)),
        state: state.into(),
        decided: found.decided.at.is_some().then(|| party(&found.decided)),
        failure: found.failure.clone(),
    })
}

fn money(amount: DecimalAmount, currency: Currency) -> v1::Money {
    v1::Money { amount: amount.to_string(), currency_code: currency.code().to_owned() }
}

fn party(party: &Party) -> v1::ApprovalParty {
    let Party { name, on_behalf_of, reason, at } = party.clone();
    v1::ApprovalParty { actor: name, on_behalf_of, reason, at: Some(instant(at)) }
}

fn to_do(action: &Action) -> v1::ActToApprove {
    match action {
        Action::WriteOff { amount } => v1::ActToApprove { amount: text(*amount), ..Default::default() },
        Action::Adjust { amount } => v1::ActToApprove { amount: amount.to_string(), ..Default::default() },
        Action::SetCreditLimit { limit, .. } => limits(limit),
        Action::Convert { mode: to, limit, .. } => v1::ActToApprove { mode: mode(*to).into(), ..limits(limit) },
        Action::Create(create) => {
            v1::ActToApprove { mode: mode(create.mode).into(), new_account_name: create.name.clone(), ..limits(&create.limit) }
        }
        _ => v1::ActToApprove::default(),
    }
}

fn limits(limit: &LimitChange) -> v1::ActToApprove {
    let permanent = v1::ActToApprove { permanent_limit: text(limit.permanent), ..Default::default() };
    match limit.temporary {
        TemporaryChange::Keep => permanent,
        TemporaryChange::Remove => v1::ActToApprove { removes_temporary_limit: true, ..permanent },
        TemporaryChange::Set { amount, until } => {
            let (temporary_until, temporary_for) = match until {
                Until::Instant(at) => (Some(instant(at)), None),
                Until::After(span) => (None, Some(duration(span))),
            };
            v1::ActToApprove { temporary_limit: amount.to_string(), temporary_until, temporary_for, ..permanent }
        }
    }
}

fn text(amount: Option<DecimalAmount>) -> String {
    amount.map_or_else(String::new, |amount| amount.to_string())
}

fn duration(millis: Millis) -> prost_types::Duration {
    let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    prost_types::Duration { seconds: millis.div_euclid(1000), nanos }
}
