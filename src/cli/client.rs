//! The one gRPC client of all commands that call a running service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use platform::files::private_file;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

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
    /// For https: the authorities that may have signed the service's certificate, a PEM file [default: those of this machine]
    #[arg(long, env = "TOLLGATE_CA", value_name = "FILE", global = true, help_heading = "TLS")]
    pub ca: Option<PathBuf>,
    /// For https: the certificate to show to the service, a PEM file.
    #[arg(long, env = "TOLLGATE_CERT", value_name = "FILE", global = true, requires = "key", help_heading = "TLS")]
    pub cert: Option<PathBuf>,
    /// The private key of that certificate, a PEM file that only its owner can read.
    #[arg(long, env = "TOLLGATE_KEY", value_name = "FILE", global = true, requires = "cert", help_heading = "TLS")]
    pub key: Option<PathBuf>,
}

impl ServerOptions {
    /// A service on this machine.
    #[must_use]
    pub fn of(server: String) -> Self {
        Self { server, ca: None, cert: None, key: None }
    }

    fn tls(&self) -> anyhow::Result<ClientTlsConfig> {
        let read = |option: &str, path: &Path| std::fs::read(path).with_context(|| format!("{option} {} cannot be read", path.display()));
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca {
            Some(ca) => tls.ca_certificate(Certificate::from_pem(read("--ca", ca)?)),
            None => tls.with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            private_file(key).with_context(|| format!("--key {}", key.display()))?;
            tls = tls.identity(Identity::from_pem(read("--cert", cert)?, read("--key", key)?));
        }
        Ok(tls)
    }
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
    pub async fn connect(server: &ServerOptions) -> anyhow::Result<Self> {
        let channel = connect(server).await?;
        Ok(Self {
            charging: ChargingServiceClient::new(channel.clone()),
            accounts: AccountServiceClient::new(channel.clone()),
            billing: BillingServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel),
        })
    }
}

/// Connects to a service: `http://host:port`, `https://host:port`, or `host:port` alone.
pub async fn connect(options: &ServerOptions) -> anyhow::Result<Channel> {
    let connected = endpoint(options)?.timeout(CALL_TIMEOUT).connect().await;
    let server = &options.server;
    let failed = |error| Failure::unavailable(format!("no connection to a service at {server}: {:#}", anyhow::Error::from(error)));
    Ok(connected.map_err(failed)?)
}

/// Where to connect to, and how.
pub fn endpoint(options: &ServerOptions) -> anyhow::Result<Endpoint> {
    let server = &options.server;
    let url = url(server)?;
    let is_tls = url.starts_with("https:");
    let endpoint = Endpoint::from_shared(url).with_context(|| format!("--server {server:?} is not a URL such as http://127.0.0.1:7600"))?;
    let endpoint = if is_tls { endpoint.tls_config(options.tls()?).context("the files of TLS cannot be used")? } else { endpoint };
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true))
}

fn url(server: &str) -> anyhow::Result<String> {
    match server.split_once("://") {
        None => Ok(format!("http://{server}")),
        Some(("http" | "https", _)) => Ok(server.to_owned()),
        Some((scheme, _)) => anyhow::bail!("--server {server:?} has the scheme {scheme}: give http:// or https://"),
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
        let error = connect(&ServerOptions::of("127.0.0.1:1".to_owned())).await.unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
    }
}
