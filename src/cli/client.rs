//! The one gRPC client of all commands that call a running service.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::failure::Failure;
use crate::grpc::v1::account_service_client::AccountServiceClient;
use crate::grpc::v1::admin_service_client::AdminServiceClient;
use crate::grpc::v1::billing_service_client::BillingServiceClient;
use crate::grpc::v1::charging_service_client::ChargingServiceClient;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Which service to call.
#[derive(Args, Clone, Debug)]
pub struct ServerOptions {
    /// The service to call.
    #[arg(long, env = "TOLLGATE_SERVER", default_value = "http://127.0.0.1:7600", value_name = "URL", global = true)]
    pub server: String,
}

/// A connection to a running service. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    /// Charging.
    pub charging: ChargingServiceClient<Channel>,
    /// Accounts.
    pub accounts: AccountServiceClient<Channel>,
    /// Bills.
    pub billing: BillingServiceClient<Channel>,
    /// Care for the stores.
    pub admin: AdminServiceClient<Channel>,
}

impl Client {
    /// Connects.
    pub async fn connect(server: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(server.to_owned()).context("--server takes a URL such as http://127.0.0.1:7600")?;
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .tcp_nodelay(true)
            .connect()
            .await
            .map_err(|error| Failure::unavailable(format!("no service answers at {server}: {error}")))?;
        Ok(Self {
            charging: ChargingServiceClient::new(channel.clone()),
            accounts: AccountServiceClient::new(channel.clone()),
            billing: BillingServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel),
        })
    }
}

/// A status, for people.
pub fn explain(status: Status) -> anyhow::Error {
    Failure::of_call(&status).into()
}
