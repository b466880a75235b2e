//! The `Charge` stream and `BatchCharge`: messages to batches of commands, and outcomes to messages. What a stream answers is written
//! straight to bytes, so it has a codec of its own.

use std::convert::Infallible;
use std::fmt;

use bytes::BufMut;

use futures_util::{Stream, StreamExt};
use http::{Request, Response};
use prost::Message;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstDecoder;

use super::call::read_by as taken;
use super::v1::charge_command::Command as Asked;
use super::v1::charge_outcome::Outcome;
use super::wire::reader::FieldReader;
use super::wire::written::{USUAL_BYTES, put_debit, put_message};
use super::wire::{charging as read, render};
use super::{context, status, v1};
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

/// The path of a stream.
pub const PATH: &str = "/tollgate.v1.ChargingService/Charge";

/// Serves a call of a stream.
pub async fn call(use_cases: UseCases, most: usize, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let service = tower::service_fn(move |request: tonic::Request<Streaming<v1::ChargeRequest>>| {
        let context = context::of(&request);
        let answers = charge(&use_cases, context, request.into_inner(), most, written);
        std::future::ready(answers.map(tonic::Response::new))
    });
    Ok(Grpc::new(Written).accept_compressed(Gzip).max_decoding_message_size(most).streaming(service, request).await)
}

/// Decodes messages, and passes on answers that are written already.
#[derive(Debug)]
struct Written;

impl Codec for Written {
    type Encode = Vec<Vec<u8>>;
    type Decode = v1::ChargeRequest;
    type Encoder = Self;
    type Decoder = ProstDecoder<v1::ChargeRequest>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for Written {
    type Item = Vec<Vec<u8>>;
    type Error = Status;

    fn encode(&mut self, outcomes: Vec<Vec<u8>>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        outcomes.iter().for_each(|outcome| buffer.put_slice(outcome));
        Ok(())
    }
}

/// Serves a stream of batches, whose outcomes are written by `write`.
pub fn charge<T: Send + 'static>(
    use_cases: &UseCases,
    context: RequestContext,
    incoming: Streaming<v1::ChargeRequest>,
    max_message_bytes: usize,
    write: fn(usize, Charge) -> T,
) -> Result<impl Stream<Item = Result<Vec<T>, Status>> + Send + use<T>, Status> {
    let clock = use_cases.clock().clone();
    let batches = incoming.map(move |message| message.map(|message| commands(&clock, message.commands)));
    let answers = use_cases.charge(context, Box::pin(batches), write).map_err(status::of)?;
    Ok(answers.map(move |answer| match answer {
        Ok(outcomes) => Ok(outcomes),
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
            let look = |reader: &mut FieldReader, account| observation(reader.account_id(account));
            (taken(clock, request.account_id, look), "get_usable_credit")
        }
    };
    read.map_err(|error| error.within(FieldPath(index, name)))
}

/// The outcome of a command, as a field of a ChargeResponse.
fn written(index: usize, charge: Charge) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    put_message(&mut bytes, 1, |bytes| match charge {
        Charge::Decided(decided) if matches!(decided.command.action, Action::Debit(_)) => {
            put_message(bytes, 2, |bytes| put_debit(&decided, bytes));
        }
        charge => outcome(index, charge).encode_raw(bytes),
    });
    bytes
}

/// The outcome of a command, as a message.
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
