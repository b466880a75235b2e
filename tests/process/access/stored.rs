//! Keys in the billing store: made and revoked through one service, known to all by the ledger's store, with SQL and without.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::callers::House;
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Service, binary, until};
use crate::support::{RedisServer, temporary_folder};

pub fn tollgate(service: &Service, key: Option<&str>, line: &str) -> Output {
    let server = format!("http://{}", service.address);
    let mut command = Command::new(binary());
    command.args(line.split_whitespace()).args(["--server", &server]).env_clear();
    command.envs(key.map(|key| ("TOLLGATE_TOKEN", key))).output().unwrap()
}

pub fn done(service: &Service, key: Option<&str>, line: &str) -> String {
    let output = tollgate(service, key, line);
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn is_let_in(service: &Service, key: Option<&str>) -> bool {
    tollgate(service, key, "credit acme").status.success()
}

pub fn listed(service: &Service, key: &str) -> Vec<Value> {
    let found: Value = serde_json::from_str(&done(service, Some(key), "access --in-store list --output json")).unwrap();
    found["callers"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_billing_store_is_known_to_all_processes_without_sql_and_refused_by_all_soon_after_it_is_revoked() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let (url, billing) = (redis.url(), postgres.database());
    let init = Operator::nowhere().run_words(&["init", "--redis", &url, "--billing", &billing]);
    assert!(init.status.success(), "{init:?}");
    let arguments = ["--redis", &url, "--billing", &billing];
    let services = [Service::open(&[&arguments[..], &["--aggregate"]].concat(), &[]), Service::open(&arguments, &[])];
    done(&services[0], None, "account create acme --name Acme --currency EUR --mode prepaid");
    // While no caller is named, every caller on this machine is an admin, and may name the first.
    // One that could let in nobody would shut out everybody.
    for first in ["--role charge", "--role admin --account acme", "--role admin --expires 2999-01-01"] {
        let refused = tollgate(&services[0], None, &format!("access --in-store create-key first {first}"));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("FIRST_CALLER") && is_let_in(&services[1], None), "{first}: {said}");
    }
    let root = done(&services[0], None, "access --in-store create-key root --role admin");
    assert!(!is_let_in(&services[0], None), "from the first key on, credentials are needed");
    until("the other process has closed, too", async || (!is_let_in(&services[1], None)).then_some(())).await;
    let switch = done(&services[1], Some(&root), "access --in-store create-key switch --role charge --account acme --most refund:EUR=100");
    for service in &services {
        until("the key lets its holder in", async || is_let_in(service, Some(&switch)).then_some(())).await;
        assert!(!tollgate(service, Some(&switch), "access --in-store list").status.success(), "it may only charge");
    }
    let found = until("it is noted that it was used", async || {
        let found = listed(&services[0], &root);
        found.iter().all(|caller| caller["lastUsedAt"].is_string()).then_some(found)
    })
    .await;
    let names: Vec<_> = found.iter().map(|caller| (caller["name"].as_str().unwrap(), caller["keyPrefix"].as_str().unwrap())).collect();
    assert_eq!(names, [("root", &root[..11]), ("switch", &switch[..11])]);
    let amount = json!([{ "permission": "refund", "amount": { "amount": "100", "currencyCode": "EUR" } }]);
    assert_eq!((&found[1]["grant"]["accountIds"], &found[1]["grant"]["most"]), (&json!(["acme"]), &amount));
    assert!(services.iter().all(|service| service.log().iter().all(|line| !line.contains(&switch[12..]))));

    // Without SQL a service starts, knows the key, and can be told by its access file to refuse it.
    let file = folder.path().join("access.toml");
    std::fs::write(&file, "").unwrap();
    let nowhere = ["--redis", &url, "--billing", "postgres://nobody@127.0.0.1:1/none", "--access-file", file.to_str().unwrap()];
    let alone = Service::start(&nowhere, &[]);
    assert!(is_let_in(&alone, Some(&switch)) && !is_let_in(&alone, None));
    let revoked = Command::new(binary()).args(["access", "revoke-key", &switch[..11], "--access-file"]).arg(&file).env_clear().output();
    assert!(revoked.unwrap().status.success());
    until("the file's word holds", async || (!is_let_in(&alone, Some(&switch))).then_some(())).await;

    done(&services[0], Some(&root), "access --in-store revoke-key switch");
    let revoked = Instant::now();
    for service in &services {
        while is_let_in(service, Some(&switch)) {
            assert!(revoked.elapsed() < Duration::from_secs(5), "it still lets its holder in");
        }
    }
    assert!(is_let_in(&services[1], Some(&root)));
    // The name is free again; the old key is not.
    let next = done(&services[0], Some(&root), "access --in-store create-key switch --role charge");
    assert!(is_let_in(&services[0], Some(&next)) && !is_let_in(&services[0], Some(&switch)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_what_they_have_not_a_repetition_shows_no_key_and_what_is_kept_outlives_a_start() {
    let (mut house, keys) = House::start(&[("root", "admin", &[])]).await;
    let root = &keys[0];
    house.change(|file| {
        let permissions = ["manage_access", "read_credit"].map(ToOwned::to_owned).to_vec();
        file.roles.insert("doorkeeper".into(), access::file::RoleEntry { permissions });
    });
    let by = json!({ "reason": "a test" });
    let create = |id: &str, name: &str, role: &str| json!({ "requestId": id, "name": name, "grant": { "roles": [role] }, "operator": by });
    let made = until("the role is known", async || {
        house.call(Some(root), "AdminService/CreateKey", &create("a", "keeper", "doorkeeper")).await.ok()
    });
    let made = made.await;
    let keeper = made["key"].as_str().unwrap().to_owned();
    let again = house.done(root, "AdminService/CreateKey", create("a", "keeper", "doorkeeper")).await;
    assert_eq!((&again["key"], &again["replayed"]), (&Value::Null, &json!(true)));
    assert_eq!(house.refused(root, "AdminService/CreateKey", create("b", "keeper", "read")).await, "CALLER_EXISTS");
    assert_eq!(house.refused(root, "AdminService/CreateKey", create("a", "other", "read")).await, "REQUEST_ID_REUSED");
    assert_eq!(house.refused(root, "AdminService/CreateKey", create("c", "other", "chrage")).await, "INVALID_REQUEST");
    assert_eq!(house.refused(&keeper, "AdminService/CreateKey", create("d", "other", "admin")).await, "PERMISSION_DENIED");
    assert_eq!(house.refused(&keeper, "AdminService/ListCallers", json!({})).await, "PERMISSION_DENIED");
    let mut for_others = create("h", "deputy", "doorkeeper");
    for_others["grant"]["actsForOthers"] = json!(true);
    assert_eq!(house.refused(&keeper, "AdminService/CreateKey", for_others).await, "INVALID_REQUEST");
    house.done(&keeper, "AdminService/CreateKey", create("e", "other", "doorkeeper")).await;
    let past =
        json!({ "requestId": "f", "name": "late", "grant": { "roles": ["read"] }, "expiresAt": "2020-01-01T00:00:00Z", "operator": by });
    assert_eq!(house.refused(root, "AdminService/CreateKey", past).await, "INVALID_REQUEST");
    let revoke = json!({ "requestId": "g", "name": "nobody", "operator": by });
    assert_eq!(house.refused(root, "AdminService/RevokeKey", revoke).await, "CALLER_NOT_FOUND");
}
