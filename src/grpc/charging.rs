//! ChargingService: each request is read, decided, answered. [`super::stream`] and [`super::watch`] hold the streams.

use std::pin::Pin;

use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::front::Front;
use super::v1::charging_service_server::ChargingService;
use super::wire::Position;
use super::wire::reader::Reader;
use super::wire::{charging as read, render};
use super::{advice, stream, v1, watch};

/// A stream of answers.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
#[derive(Clone)]
pub struct Charging {
    front: Front,
    max_message_bytes: usize,
}

impl Charging {
    /// The service on a ledger.
    #[must_use]
    pub fn new(front: Front, max_message_bytes: usize) -> Self {
        Self { front, max_message_bytes }
    }
}

#[tonic::async_trait]
impl ChargingService for Charging {
    async fn authorize(&self, request: Request<v1::AuthorizeRequest>) -> Result<Response<v1::AuthorizeResponse>, Status> {
        self.front.answer(request, read::authorize, render::authorize).await
    }

    async fn debit(&self, request: Request<v1::DebitRequest>) -> Result<Response<v1::DebitResponse>, Status> {
        self.front.answer(request, read::debit, render::debit).await
    }

    async fn release(&self, request: Request<v1::ReleaseRequest>) -> Result<Response<v1::ReleaseResponse>, Status> {
        self.front.answer(request, read::release, render::release).await
    }

    async fn refund(&self, request: Request<v1::RefundRequest>) -> Result<Response<v1::RefundResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let decided = front.decide(front.read(request, Position::default(), read::refund)?).await?;
                let advice = advice::after_refund(front, &decided).await;
                Ok(v1::RefundResponse { advice, ..render::refund(&decided) })
            })
            .await
    }

    async fn convert(&self, request: Request<v1::ConvertRequest>) -> Result<Response<v1::ConvertResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let decided = front.decide(front.read(request, Position::default(), read::convert)?).await?;
                let known = advice::known(front, &decided).await;
                Ok(render::convert(&decided, &known))
            })
            .await
    }

    async fn get_usable_credit(
        &self,
        request: Request<v1::GetUsableCreditRequest>,
    ) -> Result<Response<v1::GetUsableCreditResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let account = front.read(request.account_id, Position::default(), Reader::account_id)?;
                let outcome = front.observe(&account, false).await?;
                Ok(render::usable_credit(&outcome, outcome.now))
            })
            .await
    }

    type WatchUsableCreditStream = Answers<v1::WatchUsableCreditResponse>;

    async fn watch_usable_credit(
        &self,
        request: Request<v1::WatchUsableCreditRequest>,
    ) -> Result<Response<Self::WatchUsableCreditStream>, Status> {
        let account = self.front.read(request.into_inner().account_id, Position::default(), Reader::account_id)?;
        Ok(Response::new(Box::pin(watch::watch(self.front.clone(), account).await?)))
    }

    type ChargeStream = Answers<v1::ChargeResponse>;

    async fn charge(&self, request: Request<Streaming<v1::ChargeRequest>>) -> Result<Response<Self::ChargeStream>, Status> {
        let answers = stream::charge(self.front.clone(), Box::pin(request.into_inner()), self.max_message_bytes)?;
        Ok(Response::new(Box::pin(answers)))
    }

    async fn batch_charge(&self, request: Request<v1::BatchChargeRequest>) -> Result<Response<v1::BatchChargeResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let outcomes = stream::batch(front.clone(), request.commands, self.max_message_bytes).await?;
                Ok(v1::BatchChargeResponse { outcomes })
            })
            .await
    }
}
