//! The gRPC services: the edge of the process.
//!
//! A request is read within its bounds ([`wire`]), decided by the ledger ([`front`]), and answered, or refused with details
//! ([`status`]). [`charging`], [`accounts`] and [`billing`] are the services, [`stream`] and [`watch`] the streams of the first;
//! [`dispatch`] finds them. [`gate`] and [`deadline`] bound how much and how long. Nothing here decides on money.

pub mod accounts;
pub mod advice;
pub mod billing;
pub mod charging;
pub mod deadline;
pub mod dispatch;
pub mod front;
pub mod gate;
pub mod health;
pub mod page_token;
pub mod status;
pub mod stream;
pub mod watch;
pub mod wire;

/// The messages and services of `proto/tollgate/v1`.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("tollgate.v1");

    /// The files of the API and all that they import, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("tollgate.v1");
}

use std::convert::Infallible;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_reflection::server::Builder;
use tower::{Service, ServiceBuilder};

use crate::billing::Billing;
use crate::ledger::Ledger;
use accounts::Accounts;
use billing::Bills;
use charging::Charging;
use dispatch::Services;
use front::Front;
use gate::Gate;
pub use health::Health;
use v1::account_service_server::AccountServiceServer;
use v1::billing_service_server::BillingServiceServer;
use v1::charging_service_server::ChargingServiceServer;

/// How much is taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message.
    pub max_message_bytes: usize,
    /// The most unary requests under way.
    pub max_concurrent_requests: usize,
    /// The most watches open.
    pub max_watches: usize,
    /// The most `Charge` streams open.
    pub max_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message_bytes: 1 << 20, max_concurrent_requests: 8192, max_watches: 10_000, max_streams: 1024 }
    }
}

/// All services of this process, on a ledger, and on a billing store if there is one.
#[must_use]
pub fn services(
    ledger: Ledger,
    billing: Option<Billing>,
    limits: Limits,
    health: Health,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + use<> {
    let most = limits.max_message_bytes;
    let front = Front { ledger, gate: Gate::new(&limits), billing };
    let charging = ChargingServiceServer::new(Charging::new(front.clone(), most)).max_decoding_message_size(most);
    let accounts = AccountServiceServer::new(Accounts::new(front.clone())).max_decoding_message_size(most);
    let bills = BillingServiceServer::new(Bills::new(front)).max_decoding_message_size(most);
    let mut others = Routes::new(accounts).add_service(bills).add_service(health.service());
    match reflection().build_v1() {
        Ok(service) => others = others.add_service(service),
        Err(error) => tracing::error!(%error, "there is no reflection"),
    }
    match reflection().build_v1alpha() {
        Ok(service) => others = others.add_service(service),
        Err(error) => tracing::error!(%error, "there is no reflection of the older kind"),
    }
    let services = Services { charging, others: others.prepare() };
    ServiceBuilder::new().map_response(move |response| tell_of_message(response, most)).service(services)
}

fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// tonic says OUT_OF_RANGE of a message that is too large, and INTERNAL, without details, of one that cannot be decoded. These services
/// never say the one, nor the other without details; both are the caller's to mend, and are told as such.
fn tell_of_message(response: Response<Body>, most: usize) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) => status::of_message(&status, most).map_or(response, Status::into_http),
        None => response,
    }
}
