//! The `Charge` stream and `BatchCharge`: messages to batches of commands, and outcomes to messages.

use std::fmt;

use futures_util::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::call::read_by as taken;
use super::v1::charge_command::Command as Asked;
use super::v1::charge_outcome::Outcome;
use super::wire::reader::Reader;
use super::wire::{charging as read, render};
use super::{status, v1};
use crate::clock::Clock;
use crate::domain::command::{Action, Command};
use crate::service::UseCases;
use crate::service::charges::{Charge, Interrupted};
use crate::service::commands::observation;
use crate::service::context::RequestContext;
use crate::service::error::Error;

/// The path of a command's fields in its batch.
struct FieldPath(usize, &'static str);

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(index, name) = self;
        write!(formatter, "commands[{index}].{name}.")
    }
}

/// Serves a stream of batches.
pub fn charge(
    use_cases: &UseCases,
    context: RequestContext,
    incoming: Streaming<v1::ChargeRequest>,
    max_message_bytes: usize,
) -> Result<impl Stream<Item = Result<v1::ChargeResponse, Status>> + Send + use<>, Status> {
    let clock = use_cases.clock().clone();
    let batches = incoming.map(move |message| message.map(|message| commands(&clock, message.commands)));
    let answers = use_cases.charge(context, Box::pin(batches), outcome).map_err(status::of)?;
    Ok(answers.map(move |answer| match answer {
        Ok(outcomes) => Ok(v1::ChargeResponse { outcomes }),
        Err(Interrupted::Error(error)) => Err(status::of(error)),
        Err(Interrupted::Unreadable(status)) => Err(status::completed(&status, max_message_bytes).unwrap_or(status)),
    }))
}

/// The commands of a batch, each read when it is its turn.
pub fn commands(
    clock: &Clock,
    commands: Vec<v1::ChargeCommand>,
) -> impl ExactSizeIterator<Item = Result<Command, Error>> + Send + Sync + use<> {
    let clock = clock.clone();
    commands.into_iter().enumerate().map(move |(index, command)| read_command(&clock, index, command))
}

fn read_command(clock: &Clock, index: usize, command: v1::ChargeCommand) -> Result<Command, Error> {
    let (read, name) = match command.command {
        None => return Err(Error::invalid_field(&format!("commands[{index}].command"), "must be given")),
        Some(Asked::Authorize(request)) => (taken(clock, request, read::authorize), "authorize"),
        Some(Asked::Debit(request)) => (taken(clock, request, read::debit), "debit"),
        Some(Asked::Release(request)) => (taken(clock, request, read::release), "release"),
        Some(Asked::Refund(request)) => (taken(clock, request, read::refund), "refund"),
        Some(Asked::Convert(request)) => (taken(clock, request, read::convert), "convert"),
        Some(Asked::GetUsableCredit(request)) => {
            let look = |reader: &mut Reader, account| observation(reader.account_id(account));
            (taken(clock, request.account_id, look), "get_usable_credit")
        }
    };
    read.map_err(|error| error.within(FieldPath(index, name)))
}

/// What became of a command, as a message.
pub fn outcome(index: usize, charge: Charge) -> v1::ChargeOutcome {
    let outcome = match charge {
        Charge::Seen(outcome) => Outcome::GetUsableCredit(render::usable_credit(&outcome)),
        Charge::Converted(converted) => Outcome::Convert(render::convert(converted)),
        Charge::Decided(decided) => match decided.command.action {
            Action::Authorize(_) => Outcome::Authorize(render::authorize(&decided)),
            Action::Debit(_) => Outcome::Debit(render::debit(&decided)),
            Action::Release { .. } => Outcome::Release(render::release(&decided)),
            _ => Outcome::Refund(render::refund(&decided, Vec::new())),
        },
        Charge::Unread(error) => Outcome::Error(status::as_outcome(error)),
        Charge::Failed(command, error) => Outcome::Error(status::as_outcome(error.within(FieldPath(index, name_of(&command.action))))),
    };
    v1::ChargeOutcome { outcome: Some(outcome) }
}

/// The field of a command's message in its batch.
fn name_of(action: &Action) -> &'static str {
    match action {
        Action::Authorize(_) => "authorize",
        Action::Debit(_) => "debit",
        Action::Release { .. } => "release",
        Action::Refund(_) => "refund",
        Action::Convert { .. } => "convert",
        _ => "get_usable_credit",
    }
}
