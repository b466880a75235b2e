//! Who may call is known, or nobody is let in: with SQL away from the start, after the billing store alone was restored, and among many who
//! were revoked.

use std::path::Path;

use serde_json::json;

use super::callers::House;
use super::stored::{done, tollgate};
use crate::audit::{inner, records};
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Service, until};
use crate::support::{RedisServer, temporary_folder};

fn is_let_in(service: &Service, key: Option<&str>) -> bool {
    tollgate(service, key, "account list").status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_not_known_who_may_call_nobody_does() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let (url, billing) = (redis.url(), postgres.database());
    let init = Operator::nowhere().run_words(&["init", "--redis", &url, "--billing", &billing]);
    assert!(init.status.success(), "{init:?}");
    let away = ["--redis", &url, "--billing", "postgres://nobody@127.0.0.1:1/none"];
    let service = Service::open(&away, &[]);
    assert!(!is_let_in(&service, None), "the billing store may name somebody");
    assert!(service.log().iter().any(|line| line.contains("nobody is let in until it is known who may call")));
    assert!(service.stopped().await.success());
    let reachable = ["serve", "--listen", "0.0.0.0:0", "--metrics-listen", "off", "--insecure"];
    let refused = Operator::nowhere().run_words(&[&reachable[..], &away].concat());
    assert!(!refused.status.success() && refused.error.contains("who may call is not known"), "{refused:?}");
    // Once the billing store was there and named nobody, that is known without it.
    let service = Service::open(&["--redis", &url, "--billing", &billing], &[]);
    assert!(is_let_in(&service, None));
    assert!(service.stopped().await.success());
    assert!(is_let_in(&Service::open(&away, &[]), None));
}

