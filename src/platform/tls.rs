//! TLS: of connections that this process makes ([`ClientTls`]), and of the listeners: certificates from files, read again when they change, and handshakes on a thread of their own.
//!
//! TLS 1.3 and 1.2 only, by rustls. A connection keeps the certificate that it began with; a new one gets what the files say now.

mod client;
mod files;
mod portable;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

use crate::clock::system_now;
use crate::config::{ClientAuth, TlsOptions};
use crate::files::Stamp;
pub use client::ClientTls;
use domain::time::UnixMillis;
pub use files::Certificate;
use files::Files;
pub use portable::{Portable, TlsStream};

/// What a listener speaks over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2: gRPC.
    Http2,
    /// HTTP/1.1.
    Http1,
}

/// The TLS of a process. The files are read again by [`Tls::follow`].
pub struct Tls {
    options: TlsOptions,
    current: ArcSwap<Current>,
}

/// The contents of the files when they were last read.
struct Current {
    http2: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
    stamp: Stamp,
    /// When an authority begins or ends to hold, though no file changes.
    change_at: UnixMillis,
}

impl Tls {
    /// Reads the files that the options name; `None` if they name none. Refuses what is expired, does not fit together, or is a key that
    /// others can read.
    pub fn load(options: &TlsOptions) -> anyhow::Result<Option<Arc<Self>>> {
        let Some(current) = read(options)? else { return Ok(None) };
        Ok(Some(Arc::new(Self { options: options.clone(), current: ArcSwap::from_pointee(current) })))
    }

    /// The configuration of a new connection.
    #[must_use]
    pub fn config(&self, protocol: Protocol) -> Arc<ServerConfig> {
        let current = self.current.load();
        Arc::clone(match protocol {
            Protocol::Http2 => &current.http2,
            Protocol::Http1 => &current.http1,
        })
    }

    /// Reads the files again if one of them has changed, or an authority begins or ends to hold, and returns whether it did. On an error,
    /// all stays as it is.
    pub fn follow(&self) -> anyhow::Result<bool> {
        let stamp = stamp(&self.options);
        let current = self.current.load_full();
        if stamp == current.stamp && system_now() < current.change_at {
            return Ok(false);
        }
        match read(&self.options) {
            Ok(Some(read)) => {
                self.current.store(Arc::new(read));
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                // Said once for each change.
                let Current { http2, http1, .. } = &*current;
                self.current.store(Arc::new(Current {
                    http2: Arc::clone(http2),
                    http1: Arc::clone(http1),
                    stamp,
                    change_at: UnixMillis::MAX,
                }));
                Err(error)
            }
        }
    }
}

fn stamp(options: &TlsOptions) -> Stamp {
    Stamp::of([&options.tls_cert, &options.tls_key, &options.tls_client_ca].into_iter().flatten().map(PathBuf::as_path))
}

fn read(options: &TlsOptions) -> anyhow::Result<Option<Current>> {
    let stamp = stamp(options);
    let Some(files) = Files::read(options)? else { return Ok(None) };
    let change_at = files.change_at;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = if files.client_authorities.is_empty() {
        ensure!(options.tls_client_ca.is_none(), "--tls-client-ca has no certificate in it");
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for authority in files.client_authorities {
            roots.add(authority).context("--tls-client-ca has a certificate that is no authority's")?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = if options.tls_client_auth == ClientAuth::Optional { verifier.allow_unauthenticated() } else { verifier };
        builder.with_client_cert_verifier(verifier.build().context("--tls-client-ca cannot be used")?)
    };
    let config = builder.with_single_cert(files.chain, files.key).context("--tls-cert and --tls-key do not belong together")?;
    let speaking = |protocol: &[u8]| {
        let mut config = config.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    };
    Ok(Some(Current { http2: speaking(b"h2"), http1: speaking(b"http/1.1"), stamp, change_at }))
}
