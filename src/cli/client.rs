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
        let channel = connect(server).await?;
        Ok(Self {
            charging: ChargingServiceClient::new(channel.clone()),
            accounts: AccountServiceClient::new(channel.clone()),
            billing: BillingServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel),
        })
    }
}

/// Connects to a service: `http://host:port`, or `host:port` alone.
pub async fn connect(server: &str) -> anyhow::Result<Channel> {
    let url = url(server)?;
    let endpoint = Endpoint::from_shared(url).with_context(|| format!("--server {server:?} is not a URL such as http://127.0.0.1:7600"))?;
    let connected = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT).tcp_nodelay(true).connect().await;
    let failed = |error| Failure::unavailable(format!("no connection to a service at {server}: {:#}", anyhow::Error::from(error)));
    Ok(connected.map_err(failed)?)
}

fn url(server: &str) -> anyhow::Result<String> {
    match server.split_once("://") {
        None => Ok(format!("http://{server}")),
        Some(("http", _)) => Ok(server.to_owned()),
        Some((scheme, _)) => anyhow::bail!("--server {server:?} has the scheme {scheme}: only http:// is there yet"),
    }
}

/// A status, for people.
pub fn explain(status: Status) -> anyhow::Error {
    Failure::of_call(&status).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_be_named_with_and_without_a_scheme() {
        assert_eq!(url("127.0.0.1:7600").unwrap(), "http://127.0.0.1:7600");
        assert_eq!(url("localhost:7600").unwrap(), "http://localhost:7600");
        assert_eq!(url("http://[::1]:7600").unwrap(), "http://[::1]:7600");
        assert!(url("ftp://localhost").unwrap_err().to_string().contains("ftp"));
    }

    #[tokio::test]
    async fn why_there_is_no_connection_is_said_down_to_its_cause() {
        let error = connect("127.0.0.1:1").await.unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
    }
}
