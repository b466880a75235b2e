//! What is done with users of the console on the machine itself is on record.

use serde_json::json;

use super::inner;
use crate::command::Operator;
use crate::service::{Service, until};
use crate::support::temporary_folder;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_users_on_the_machine_is_on_record_and_what_is_refused_there_is_not() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db").display().to_string();
    let service = Service::embedded(folder.path());
    let user = |words: &[&str]| Operator::nowhere().run_words(&[&["user"], words, &["--store", &store]].concat());
    until("the tables are made", async || user(&["list"]).status.success().then_some(())).await;
    for words in [&["create", "alice", "--role", "read"][..], &["link", "alice"], &["disable", "alice"], &["enable", "alice"]] {
        let ended = user(words);
        assert!(ended.status.success(), "{words:?}: {ended:?}");
    }
    for words in [&["create", "alice", "--role", "admin"][..], &["link", "bob"], &["disable", "bob"], &["reset-second-factor", "alice"]] {
        assert!(!user(words).status.success(), "{words:?}");
    }
    let mut found = Operator::of(&service).list("audit --actor tester");
    found.reverse();
    let told: Vec<_> = found.iter().map(|record| (record["action"].as_str().unwrap(), record["protocol"].as_str().unwrap())).collect();
    let actions = ["created", "invited", "invited", "disabled", "enabled"].map(|action| format!("user.{action}"));
    assert_eq!(told, actions.each_ref().map(|action| (action.as_str(), "local")));
    assert_eq!(inner(&found[0], "details"), json!({ "name": "alice", "after": { "roles": ["read"] } }));
    assert!(service.stopped().await.success());
    let verified = Operator::nowhere().run_words(&["verify", "--store", &store]);
    assert!(verified.status.success(), "{verified:?}");
}
