//! The files of TLS: read, and refused if they cannot be trusted or would be refused by every peer.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::system_now;
use crate::config::TlsOptions;
use crate::files::{private_file, read_bounded};
use domain::time::UnixMillis;

/// The largest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// The contents of the files.
pub struct Files {
    /// The server's certificate, and those that vouch for it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the server's certificate.
    pub key: PrivateKeyDer<'static>,
    /// Whose client certificates are accepted.
    pub client_authorities: Vec<CertificateDer<'static>>,
    /// When the first of those authorities begins or ends to hold.
    pub change_at: UnixMillis,
}

impl Files {
    /// Reads them; `None` if the options name none.
    pub fn read(options: &TlsOptions) -> anyhow::Result<Option<Self>> {
        // On the command line they need each other. A configuration file must not turn TLS off by half of it either.
        let (chain, key) = match (&options.tls_cert, &options.tls_key) {
            (Some(chain), Some(key)) => (chain, key),
            (None, None) if options.tls_client_ca.is_none() => return Ok(None),
            _ => bail!("--tls-cert and --tls-key belong together, and --tls-client-ca needs both"),
        };
        let in_key = || format!("--tls-key {}", key.display());
        let key = private_key(key).with_context(in_key)?;
        let in_chain = || format!("--tls-cert {}", chain.display());
        let chain = certificates(chain).with_context(in_chain)?;
        let Some(own) = chain.first() else { return Err(anyhow::anyhow!("has no certificate in it")).with_context(in_chain) };
        Certificate::parse(own).and_then(|certificate| certificate.in_force()).with_context(in_chain)?;
        let (client_authorities, change_at) = match &options.tls_client_ca {
            Some(path) => authorities(path).with_context(|| format!("--tls-client-ca {}", path.display()))?,
            None => (Vec::new(), UnixMillis::MAX),
        };
        Ok(Some(Self { chain, key, client_authorities, change_at }))
    }
}

/// Reads a private key that only its owner and group can read.
pub fn private_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    private_file(path)?;
    PrivateKeyDer::from_pem_slice(&read_bounded(path, MAX_BYTES)?).map_err(|error| anyhow::anyhow!("{error}"))
}

/// Reads certificates.
pub fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(&read_bounded(path, MAX_BYTES)?)
        .map(|one| one.map_err(|error| anyhow::anyhow!("is not PEM: {error}")))
        .collect()
}

/// Reads those authorities that hold now, and until when these are all: one that has expired vouches for nobody, nor does one that does not
/// hold yet. Refuses a file in which none holds.
fn authorities(path: &Path) -> anyhow::Result<(Vec<CertificateDer<'static>>, UnixMillis)> {
    let (mut held, mut others, mut change_at, now) = (Vec::new(), Vec::new(), UnixMillis::MAX, system_now());
    for authority in certificates(path)? {
        let certificate = Certificate::parse(&authority)?;
        let changes = [certificate.begins(), certificate.ends()].into_iter().filter(|at| *at > now);
        change_at = changes.min().map_or(change_at, |at| at.min(change_at));
        match certificate.in_force() {
            Ok(()) => held.push(authority),
            Err(error) => others.push(error),
        }
    }
    if held.is_empty()
        && let Some(error) = others.pop()
    {
        return Err(error);
    }
    for error in others {
        tracing::warn!("an authority in {} is not believed: {error}", path.display());
    }
    Ok((held, change_at))
}

/// The fields of a certificate that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is: its first SPIFFE or other URI, else its first DNS name, else its common name.
    pub name: Option<String>,
    /// From when to when it holds: seconds since the Unix epoch.
    validity: (i64, i64),
}

impl Certificate {
    /// Reads a certificate.
    pub fn parse(der: &[u8]) -> anyhow::Result<Self> {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { bail!("is not an X.509 certificate") };
        let names = certificate.subject_alternative_name().ok().flatten().map(|extension| extension.value.general_names.as_slice());
        let first = |wanted: fn(&GeneralName<'_>) -> Option<String>| names.and_then(|names| names.iter().find_map(wanted));
        let uri = first(|name| if let GeneralName::URI(uri) = name { Some((*uri).to_owned()) } else { None });
        let dns = || first(|name| if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None });
        let common = || certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).map(ToOwned::to_owned);
        let validity = certificate.validity();
        Ok(Self { name: uri.or_else(dns).or_else(common), validity: (validity.not_before.timestamp(), validity.not_after.timestamp()) })
    }

    /// From when on it holds.
    #[must_use]
    pub fn begins(&self) -> UnixMillis {
        UnixMillis::new(self.validity.0.saturating_mul(1000))
    }

    /// From when on it no longer holds.
    #[must_use]
    pub fn ends(&self) -> UnixMillis {
        UnixMillis::new(self.validity.1.saturating_add(1).saturating_mul(1000))
    }

    /// Refuses a certificate that does not hold now.
    pub fn in_force(&self) -> anyhow::Result<()> {
        let (now, (from, until)) = (system_now().get() / 1000, self.validity);
        let at = |seconds| jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |instant| instant.to_string());
        ensure!(now >= from, "holds only from {} on", at(from));
        ensure!(now <= until, "has expired at {}", at(until));
        Ok(())
    }
}
