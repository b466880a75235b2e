//! ChargingService: requests are read, given to a use case, and answered.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::call::{command, read as taken, unary};
use super::v1::charging_service_server::ChargingService;
use super::wire::reader::FieldReader;
use super::wire::{charging as read, render};
use super::{context, status, stream, v1};
use crate::service::UseCases;

/// A stream of answers.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
#[derive(Clone)]
pub struct Charging {
    pub(super) use_cases: UseCases,
    pub(super) max_message_bytes: usize,
}

impl Charging {
    /// The service, of messages up to a size.
    #[must_use]
    pub fn new(use_cases: UseCases, max_message_bytes: usize) -> Self {
        Self { use_cases, max_message_bytes }
    }
}

#[tonic::async_trait]
impl ChargingService for Charging {
    async fn authorize(&self, request: Request<v1::AuthorizeRequest>) -> Result<Response<v1::AuthorizeResponse>, Status> {
        command(&self.use_cases, request, read::authorize, render::authorize).await
    }

    async fn debit(&self, request: Request<v1::DebitRequest>) -> Result<Response<v1::DebitResponse>, Status> {
        command(&self.use_cases, request, read::debit, render::debit).await
    }

    async fn release(&self, request: Request<v1::ReleaseRequest>) -> Result<Response<v1::ReleaseResponse>, Status> {
        command(&self.use_cases, request, read::release, render::release).await
    }

    async fn refund(&self, request: Request<v1::RefundRequest>) -> Result<Response<v1::RefundResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let refunded = use_cases.refund(context, taken(use_cases, request, read::refund)?).await?;
            Ok(render::refund(&refunded.decided, refunded.advice))
        })
        .await
    }

    async fn convert(&self, request: Request<v1::ConvertRequest>) -> Result<Response<v1::ConvertResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let converted = use_cases.convert(context, taken(use_cases, request, read::convert)?).await?;
            Ok(render::convert(converted))
        })
        .await
    }

    async fn get_usable_credit(
        &self,
        request: Request<v1::GetUsableCreditRequest>,
    ) -> Result<Response<v1::GetUsableCreditResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let account = taken(use_cases, request.account_id, FieldReader::account_id)?;
            Ok(render::usable_credit(&use_cases.observe(context, &account).await?))
        })
        .await
    }

    type WatchUsableCreditStream = Answers<v1::WatchUsableCreditResponse>;

    async fn watch_usable_credit(
        &self,
        request: Request<v1::WatchUsableCreditRequest>,
    ) -> Result<Response<Self::WatchUsableCreditStream>, Status> {
        let context = context::of(&request);
        let account = taken(&self.use_cases, request.into_inner().account_id, FieldReader::account_id).map_err(status::of)?;
        let changes = self.use_cases.watch(context, account).await.map_err(status::of)?;
        Ok(Response::new(Box::pin(changes.map(|change| change.map(render::credit_change).map_err(status::of)))))
    }

    type ChargeStream = Answers<v1::ChargeResponse>;

    async fn charge(&self, request: Request<Streaming<v1::ChargeRequest>>) -> Result<Response<Self::ChargeStream>, Status> {
        let context = context::of(&request);
        let answers = stream::charge(&self.use_cases, context, request.into_inner(), self.max_message_bytes, stream::outcome)?;
        Ok(Response::new(Box::pin(answers.map(|outcomes| Ok(v1::ChargeResponse { outcomes: outcomes? })))))
    }

    async fn batch_charge(&self, request: Request<v1::BatchChargeRequest>) -> Result<Response<v1::BatchChargeResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let outcomes = use_cases.charge_batch(context, stream::commands(use_cases.clock(), request.commands), stream::outcome).await?;
            Ok(v1::BatchChargeResponse { outcomes })
        })
        .await
    }
}
