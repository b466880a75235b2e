//! The charge is right: what the rules decide, through the running service.

mod closing;
mod reports;
mod requests;
mod write_offs;

use std::time::{SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::{Response, Status};
use tonic_types::StatusExt;

use crate::service::{Client, Service, money};
use crate::support::{RedisServer, temporary_folder};

/// A service on a store of its own.
struct Stage {
    service: Service,
    engine: &'static str,
    _store: (tempfile::TempDir, Option<RedisServer>),
}

/// One on each engine.
fn stages() -> [Stage; 2] {
    let folder = temporary_folder();
    let embedded = Stage { service: Service::embedded(folder.path()), engine: "embedded", _store: (folder, None) };
    let redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    [embedded, Stage { service, engine: "Redis", _store: (temporary_folder(), Some(redis)) }]
}

/// The reason of an error; else "accepted".
fn reason<T>(answer: &Result<Response<T>, Status>) -> String {
    match answer {
        Ok(_) => "accepted".to_owned(),
        Err(status) => status.get_details_error_info().map_or_else(|| format!("{status:?}"), |info| info.reason),
    }
}

fn operator() -> Option<v1::Operator> {
    by("ann", "a test")
}

fn by(actor: &str, reason: &str) -> Option<v1::Operator> {
    Some(v1::Operator { actor: actor.into(), reason: reason.into() })
}

/// A point in time, by so many seconds from now.
#[allow(clippy::disallowed_methods, reason = "the caller has a clock of its own")]
fn from_now(seconds: i64) -> Option<Timestamp> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Some(Timestamp { seconds: i64::try_from(now.as_secs()).unwrap() + seconds, nanos: 0 })
}

fn adjustment(request_id: &str, amount: &str) -> v1::AdjustBalanceRequest {
    let (account_id, request_id) = ("acme".into(), request_id.into());
    v1::AdjustBalanceRequest { account_id, request_id, amount: money(amount), operator: operator(), first_sent_at: None }
}

/// A prepaid account that owes so much.
async fn debtor(client: &mut Client, debt: &str) {
    client.open("acme", PaymentMode::Prepaid, "0", "0").await;
    client.accounts.adjust_balance(adjustment("debt", &format!("-{debt}"))).await.unwrap();
}