/// Copies an SQLite file that nobody has open.
fn copy(from: &Path, to: &Path) {
    for end in ["", "-wal", "-shm"] {
        let path = |file: &Path| format!("{}{end}", file.display());
        let _ = std::fs::remove_file(path(to));
        let is_there = Path::new(&path(from)).exists();
        assert!(!is_there || std::fs::copy(path(from), path(to)).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_billing_store_that_was_restored_alone_lets_in_nobody_who_was_revoked_since() {
    let folder = temporary_folder();
    let [billing, backup] = ["ledger.billing.db", "backup.db"].map(|name| folder.path().join(name));
    let service = Service::embedded(folder.path());
    let root = done(&service, None, "access --in-store create-key root --role admin");
    let gone = done(&service, Some(&root), "access --in-store create-key gone --role read");
    let old = done(&service, Some(&root), "access --in-store create-key anew --role read");
    assert!(service.stopped().await.success());
    copy(&billing, &backup);
    let service = Service::embedded(folder.path());
    done(&service, Some(&root), "access --in-store revoke-key gone");
    done(&service, Some(&root), "access --in-store revoke-key anew");
    let new = done(&service, Some(&root), "access --in-store create-key anew --role read");
    assert!(service.stopped().await.success());
    copy(&backup, &billing);

    let service = Service::embedded(folder.path());
    let as_before = |service: &Service| {
        let [gone, old, new] = [&gone, &old, &new].map(|key| is_let_in(service, Some(key)));
        assert_eq!([gone, old, new], [false, false, true]);
    };
    as_before(&service);
    let next = done(&service, Some(&root), "access --in-store create-key next --role read");
    assert!(is_let_in(&service, Some(&next)));
    as_before(&service);
    // A revocation after it is passed on at once.
    done(&service, Some(&root), "access --in-store revoke-key next");
    assert!(!is_let_in(&service, Some(&next)));
    let told = done(&service, Some(&root), "audit --action access.recovered --output json");
    assert!(["key anew", "key gone"].iter().all(|name| told.contains(name)), "{told}");
    assert!(service.stopped().await.success());
    let store = folder.path().join("ledger.db").display().to_string();
    let verified = Operator::nowhere().run_words(&["verify", "--store", &store]);
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_right_after_an_older_billing_store_was_put_in_place_bring_back_nobody_who_was_revoked_since() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let root = done(&service, None, "access --in-store create-key root --role admin");
    let gone = done(&service, Some(&root), "access --in-store create-key gone --role read");
    let file = rusqlite::Connection::open(folder.path().join("ledger.billing.db")).unwrap();
    file.busy_timeout(crate::service::PATIENCE).unwrap();
    let version: i64 = file.query_row("SELECT version FROM callers_version", [], |row| row.get(0)).unwrap();
    done(&service, Some(&root), "access --in-store revoke-key gone");
    assert!(!is_let_in(&service, Some(&gone)));
    // As it was before.
    let earlier = format!("BEGIN IMMEDIATE; UPDATE callers SET revoked_at = 0; UPDATE callers_version SET version = {version}; COMMIT");
    file.execute_batch(&earlier).unwrap();
    let keys = ["one", "two", "three"].map(|name| done(&service, Some(&root), &format!("access --in-store create-key {name} --role read")));
    assert!(!is_let_in(&service, Some(&gone)));
    assert!(keys.iter().all(|key| is_let_in(&service, Some(key))));
    done(&service, Some(&root), "access --in-store revoke-key two");
    assert_eq!(keys.map(|key| is_let_in(&service, Some(&key))), [true, false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_a_later_version_has_let_in_is_let_in_by_none_that_does_not_understand_it_and_kept_as_it_is() {
    let folder = temporary_folder();
    let [billing, backup] = ["ledger.billing.db", "backup.db"].map(|name| folder.path().join(name));
    let service = Service::embedded(folder.path());
    let root = done(&service, None, "access --in-store create-key root --role admin");
    assert!(service.stopped().await.success());
    copy(&billing, &backup);
    let service = Service::embedded(folder.path());
    let later = done(&service, Some(&root), "access --in-store create-key later --role read");
    assert!(service.stopped().await.success());
    let access = r#"{"networks":["192.0.2.0/24"],"roles":["read"]}"#;
    let file = rusqlite::Connection::open(&billing).unwrap();
    file.execute("UPDATE callers SET access = ?1 WHERE name = 'later'", [access]).unwrap();
    file.execute("INSERT INTO approval_figures (act, currency, above) VALUES ('later_act', 'EUR', '7')", []).unwrap();
    file.execute("UPDATE callers_version SET version = version + 1", []).unwrap();
    drop(file);

    // What is not understood may be a bound.
    let service = Service::embedded(folder.path());
    let next = done(&service, Some(&root), "access --in-store create-key next --role read");
    assert_eq!([&root, &next, &later].map(|key| is_let_in(&service, Some(key))), [true, true, false]);
    assert!(service.stopped().await.success());
    // A billing store that does not know of it learns all of it from the copy.
    copy(&backup, &billing);
    let service = Service::embedded(folder.path());
    until("it knows of the next", async || is_let_in(&service, Some(&next)).then_some(())).await;
    done(&service, Some(&root), "access --in-store create-key last --role read");
    assert!(service.stopped().await.success());
    let file = rusqlite::Connection::open(&billing).unwrap();
    let kept = file.query_row("SELECT access, revoked_at FROM callers WHERE name = 'later'", [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(kept.unwrap(), (access.to_owned(), 0));
    let figure = file.query_row("SELECT above FROM approval_figures WHERE act = 'later_act'", [], |row| row.get::<_, String>(0));
    assert_eq!(figure.unwrap(), "7");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_revoked_takes_no_place_of_who_is_to_come() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let root = done(&service, None, "access --in-store create-key root --role admin");
    assert!(service.stopped().await.success());
    let file = rusqlite::Connection::open(folder.path().join("ledger.billing.db")).unwrap();
    let revoked = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10050) INSERT INTO callers (kind, \
                   name, id, digest, access, created_at, created_by, expires_at, revoked_at, last_used_at) SELECT 'key', 'old-' || n, \
                   'id-' || n, 'none', '{}', n, 'root', 0, n, 0 FROM numbers";
    assert_eq!(file.execute(revoked, []).unwrap(), 10_050);
    let service = Service::embedded(folder.path());
    let key = done(&service, Some(&root), "access --in-store create-key new --role read");
    assert!(is_let_in(&service, Some(&key)) && is_let_in(&service, Some(&root)));
    let kept: Vec<i64> = ["MIN(created_at)", "COUNT(*)"]
        .map(|what| file.query_row(&format!("SELECT {what} FROM callers WHERE revoked_at > 0"), [], |row| row.get(0)).unwrap())
        .into();
    assert_eq!(kept, [50, 10_001], "the oldest are forgotten");
}

fn key_set(id: &str) -> String {
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": id, "x": x, "y": y }] }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn other_keys_of_an_identity_provider_are_on_record() {
    let (mut house, keys) = House::start(&[("root", "admin", &[])]).await;
    let jwks = Path::new(&house.access_file()).with_file_name("jwks.json");
    std::fs::write(&jwks, key_set("march")).unwrap();
    let entry = format!("issuer = 'https://id.example'\naudience = 'tollgate'\njwks = '{}'", jwks.display());
    house.change(|file| file.issuers.push(toml::from_str(&entry).unwrap()));
    let changes = async |count: usize| {
        let found = records(&house, &keys[0], json!({ "action": "access.changed" })).await;
        (found.len() == count).then_some(found)
    };
    until("the provider is on record", async || changes(1).await).await;
    let new = jwks.with_extension("new");
    std::fs::write(&new, key_set("april")).unwrap();
    std::fs::rename(new, &jwks).unwrap();
    let found = until("its new keys are on record", async || changes(2).await).await;
    let (before, after) = (inner(&found[1], "details")["before"].to_string(), inner(&found[1], "details")["after"].to_string());
    assert!(before.contains("march") && after.contains("april") && !after.contains("march"), "{before} {after}");
}
