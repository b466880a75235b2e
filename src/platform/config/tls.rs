//! The certificate that the listeners show, and whose client certificates they accept.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// TLS of all listeners.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "TLS")]
pub struct TlsOptions {
    /// Serve over TLS with the certificate chain in this PEM file, the server's own certificate first. Read again when it changes.
    #[arg(long, env = "TOLLGATE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file that only its owner can read.
    #[arg(long, env = "TOLLGATE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Accept client certificates that these authorities have signed, in a PEM file.
    #[arg(long, env = "TOLLGATE_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Whether every client must show a certificate, or may show one; with --tls-client-ca.
    #[arg(long, env = "TOLLGATE_TLS_CLIENT_AUTH", value_enum, default_value_t = ClientAuth::Required, value_name = "WHO")]
    pub tls_client_auth: ClientAuth,
}

/// Whether a client shows a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// Every client must.
    #[default]
    Required,
    /// A client may.
    Optional,
}
