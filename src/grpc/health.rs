//! Whether this process serves, as `grpc.health.v1` tells it: not, until it is said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::ServiceExt;

use super::MAX_MESSAGE_BYTES;
use super::accounts::Accounts;
use super::admin::Admin;
use super::approvals::Approvals;
use super::audit::Audit;
use super::billing::Bills;
use super::charging::Charging;
use super::third_party::ThirdPartyService;
use super::v1::account_service_server::AccountServiceServer;
use super::v1::admin_service_server::AdminServiceServer;
use super::v1::approval_service_server::ApprovalServiceServer;
use super::v1::audit_service_server::AuditServiceServer;
use super::v1::billing_service_server::BillingServiceServer;
use super::v1::charging_service_server::ChargingServiceServer;

/// The names of the health service: the process as a whole, and each service.
const NAMES: [&str; 7] = [
    <AdminServiceServer<Admin>>::NAME,
    "",
    <ChargingServiceServer<Charging>>::NAME,
    <AccountServiceServer<Accounts>>::NAME,
    <BillingServiceServer<Bills>>::NAME,
    <AuditServiceServer<Audit>>::NAME,
    <ApprovalServiceServer<Approvals>>::NAME,
];

/// The name under which health tells of the aggregation in this process.
pub const AGGREGATION: &str = "tollgate.aggregation";

/// The name under which health tells whether commands are decided in all partitions.
pub const PARTITIONS: &str = "tollgate.partitions";

/// The name under which health says that the process answers, whatever its store does: for those who would start it again if it did not.
pub const LIVENESS: &str = "tollgate.liveness";

/// The health of this process. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    /// What was said last, by name: a watcher hears of changes only.
    told: Arc<Mutex<HashMap<&'static str, ServingStatus>>>,
}

impl Health {
    /// Not serving yet.
    #[must_use]
    pub fn new() -> Self {
        let health = Self { reporter: HealthReporter::new(), told: Arc::default() };
        // Nobody else holds the reporter yet, so this never waits.
        let _ = health.set_serving(false).now_or_never();
        let _ = health.set(LIVENESS, true).now_or_never();
        health
    }

    /// Sets whether this process serves.
    pub async fn set_serving(&self, is_serving: bool) {
        for name in NAMES {
            self.set(name, is_serving).await;
        }
    }

    /// Sets whether an aggregator that is a process of its own does its work; it serves no calls.
    pub async fn set_aggregator(&self, is_good: bool) {
        self.set("", is_good).await;
        self.set_aggregating(is_good).await;
    }

    /// Sets whether the aggregation in this process goes on everywhere.
    pub async fn set_aggregating(&self, is_aggregating: bool) {
        self.set(AGGREGATION, is_aggregating).await;
    }

    /// Sets whether commands are decided in all partitions, and none has lost what was acknowledged.
    pub async fn set_deciding(&self, is_deciding: bool) {
        self.set(PARTITIONS, is_deciding).await;
    }

    async fn set(&self, name: &'static str, is_good: bool) {
        let status = if is_good { ServingStatus::Serving } else { ServingStatus::NotServing };
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(name, status) != Some(status) {
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Health alone, to be served where nothing else is: any other path is not found, also for those who look at the HTTP status only.
    pub fn router(&self, stopping: CancellationToken) -> axum::Router {
        let service = ThirdPartyService::new(self.service(), stopping, MAX_MESSAGE_BYTES);
        let service = service.map_request(|request: http::Request<axum::body::Body>| request.map(Body::new));
        axum::Router::new().route_service(&format!("/{}/{{*method}}", <HealthServer<HealthService>>::NAME), service)
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}
