//! The answers of a Charge stream, as far as they are checked: messages of charging.proto without the fields that nobody looks at.
//!
//! The load generator shares the machine with what it measures, and reading whole answers was half of what it took from it.

use prost::{Message, Oneof};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::cli::client::Connection;
use crate::grpc::v1::{BatchChargeRequest, ChargeRequest};

/// Part of a `ChargeResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Answers {
    #[prost(message, repeated, tag = "1")]
    pub outcomes: Vec<Outcome>,
}

/// Part of a `ChargeOutcome`.
#[derive(Clone, PartialEq, Message)]
pub struct Outcome {
    #[prost(oneof = "OutcomeKind", tags = "1, 2, 3, 4, 5, 7")]
    pub told: Option<OutcomeKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum OutcomeKind {
    #[prost(message, tag = "1")]
    Authorize(Authorized),
    #[prost(message, tag = "2")]
    Debit(Debited),
    #[prost(message, tag = "3")]
    Release(Nothing),
    #[prost(message, tag = "4")]
    Refund(Refunded),
    #[prost(message, tag = "5")]
    Convert(Converted),
    #[prost(message, tag = "7")]
    Error(tonic_types::Status),
}

/// Part of an `AuthorizeResponse`: granted or not.
#[derive(Clone, PartialEq, Message)]
pub struct Authorized {
    #[prost(message, optional, tag = "1")]
    pub granted: Option<Reservation>,
    #[prost(message, optional, tag = "2")]
    pub declined: Option<Nothing>,
}

/// Part of a `Reservation`.
#[derive(Clone, PartialEq, Message)]
pub struct Reservation {
    #[prost(message, optional, tag = "2")]
    pub amount: Option<Amount>,
}

/// Part of a `DebitResponse`: charged or not.
#[derive(Clone, PartialEq, Message)]
pub struct Debited {
    #[prost(message, optional, tag = "1")]
    pub charged: Option<Charged>,
    #[prost(message, optional, tag = "2")]
    pub declined: Option<Nothing>,
}

/// Part of a `Charged`.
#[derive(Clone, PartialEq, Message)]
pub struct Charged {
    #[prost(message, optional, tag = "1")]
    pub amount: Option<Amount>,
    #[prost(message, optional, tag = "3")]
    pub reservation: Option<Reservation>,
}

/// Part of a `RefundResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Refunded {
    #[prost(message, optional, tag = "7")]
    pub credited: Option<Amount>,
}

/// Part of a `ConvertResponse`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Converted {
    #[prost(bool, tag = "1")]
    pub converted: bool,
}

/// Part of a `Money`.
#[derive(Clone, PartialEq, Message)]
pub struct Amount {
    #[prost(string, tag = "1")]
    pub amount: String,
}

/// A message of which it only matters that it is there.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Nothing {}

/// Sends a batch by BatchCharge, whose response has the fields of a `ChargeResponse`.
pub async fn batch_charge(channel: &Connection, request: Request<BatchChargeRequest>) -> Result<Answers, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/tollgate.v1.ChargingService/BatchCharge");
    Ok(client.unary(request, path, ProstCodec::default()).await?.into_inner())
}

/// Opens a Charge stream.
pub async fn charge(
    channel: &Connection,
    requests: impl tokio_stream::Stream<Item = ChargeRequest> + Send + 'static,
) -> Result<Streaming<Answers>, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/tollgate.v1.ChargingService/Charge");
    Ok(client.streaming(Request::new(requests), path, ProstCodec::default()).await?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::v1::{self, authorize_response, charge_outcome, debit_response};

    #[test]
    fn what_is_checked_of_an_answer_is_what_the_answer_says() {
        let money = |amount: &str| Some(v1::Money { amount: amount.into(), currency_code: "EUR".into() });
        let credit = Some(v1::Credit { balance: "99.58".into(), ..Default::default() });
        let charged = v1::Charged { amount: money("0.42"), overdraft: money("0.00"), ..Default::default() };
        let granted = v1::Reservation { reservation_id: "r1".into(), amount: money("5.00"), ..Default::default() };
        let reported = v1::Charged { amount: money("0.43"), reservation: Some(Box::new(granted.clone())), ..Default::default() };
        let declined = v1::Decline { usable: money("1.00"), ..Default::default() };
        let told = [
            charge_outcome::Outcome::Debit(v1::DebitResponse {
                outcome: Some(debit_response::Outcome::Charged(charged)),
                credit: credit.clone(),
                replayed: true,
            }),
            charge_outcome::Outcome::Debit(v1::DebitResponse {
                outcome: Some(debit_response::Outcome::Declined(declined.clone())),
                ..Default::default()
            }),
            charge_outcome::Outcome::Authorize(v1::AuthorizeResponse {
                outcome: Some(authorize_response::Outcome::Granted(granted)),
                credit,
                ..Default::default()
            }),
            charge_outcome::Outcome::Authorize(v1::AuthorizeResponse {
                outcome: Some(authorize_response::Outcome::Declined(declined)),
                ..Default::default()
            }),
            charge_outcome::Outcome::Convert(v1::ConvertResponse { converted: true, usable_after: money("7.00"), ..Default::default() }),
            charge_outcome::Outcome::Error(tonic_types::Status { code: 5, message: "no".into(), details: Vec::new() }),
            charge_outcome::Outcome::Release(v1::ReleaseResponse { released: money("2.00"), ..Default::default() }),
            charge_outcome::Outcome::Refund(v1::RefundResponse { refunded: money("0.425"), credited: money("0.42"), ..Default::default() }),
            charge_outcome::Outcome::Debit(v1::DebitResponse {
                outcome: Some(debit_response::Outcome::Charged(reported)),
                ..Default::default()
            }),
        ];
        let outcomes = told.into_iter().map(|told| v1::ChargeOutcome { outcome: Some(told) }).collect();
        let read = Answers::decode(v1::ChargeResponse { outcomes }.encode_to_vec().as_slice()).unwrap();
        let amount = |amount: &str| Some(Amount { amount: amount.into() });
        let nothing = Some(Nothing {});
        let expected = [
            Some(OutcomeKind::Debit(Debited { charged: Some(Charged { amount: amount("0.42"), reservation: None }), declined: None })),
            Some(OutcomeKind::Debit(Debited { charged: None, declined: nothing })),
            Some(OutcomeKind::Authorize(Authorized { granted: Some(Reservation { amount: amount("5.00") }), declined: None })),
            Some(OutcomeKind::Authorize(Authorized { granted: None, declined: nothing })),
            Some(OutcomeKind::Convert(Converted { converted: true })),
            Some(OutcomeKind::Error(tonic_types::Status { code: 5, message: "no".into(), details: Vec::new() })),
            Some(OutcomeKind::Release(Nothing {})),
            Some(OutcomeKind::Refund(Refunded { credited: amount("0.42") })),
            Some(OutcomeKind::Debit(Debited {
                charged: Some(Charged { amount: amount("0.43"), reservation: Some(Reservation { amount: amount("5.00") }) }),
                declined: None,
            })),
        ];
        assert_eq!(read.outcomes.into_iter().map(|outcome| outcome.told).collect::<Vec<_>>(), expected);
    }
}
