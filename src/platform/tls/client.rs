//! TLS of connections that this process makes. Its files are read anew for each connection, so that they can be rotated at any time.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::files::{certificates, private_key};
use crate::config::RedisTlsOptions;

/// Trusted authorities, and the client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The authorities that are trusted; `None` for those of this machine.
    pub authorities: Option<PathBuf>,
    /// The certificate to show, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have; `None` for the one that it is reached by.
    pub server_name: Option<String>,
}

impl From<&RedisTlsOptions> for ClientTls {
    fn from(options: &RedisTlsOptions) -> Self {
        Self {
            authorities: options.redis_ca.clone(),
            identity: options.redis_cert.clone().zip(options.redis_key.clone()),
            server_name: options.redis_server_name.clone(),
        }
    }
}

impl ClientTls {
    /// Shakes hands with a server.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
        let name = self.server_name.as_deref().unwrap_or(host);
        // An address of IPv6 in a URL has brackets.
        let bare = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).with_context(|| format!("{name:?} is not a name that a certificate can have"))?;
        // Connections are made by threads that charge: what reads files does so elsewhere.
        let files = self.clone();
        let config = tokio::task::spawn_blocking(move || files.config()).await??;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.context("the TLS handshake failed")
    }

    fn config(&self) -> anyhow::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(path) => {
                for authority in certificates(path).with_context(|| path.display().to_string())? {
                    roots.add(authority).with_context(|| format!("{} has a certificate that is no authority's", path.display()))?;
                }
                ensure!(!roots.is_empty(), "{} has no certificate in it", path.display());
            }
            None => {
                // What this machine has beside is not needed.
                let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                ensure!(added > 0, "this machine trusts no authority: name a file with one");
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])?.with_root_certificates(roots);
        let Some((certificate, key)) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates(certificate).with_context(|| certificate.display().to_string())?;
        if chain.is_empty() {
            bail!("{} has no certificate in it", certificate.display());
        }
        let key = private_key(key).with_context(|| key.display().to_string())?;
        builder.with_client_auth_cert(chain, key).with_context(|| format!("{} and its key do not belong together", certificate.display()))
    }
}
