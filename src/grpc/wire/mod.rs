//! Messages to commands, and outcomes to messages: nothing is decided here.
//!
//! [`reader`] reads single fields within their bounds and collects what is wrong; [`limits`], [`charging`] and [`accounts`] read
//! whole requests; [`render`] writes answers, [`listing`] what lists show.

pub mod accounts;
pub mod charging;
pub mod limits;
pub mod listing;
pub mod reader;
pub mod render;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::domain::account::Millis;
use crate::domain::command::{Action, Command, LimitChange, Reserve, TemporaryChange, Then};
use crate::domain::money::Quote;
use crate::domain::outcome::{Decision, Outcome};

/// Where a request stands: on its own, or in a batch. What comes of it names its fields so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position(Option<(usize, &'static str)>);

impl Position {
    /// The command of that number and name in a batch.
    #[must_use]
    pub fn in_batch(index: usize, name: &'static str) -> Self {
        Self(Some((index, name)))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((index, name)) => write!(formatter, "commands[{index}].{name}."),
            None => Ok(()),
        }
    }
}

/// What was asked, and where it stood.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What was asked; the ledger holds it too.
    pub command: Arc<Command>,
    /// Where it stood.
    pub place: Position,
}

impl Subject {
    /// A command and its place.
    #[must_use]
    pub fn new(command: Command, place: Position) -> Self {
        Self { command: Arc::new(command), place }
    }

    /// The amounts of the request, each with its field.
    #[must_use]
    pub fn amounts(&self) -> Vec<(&'static str, Quote)> {
        let mut amounts = Vec::new();
        match &self.command.action {
            Action::Authorize(reserve) => add_reserve(&mut amounts, reserve),
            Action::Debit(debit) => {
                amounts.push(("amount.amount", debit.amount));
                if let Then::Reserve(reserve) = &debit.then {
                    add_reserve(&mut amounts, reserve);
                }
            }
            Action::Refund(undo) | Action::ReversePayment(undo) | Action::ReverseWriteOff(undo) => {
                amounts.extend(undo.amount.map(|amount| ("amount.amount", amount)));
            }
            Action::WriteOff { amount } => amounts.extend(amount.map(|amount| ("amount.amount", amount))),
            Action::TopUp { amount } | Action::RecordPayment { amount, .. } | Action::Withdraw { amount } | Action::Adjust { amount } => {
                amounts.push(("amount.amount", *amount))
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
            | Action::ClosePeriod => {}
        }
        amounts
    }
}

fn add_reserve(amounts: &mut Vec<(&'static str, Quote)>, reserve: &Reserve) {
    amounts.push(("reserve.amount.amount", reserve.amount));
    amounts.extend(reserve.minimum.map(|minimum| ("reserve.minimum.amount", minimum)));
}

fn add_limit(amounts: &mut Vec<(&'static str, Quote)>, limit: &LimitChange) {
    amounts.extend(limit.permanent.map(|amount| ("credit_limit.permanent.amount", amount)));
    if let TemporaryChange::Set { amount, .. } = limit.temporary {
        amounts.push(("credit_limit.set_temporary.limit.amount", amount));
    }
}

/// What the ledger decided, with what was asked.
#[derive(Clone, Debug)]
pub struct Decided {
    /// What was asked.
    pub subject: Subject,
    /// What the ledger said.
    pub outcome: Outcome,
    /// The decision in it.
    pub decision: Decision,
    /// The ledger's time.
    pub now: Millis,
}
