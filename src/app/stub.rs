//! Stands in for the gRPC services until they are merged.

use crate::ledger::Ledger;

#[derive(Clone, Debug, Default)]
pub struct Limits;

#[derive(Clone)]
pub struct Health(tonic_health::server::HealthReporter);

impl Health {
    pub fn new() -> Self {
        Self(tonic_health::server::HealthReporter::new())
    }

    pub async fn set_serving(&self, is_serving: bool) {
        let status = if is_serving { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
        self.0.set_service_status("", status).await;
    }
}

pub fn routes(_ledger: Ledger, _limits: Limits, health: Health) -> tonic::service::Routes {
    tonic::service::Routes::new(tonic_health::pb::health_server::HealthServer::new(
        tonic_health::server::HealthService::from_health_reporter(health.0),
    ))
}
