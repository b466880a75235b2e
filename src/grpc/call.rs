//! Shared by all methods: reads a request, calls a use case, and writes its response or error.

use tonic::{Request, Response, Status};

use super::wire::reader::FieldReader;
use super::{context, status};
use crate::clock::Clock;
use crate::domain::command::Command;
use crate::service::UseCases;
use crate::service::commands::Decided;
use crate::service::context::RequestContext;
use crate::service::error::Error;

/// Handles a call that has one answer.
pub async fn unary<Q, A>(
    use_cases: &UseCases,
    request: Request<Q>,
    handle: impl AsyncFnOnce(&UseCases, &RequestContext, Q) -> Result<A, Error>,
) -> Result<Response<A>, Status> {
    let context = context::of(&request);
    let handled = use_cases.handle(&context, handle(use_cases, &context, request.into_inner())).await;
    handled.map(Response::new).map_err(status::of)
}

/// Handles a call that is a command.
pub async fn command<Q, A>(
    use_cases: &UseCases,
    request: Request<Q>,
    read: fn(&mut FieldReader, Q) -> Command,
    write: fn(&Decided) -> A,
) -> Result<Response<A>, Status> {
    let context = context::of(&request);
    let decided = async {
        let command = self::read(use_cases, request.into_inner(), read)?;
        Ok(write(&use_cases.decide(&context, command).await?))
    };
    use_cases.handle(&context, decided).await.map(Response::new).map_err(status::of)
}

/// Reads a request.
pub fn read<Q, T>(use_cases: &UseCases, request: Q, read: impl FnOnce(&mut FieldReader, Q) -> T) -> Result<T, Error> {
    read_by(use_cases.clock(), request, read)
}

/// Reads a request, by a clock.
pub fn read_by<Q, T>(clock: &Clock, request: Q, read: impl FnOnce(&mut FieldReader, Q) -> T) -> Result<T, Error> {
    let mut reader = FieldReader::new(clock.now()).with_calendar(clock);
    let value = read(&mut reader, request);
    reader.finish(value).map_err(Error::invalid)
}
