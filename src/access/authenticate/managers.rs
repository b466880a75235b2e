//! Who can let in others: somebody has to be left who can.

use super::Access;
use crate::file::GrantEntry;
use crate::principal::Kind;

impl Access {
    /// The same where client certificates are looked at, or not: where they are not, none lets anybody in.
    #[must_use]
    pub fn taking_certificates(self, takes_certificates: bool) -> Self {
        Self { takes_certificates, ..self }
    }

    /// Whether a key or a certificate of the billing store that is granted this can let in others: on all accounts, and where the access
    /// file does not refuse it. `None`: not here, but perhaps where its roles are known, or certificates are looked at.
    #[must_use]
    pub fn manages(&self, kind: Kind, id: &str, entry: &GrantEntry) -> Option<bool> {
        let current = self.current.load();
        if kind == Kind::Key && current.file.revoked.iter().any(|revoked| revoked == id) {
            return Some(false);
        }
        let manages = current.file.granted(entry).ok()?.manages();
        (!manages || kind != Kind::Certificate || self.takes_certificates).then_some(manages)
    }

    /// Whether the access file names somebody who can let in others, for ever: whose certificate is looked at, or the keys of whose identity
    /// provider are known.
    #[must_use]
    pub fn names_manager(&self) -> bool {
        let current = self.current.load();
        let file = &current.file;
        let keys = file.keys.iter().filter(|key| key.expires.is_none() && key.revoked.is_none()).map(|key| &key.grant);
        let certificates = file.certificates.iter().filter(|_| self.takes_certificates).map(|certificate| &certificate.grant);
        let issuers = file.issuers.iter().filter(|issuer| current.issuers.have_keys_of(&issuer.issuer));
        let of_tokens = issuers.flat_map(|issuer| issuer.grants.values());
        keys.chain(certificates).chain(of_tokens).any(|entry| file.granted(entry).is_ok_and(|grant| grant.manages()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::key::NewKey;

    /// Access by a file of this text, and by the keys of an identity provider beside it.
    fn access(folder: &Path, text: &str) -> Access {
        let file = folder.join("access.toml");
        std::fs::write(&file, text).unwrap();
        Access::of_file(&file).unwrap()
    }

    #[test]
    fn a_certificate_where_none_is_looked_at_and_tokens_without_a_key_let_in_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = "[[certificates]]\nname = 'a'\nroles = ['admin']\n";
        assert!(!access(folder.path(), certificate).names_manager());
        assert!(access(folder.path(), certificate).taking_certificates(true).names_manager());

        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let keys = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"a","x":"{x}","y":"{y}"}}]}}"#);
        std::fs::write(folder.path().join("keys.json"), keys).unwrap();
        let issuer =
            |keys: &str| format!("[[issuers]]\nissuer = 'https://id.example'\naudience = 'a'\n{keys}\ngrants.chief.roles = ['admin']\n");
        assert!(access(folder.path(), &issuer("jwks = 'keys.json'")).names_manager());
        assert!(!access(folder.path(), &issuer("jwks_url = 'https://127.0.0.1:1/keys'")).names_manager(), "they were not fetched yet");

        let digest = NewKey::generate().unwrap().digest();
        let key = |more: &str| format!("[[keys]]\nname = 'k'\nid = 'AAAAAAAA'\ndigest = '{digest}'\nroles = ['admin']\n{more}\n");
        assert!(access(folder.path(), &key("")).names_manager());
        for bound in ["accounts = ['acme']", "expires = '2999-01-01T00:00:00Z'", "revoked = '2020-01-01T00:00:00Z'"] {
            assert!(!access(folder.path(), &key(bound)).names_manager(), "{bound}");
        }
    }

    #[test]
    fn of_a_caller_of_the_store_it_may_not_be_known_here() {
        let folder = tempfile::tempdir().unwrap();
        let here = access(folder.path(), "revoked = ['BBBBBBBB']\n");
        let of = |roles: &str| GrantEntry { roles: vec![roles.to_owned()], ..GrantEntry::default() };
        let key = |id: &str, roles: &str| here.manages(Kind::Key, id, &of(roles));
        assert_eq!([key("A", "admin"), key("A", "read"), key("BBBBBBBB", "admin")], [Some(true), Some(false), Some(false)]);
        assert_eq!(key("A", "doorkeeper"), None, "a role of one's own that this process does not know");
        let certificate = |access: &Access, roles: &str| access.manages(Kind::Certificate, "a", &of(roles));
        assert_eq!([certificate(&here, "admin"), certificate(&here, "read")], [None, Some(false)]);
        assert_eq!(certificate(&here.taking_certificates(true), "admin"), Some(true));
    }
}
