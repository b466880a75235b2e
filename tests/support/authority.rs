//! Authorities of the tests' own, and the certificates that they sign.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support; each test uses a part")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd};
use tollgate::domain::time::UnixMillis;

/// An authority that signs certificates into a folder.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Self {
        Self::until(folder, name, (4000, 1, 1))
    }

    /// One that ends on a day.
    pub fn until(folder: &Path, name: &str, (year, month, day): (i32, u8, u8)) -> Self {
        Self::with(folder, name, |params| params.not_after = date_time_ymd(year, month, day))
    }

    /// One that holds only from an instant on.
    pub fn beginning(folder: &Path, name: &str, at: UnixMillis) -> Self {
        let at = UNIX_EPOCH + Duration::from_millis(at.get().unsigned_abs());
        Self::with(folder, name, |params| params.not_before = at.into())
    }

    fn with(folder: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        change(&mut params);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).unwrap();
        Self { issuer, folder: folder.to_owned() }
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Writes the files of a certificate for this machine, each in one move, as tools that renew certificates do.
    pub fn sign(&self, name: &str, until: Option<(i32, u8, u8)>) -> (String, String) {
        self.sign_with(name, |params| {
            if let Some((year, month, day)) = until {
                params.not_after = date_time_ymd(year, month, day);
            }
        })
    }

    fn sign_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names =
            vec![SanType::DnsName("localhost".try_into().unwrap()), SanType::IpAddress("127.0.0.1".parse().unwrap())];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let write = |extension: &str, text: String| {
            let (new, path) = (self.folder.join(format!("{name}.{extension}.new")), self.folder.join(format!("{name}.{extension}")));
            std::fs::write(&new, text).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::fs::rename(new, &path).unwrap();
            path.to_str().unwrap().to_owned()
        };
        (write("crt", certificate.pem()), write("key", key.serialize_pem()))
    }

    /// The same, for a certificate that ends this soon.
    pub fn sign_for(&self, name: &str, seconds: u64) -> (String, String) {
        let until = jiff::Timestamp::now().as_second().unsigned_abs() + seconds;
        self.sign_with(name, |params| params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(until))
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }
}
