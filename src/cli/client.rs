//! The one gRPC client of all commands that call a running service.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use platform::files::{private_file, read_bounded};
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use super::failure::Failure;
use crate::grpc::v1::account_service_client::AccountServiceClient;
use crate::grpc::v1::admin_service_client::AdminServiceClient;
use crate::grpc::v1::approval_service_client::ApprovalServiceClient;
use crate::grpc::v1::audit_service_client::AuditServiceClient;
use crate::grpc::v1::billing_service_client::BillingServiceClient;
use crate::grpc::v1::charging_service_client::ChargingServiceClient;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest token.
const MAX_TOKEN_BYTES: u64 = 16 * 1024;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Which service to call.
#[derive(Args, Clone, Debug)]
pub struct ServerOptions {
    /// The service to call.
    #[arg(long, env = "TOLLGATE_SERVER", default_value = "http://127.0.0.1:7600", value_name = "URL", global = true)]
    pub server: String,
    /// The file with the API key, or another token, to call with [default: the environment's TOLLGATE_TOKEN, if it is there]
    #[arg(long, env = "TOLLGATE_TOKEN_FILE", value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,
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
        Self { server, token_file: None, ca: None, cert: None, key: None }
    }

    fn credentials(&self) -> anyhow::Result<Credentials> {
        let token = match &self.token_file {
            Some(path) => {
                { private_file(path).and_then(|()| read_bounded(path, MAX_TOKEN_BYTES)).and_then(|bytes| Ok(String::from_utf8(bytes)?)) }
                    .map(Some)
                    .with_context(|| format!("--token-file {}", path.display()))?
            }
            #[allow(clippy::disallowed_methods, reason = "a secret is not given on the command line, which others can see")]
            None => std::env::var("TOLLGATE_TOKEN").ok().filter(|token| !token.is_empty()),
        };
        let header = token.map(|token| {
            let mut header: AsciiMetadataValue =
                format!("Bearer {}", token.trim()).parse().context("the token has characters that none has")?;
            header.set_sensitive(true);
            anyhow::Ok(header)
        });
        Ok(Credentials { header: header.transpose()? })
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

/// Whether the connection of this command presents credentials.
static PRESENTS_CREDENTIALS: AtomicBool = AtomicBool::new(false);

/// Whether the service can know this command's caller by its credentials: then the caller is the actor, and no user needs to be named.
pub fn presents_credentials() -> bool {
    PRESENTS_CREDENTIALS.load(Ordering::Relaxed)
}

/// A connection that brings its credentials with every call. Cheap to clone; clones share it.
pub type Connection = InterceptedService<Channel, Credentials>;

/// The credentials of every call.
#[derive(Clone, Debug)]
pub struct Credentials {
    header: Option<AsciiMetadataValue>,
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.header {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// A connection to a running service. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    /// Charging.
    pub charging: ChargingServiceClient<Connection>,
    /// Accounts.
    pub accounts: AccountServiceClient<Connection>,
    /// Bills.
    pub billing: BillingServiceClient<Connection>,
    /// Who did what.
    pub audit: AuditServiceClient<Connection>,
    /// Acts that need a second person.
    pub approvals: ApprovalServiceClient<Connection>,
    /// Care for the stores.
    pub admin: AdminServiceClient<Connection>,
}

impl Client {
    /// Connects.
    pub async fn connect(server: &ServerOptions) -> anyhow::Result<Self> {
        let channel = connect(server).await?;
        Ok(Self {
            charging: ChargingServiceClient::new(channel.clone()),
            accounts: AccountServiceClient::new(channel.clone()),
            billing: BillingServiceClient::new(channel.clone()),
            audit: AuditServiceClient::new(channel.clone()),
            approvals: ApprovalServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel),
        })
    }
}

/// Connects to a service: `http://host:port`, `https://host:port`, or `host:port` alone.
pub async fn connect(options: &ServerOptions) -> anyhow::Result<Connection> {
    connect_by(endpoint(options)?.timeout(CALL_TIMEOUT), options).await
}

/// Connects by an endpoint of [`endpoint`] that may have been changed.
pub async fn connect_by(endpoint: Endpoint, options: &ServerOptions) -> anyhow::Result<Connection> {
    let (server, credentials) = (&options.server, options.credentials()?);
    PRESENTS_CREDENTIALS.store(credentials.header.is_some() || options.cert.is_some(), Ordering::Relaxed);
    let failed = |error| Failure::unavailable(format!("no connection to a service at {server}: {:#}", anyhow::Error::from(error)));
    Ok(InterceptedService::new(endpoint.connect().await.map_err(failed)?, credentials))
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
