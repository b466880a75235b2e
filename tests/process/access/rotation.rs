//! Keys of an identity provider, fetched from a real server by HTTPS: they are rotated, withdrawn, and stay known while it is away.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use access::file::{GrantEntry, RoleEntry};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::callers::House;
use crate::audit::records;
use crate::authority::Authority;
use crate::service::until;
use crate::support::temporary_folder;

/// A provider that signs with a key at a time, and publishes it.
struct Provider {
    folder: tempfile::TempDir,
    server: Child,
    port: String,
}

struct SigningKey(EncodingKey, String);

impl Provider {
    fn start() -> Self {
        let folder = temporary_folder();
        let authority = Authority::new(folder.path(), "ca");
        Authority::new(folder.path(), "stranger");
        let (certificate, key) = authority.sign("localhost", None);
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut command = Command::new(tests.join(".venv/bin/python"));
        command.arg(tests.join("process/access/key_server.py")).arg(folder.path()).args([certificate, key]);
        // It complains of each client that hangs up.
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { folder, server, port: port.trim().to_owned() }
    }

    /// Publishes a new key, and no other.
    fn rotate(&self, id: &str) -> SigningKey {
        let key = EncodingKey::from_ec_pem(rcgen::KeyPair::generate().unwrap().serialize_pem().as_bytes()).unwrap();
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        public.common.key_id = Some(id.to_owned());
        let (new, path) = (self.folder.path().join("new"), self.folder.path().join("keys"));
        std::fs::write(&new, json!({ "keys": [public] }).to_string()).unwrap();
        std::fs::rename(new, path).unwrap();
        SigningKey(key, id.to_owned())
    }

    fn entry(&self, issuer: &str, ca: &str) -> String {
        let (folder, port) = (self.folder.path().display(), &self.port);
        format!(
            "issuer = '{issuer}'\naudience = 'tollgate'\njwks_url = 'https://localhost:{port}/keys'\njwks_ca = '{folder}/{ca}.pem'\n\
             grants.desk = {{ roles = ['read'] }}"
        )
    }

    fn times_asked(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default().lines().count()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl SigningKey {
    fn token(&self) -> String {
        let expires = jiff::Timestamp::now().as_second() + 300;
        let claims = json!({ "sub": "alice", "iss": "https://id.example", "aud": "tollgate", "exp": expires, "roles": ["desk"] });
        let header = Header { kid: Some(self.1.clone()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, &self.0).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_provider_are_fetched_rotated_and_kept_while_it_is_away() {
    let provider = Provider::start();
    let first = provider.rotate("first").token();
    let (mut house, keys) = House::start(&[("root", "admin", &[])]).await;
    let root = &keys[0];
    let is_let_in = async |house: &House, token: &str| house.call(Some(token), "AccountService/ListAccounts", &json!({})).await.is_ok();
    house.change(|file| file.issuers.push(toml::from_str(&provider.entry("https://id.example", "ca")).unwrap()));
    until("the first key is known", async || is_let_in(&house, &first).await.then_some(())).await;

    // A token with a new key has it fetched, and one with the key that was withdrawn is refused, though it was let in before.
    let began = Instant::now();
    let second = provider.rotate("second").token();
    until("the second key is known", async || is_let_in(&house, &second).await.then_some(())).await;
    assert!(!is_let_in(&house, &first).await);
    until("other keys are on record", async || {
        let found = records(&house, root, json!({ "action": "access.changed" })).await;
        found.iter().any(|record| record.to_string().contains("second")).then_some(())
    })
    .await;

    // Within the minute, unknown keys have nothing fetched. That it has looked again is known by what else it reads then.
    let asked = provider.times_asked();
    let third = provider.rotate("third").token();
    assert!(!is_let_in(&house, &third).await);
    let permissions = vec!["read_credit".to_owned()];
    house.change(|file| drop(file.roles.insert("own".into(), RoleEntry { permissions })));
    let night = house.add("night", GrantEntry { roles: vec!["own".into(), "read".into()], ..GrantEntry::default() });
    until("the access file was read again", async || is_let_in(&house, &night).await.then_some(())).await;
    let found = (is_let_in(&house, &third).await, is_let_in(&house, &second).await, provider.times_asked());
    assert!(found == (false, true, asked) || began.elapsed() > Duration::from_secs(50), "{found:?}, {asked} before");

    // A server that shows a certificate of another authority is not believed.
    house.change(|file| file.issuers.push(toml::from_str(&provider.entry("https://other.example", "stranger")).unwrap()));
    let failed = |line: &&String| line.contains("https://other.example") && line.contains("the TLS handshake failed");
    until("the log says why", async || house.service.log().iter().any(|line| failed(&line)).then_some(())).await;

    // While the provider is away, what was known stays, whatever else is read.
    drop(provider);
    let late = house.add("late", GrantEntry { roles: vec!["read".into()], ..GrantEntry::default() });
    until("the access file was read again", async || is_let_in(&house, &late).await.then_some(())).await;
    assert!(is_let_in(&house, &second).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_without_keys_or_with_a_plain_url_is_refused() {
    let folder = temporary_folder();
    let path = folder.path().join("access.toml");
    for (keys, said) in [
        ("", "needs either jwks, a file, or jwks_url"),
        ("jwks = 'a.json'\njwks_url = 'https://id.example/keys'", "needs either jwks, a file, or jwks_url"),
        ("jwks_url = 'http://id.example/keys'", "jwks_url http://id.example/keys must begin with https://"),
    ] {
        std::fs::write(&path, format!("[[issuers]]\nissuer = 'i'\naudience = 'a'\n{keys}\n")).unwrap();
        let store = folder.path().join("ledger.db").display().to_string();
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--store", &store, "--access-file", path.to_str().unwrap()];
        let refused = crate::command::Operator::nowhere().run_words(&arguments);
        assert!(!refused.status.success() && refused.error.contains(said), "{refused:?}");
    }
}
