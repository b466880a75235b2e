//! The gRPC services: the edge of the process.
//!
//! A request is read within its bounds ([`wire`]), decided by the ledger ([`front`]), and answered, or refused with details
//! ([`status`]). [`charging`], [`accounts`] and [`billing`] are the services, [`stream`] and [`watch`] the streams of the first;
//! [`dispatch`] finds them, and has [`offloaded`] answer what may take long. [`gate`] and [`deadline`] bound how much and how long. Nothing here decides on money.

pub mod accounts;
pub mod admin;
pub mod advice;
pub mod billing;
pub mod charging;
pub mod deadline;
pub mod dispatch;
pub mod dynamic;
pub mod foreign;
pub mod front;
pub mod gate;
pub mod health;
pub mod offloaded;
pub mod page_token;
pub mod pages;
pub mod status;
pub mod stream;
pub mod watch;
pub mod wire;

pub use proto::v1;

use std::convert::Infallible;

use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic_reflection::server::Builder;
use tower::{Service, ServiceBuilder};

use crate::billing::Billing;
use crate::lanes::offload::Offload;
use crate::ledger::Ledger;
use accounts::Accounts;
use admin::Admin;
use billing::Bills;
use charging::Charging;
use dispatch::Services;
use foreign::Foreign;
use front::Front;
use gate::Gate;
pub use health::Health;
use v1::account_service_server::AccountServiceServer;
use v1::admin_service_server::AdminServiceServer;
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

/// All services of this process, on a ledger, and on a billing store if there is one. Streams end once it is `stopping`.
#[must_use]
pub fn services(
    ledger: Ledger,
    billing: Option<Billing>,
    offload: Offload,
    limits: Limits,
    health: Health,
    stopping: CancellationToken,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + use<> {
    let most = limits.max_message_bytes;
    let front = Front { ledger, gate: Gate::new(&limits), billing, offload: offload.clone(), stopping: stopping.clone() };
    // The limit of a message is one of what is unpacked, too.
    let charging = ChargingServiceServer::new(Charging::new(front.clone(), most)).max_decoding_message_size(most).accept_compressed(Gzip);
    let accounts = AccountServiceServer::new(Accounts::new(front.clone())).max_decoding_message_size(most).accept_compressed(Gzip);
    let bills = BillingServiceServer::new(Bills::new(front.clone())).max_decoding_message_size(most).accept_compressed(Gzip);
    let admin = AdminServiceServer::new(Admin::new(front)).max_decoding_message_size(most).accept_compressed(Gzip);
    let health = health.service().max_decoding_message_size(most).accept_compressed(Gzip);
    let mut others = Routes::new(accounts).add_service(bills).add_service(admin).add_service(Foreign::new(health, stopping.clone(), most));
    match reflection().build_v1() {
        Ok(service) => others = others.add_service(Foreign::new(service, stopping.clone(), most)),
        Err(error) => tracing::error!(%error, "there is no reflection"),
    }
    match reflection().build_v1alpha() {
        Ok(service) => others = others.add_service(Foreign::new(service, stopping, most)),
        Err(error) => tracing::error!(%error, "there is no reflection of the older kind"),
    }
    let services = Services { charging, others: others.prepare(), offload };
    ServiceBuilder::new().map_response(move |response| completed(response, most)).service(services)
}

fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// What tonic refuses by itself (a message that is too large or cannot be decoded, an unknown method) has no details: it gets ours.
fn completed(response: Response<Body>, most: usize) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) => status::completed(&status, most).map_or(response, Status::into_http),
        None => response,
    }
}
