//! Why a caller is not let in.

/// Why a caller is refused. The caller learns only whether it sent a credential; the reason is for the operator's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no credential.
    #[error("no credential was presented")]
    NothingPresented,
    /// There are several.
    #[error("more than one credential was presented")]
    SeveralPresented,
    /// It is none that could be known.
    #[error("the credential is malformed")]
    Malformed,
    /// No key has its public part, or its secret is another's.
    #[error("the key is not known")]
    UnknownKey,
    /// The key has expired or is revoked.
    #[error("the key has expired or was revoked")]
    EndedKey,
    /// The certificate has expired since its connection began.
    #[error("the certificate has expired")]
    EndedCertificate,
    /// The certificate is in no grant.
    #[error("the certificate is granted nothing")]
    UnknownCertificate,
    /// The token's issuer, audience, times, algorithm or signature are wrong.
    #[error("the token is not valid: {0}")]
    InvalidToken(&'static str),
}

impl Denied {
    /// Whether nothing was presented: to present something may help.
    #[must_use]
    pub fn lacks_credentials(self) -> bool {
        self == Self::NothingPresented
    }
}
