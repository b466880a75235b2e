//! A key, a certificate, a token and a local caller may share a name: audit records tell them apart.

use std::path::Path;
use std::process::Command;

use access::file::{AccessFile, CertificateEntry, GrantEntry, KeyEntry};
use access::key::NewKey;
use serde_json::{Value, json};

use super::tokens::{made, signed};
use crate::authority::Authority;
use crate::command::Operator;
use crate::service::{Service, binary, until};
use crate::support::temporary_folder;

/// The name in the certificates of the tests.
const NAME: &str = "localhost";

fn admin() -> GrantEntry {
    GrantEntry { roles: vec!["admin".to_owned()], ..GrantEntry::default() }
}

/// An access file in which a key, a certificate and an issuer's tokens let in somebody of one name: the key's text.
fn write(file: &Path, jwks: &Path) -> String {
    let new = NewKey::generate().unwrap();
    let (id, digest, name) = (new.id.clone(), new.digest().to_string(), NAME.to_owned());
    let key = KeyEntry { name: name.clone(), id, digest, created: None, expires: None, revoked: None, grant: admin() };
    let issuer = format!("issuer = 'https://id.example'\naudience = 'tollgate'\njwks = {jwks:?}\ngrants.chief = {{ roles = ['admin'] }}");
    let certificates = vec![CertificateEntry { name, grant: admin() }];
    let issuers = vec![toml::from_str(&issuer).unwrap()];
    AccessFile { keys: vec![key], certificates, issuers, ..AccessFile::default() }.write(file).unwrap();
    new.text
}

/// Creates an account, as who presents this.
async fn created(service: &Service, id: &str, presented: &[&str], token: Option<&str>) {
    let mut command = Command::new(binary());
    command.args(["account", "create", id, "--name", id, "--currency", "EUR", "--mode", "prepaid"]).args(presented).env_clear();
    let output = command.env("USER", NAME).envs(token.map(|token| ("TOLLGATE_TOKEN", token))).output().unwrap();
    assert!(output.status.success(), "{id}: {output:?} {:?}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_a_certificate_a_token_and_an_open_machine_of_one_name_are_told_apart_by_the_audit() {
    let folder = temporary_folder();
    let [store, file, jwks] = ["ledger.db", "access.toml", "jwks.json"].map(|name| folder.path().join(name));
    let store = store.to_str().unwrap();
    let service = Service::open(&["--store", store], &[]);
    let plain = format!("http://{}", service.address);
    created(&service, "by-nothing", &["--server", &plain], None).await;
    let operator = Operator::of(&service);
    until("it is on record", async || (!operator.list("audit --account by-nothing").is_empty()).then_some(())).await;
    assert!(service.stopped().await.success());

    let options: &[&str] = &["-algorithm", "ED25519"];
    std::fs::write(&jwks, json!({ "keys": [made(folder.path(), "EdDSA", options)] }).to_string()).unwrap();
    let claims = json!({ "sub": NAME, "iss": "https://id.example", "aud": "tollgate", "exp": jiff::Timestamp::now().as_second() + 600,
        "roles": ["chief"] });
    let token = signed(folder.path(), "EdDSA", &json!({ "alg": "EdDSA", "kid": "EdDSA" }), &claims);
    let key = write(&file, &jwks);
    let file = file.to_str().unwrap();
    let service = Service::open(&["--store", store, "--access-file", file], &[]);
    let plain = format!("http://{}", service.address);
    created(&service, "by-key", &["--server", &plain], Some(&key)).await;
    created(&service, "by-token", &["--server", &plain], Some(&token)).await;
    assert!(service.stopped().await.success());

    let authority = Authority::new(folder.path(), "ca");
    let [server, client] = ["server", "client"].map(|name| authority.sign(name, None));
    let ca = authority.path("ca.pem");
    let tls = ["--tls-cert", &server.0, "--tls-key", &server.1, "--tls-client-ca", &ca];
    let service = Service::open(&[&["--store", store, "--access-file", file][..], &tls].concat(), &[]);
    let secure = format!("https://localhost:{}", service.address.port());
    let presented = ["--server", &secure, "--ca", &ca, "--cert", &client.0, "--key", &client.1];
    created(&service, "by-certificate", &presented, None).await;

    let listed = || {
        let output =
            Command::new(binary()).args(["audit", "--action", "account.created", "--output", "json"]).args(presented).env_clear().output();
        let found: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        let told =
            |record: &Value| ["accountId", "actor", "authenticatedBy"].map(|name| record[name].as_str().unwrap_or_default().to_owned());
        found["records"].as_array().unwrap().iter().map(told).collect::<Vec<_>>()
    };
    let found = until("all are on record", async || Some(listed()).filter(|found| found.len() == 4)).await;
    let expected = [("by-certificate", "certificate"), ("by-token", "token"), ("by-key", "key"), ("by-nothing", "none")];
    assert_eq!(found, expected.map(|(account, by)| [account, NAME, by].map(str::to_owned)));
    let table = Command::new(binary()).args(["audit", "--account", "by-token"]).args(presented).env_clear().output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("known by") && table.contains("token"), "{table}");
    assert!(service.stopped().await.success());
    // It is part of what the entry says, and of what the chain covers.
    let verified = Operator::nowhere().run_words(&["verify", "--store", store]);
    assert!(verified.status.success(), "{verified:?}");
    let billing = rusqlite::Connection::open(folder.path().join("ledger.billing.db")).unwrap();
    let swapped = "UPDATE audit SET origin = replace(origin, '/token', '/key') WHERE account = 'by-token'";
    assert_eq!(billing.execute(swapped, []).unwrap(), 1);
    drop(billing);
    let verified = Operator::nowhere().run_words(&["verify", "--store", store]);
    assert!(!verified.status.success(), "{verified:?}");
}
