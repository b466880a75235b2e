//! The gRPC services: the edge of the process.
//!
//! A request is read within its bounds ([`wire`]), given to a use case of [`crate::service`] with its [`context`], and answered, or refused
//! with details ([`status`]). Before that, [`access`] has found who calls, and whether it may. [`charging`], [`accounts`], [`billing`], [`audit`] and [`admin`] are the services; [`dispatch`] finds them, has [`fast_debit`] answer most calls, and
//! [`offloaded`] answer what may take long. Nothing here decides.

pub mod access;
pub mod accounts;
pub mod admin;
pub mod approvals;
pub mod audit;
mod batch_charge;
pub mod billing;
pub mod call;
mod callers;
pub mod charging;
pub mod context;
pub mod dispatch;
pub mod dynamic;
pub mod fast_debit;
pub mod health;
mod notes;
pub mod offloaded;
pub mod page_token;
pub mod pages;
mod read_body;
pub mod status;
pub mod stream;
pub mod third_party;
pub mod wire;

pub use proto::v1;

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic_reflection::server::Builder;
use tower::{Service, ServiceBuilder};

use crate::service::UseCases;
pub use access::AccessLayer;
use accounts::Accounts;
use admin::Admin;
use approvals::Approvals;
use audit::Audit;
use billing::Bills;
use charging::Charging;
use dispatch::Services;
pub use health::Health;
use third_party::ThirdPartyService;
use v1::account_service_server::AccountServiceServer;
use v1::admin_service_server::AdminServiceServer;
use v1::approval_service_server::ApprovalServiceServer;
use v1::audit_service_server::AuditServiceServer;
use v1::billing_service_server::BillingServiceServer;
use v1::charging_service_server::ChargingServiceServer;

/// The largest message, unless another is set.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// All services of this process, of messages up to `most` bytes.
#[must_use]
pub fn services(
    use_cases: UseCases,
    health: Health,
    most: usize,
    access: AccessLayer,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + use<> {
    let (offload, stopping) = (use_cases.offload().clone(), use_cases.stopping().clone());
    // The limit of a message is one of what is unpacked, too.
    let debits = Arc::new(Charging::new(use_cases.clone(), most));
    let charging = ChargingServiceServer::from_arc(Arc::clone(&debits)).max_decoding_message_size(most).accept_compressed(Gzip);
    let accounts = AccountServiceServer::new(Accounts::new(use_cases.clone())).max_decoding_message_size(most).accept_compressed(Gzip);
    let bills = BillingServiceServer::new(Bills::new(use_cases.clone())).max_decoding_message_size(most).accept_compressed(Gzip);
    let audit = AuditServiceServer::new(Audit::new(use_cases.clone())).max_decoding_message_size(most).accept_compressed(Gzip);
    let approvals = ApprovalServiceServer::new(Approvals::new(use_cases.clone())).max_decoding_message_size(most).accept_compressed(Gzip);
    let admin = AdminServiceServer::new(Admin::new(use_cases)).max_decoding_message_size(most).accept_compressed(Gzip);
    let health = health.service().max_decoding_message_size(most).accept_compressed(Gzip);
    let mut others = Routes::new(accounts).add_service(bills).add_service(audit).add_service(approvals).add_service(admin);
    others = others.add_service(ThirdPartyService::new(health, stopping.clone(), most));
    match reflection().build_v1() {
        Ok(service) => others = others.add_service(ThirdPartyService::new(service, stopping.clone(), most)),
        Err(error) => tracing::error!(%error, "there is no reflection"),
    }
    match reflection().build_v1alpha() {
        Ok(service) => others = others.add_service(ThirdPartyService::new(service, stopping, most)),
        Err(error) => tracing::error!(%error, "there is no reflection of the older kind"),
    }
    let services = Services { debits, charging, others: others.prepare(), offload };
    ServiceBuilder::new().map_response(move |response| completed(response, most)).layer(access).service(services)
}

fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// What tonic itself refuses (a message that is too large or cannot be decoded, an unknown method) has no details: it gets ours.
fn completed(response: Response<Body>, most: usize) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) => status::completed(&status, most).map_or(response, Status::into_http),
        None => response,
    }
}
