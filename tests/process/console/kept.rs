//! What the store keeps of those who sign in, on SQLite and PostgreSQL.

use std::sync::Arc;

use access::Access;
use tollgate::billing::store::Store;
use tollgate::billing::users::{SessionAge, SignIn, UserTables};
use tollgate::domain::time::UnixMillis;
use tollgate::service::users::{SignInMethod, Users};

use crate::postgres::PostgresServer;
use crate::support::temporary_folder;

const AGE: SessionAge = SessionAge { idle: 1_000, whole: 10_000 };

async fn tables(url: &str) -> UserTables {
    let store = Store::connect_lazily(url).unwrap();
    store.migrate().await.unwrap();
    let tables = UserTables::of(store);
    assert!(tables.create("alice", r#"{"roles":["read"]}"#, UnixMillis::new(1), None).await.unwrap());
    tables
}

async fn sign_in(tables: &UserTables, digest: &str) {
    tables.begin_session(SignIn { digest, user: "alice", way: "password" }, UnixMillis::new(100), AGE).await.unwrap();
}

async fn a_code_and_a_recovery_code_are_taken_once(tables: &UserTables) {
    assert!(tables.second_factor("alice").await.unwrap().is_none());
    for secret in ["FIRST", "SECOND"] {
        tables.offer_second_factor("alice", secret).await.unwrap();
    }
    let codes = ["one", "two"].map(ToOwned::to_owned);
    for digest in ["mine", "other"] {
        sign_in(tables, digest).await;
    }
    let confirm = async |secret: &str, step: i64, now: i64| {
        tables.confirm_second_factor("alice", secret, step, UnixMillis::new(now), &codes, "mine").await
    };
    assert!(!confirm("FIRST", 7, 200).await.unwrap(), "the one that was replaced");
    assert!(!tables.take_step("alice", 7).await.unwrap(), "nothing is confirmed yet");
    assert!(confirm("SECOND", 7, 200).await.unwrap());
    assert!(tables.session("mine", UnixMillis::new(200), AGE).await.unwrap().is_some_and(|session| session.user.has_second_factor));
    assert!(tables.session("other", UnixMillis::new(200), AGE).await.unwrap().is_none(), "what began without it has ended");
    assert!(confirm("SECOND", 7, 300).await.unwrap(), "the same form, sent twice");
    assert!(!confirm("SECOND", 8, 300).await.unwrap() && !confirm("SECOND", 7, 200_000).await.unwrap());
    tables.offer_second_factor("alice", "THIRD").await.unwrap();
    let kept = tables.second_factor("alice").await.unwrap().unwrap();
    assert_eq!((kept.secret.as_str(), kept.is_confirmed, kept.recovery_codes), ("SECOND", true, 2), "one that is on is not replaced");

    let taken = [7, 6, 8, 8].map(|step| tables.take_step("alice", step));
    let mut found = Vec::new();
    for one in taken {
        found.push(one.await.unwrap());
    }
    assert_eq!(found, [false, false, true, false]);
    let (one, other) = tokio::join!(tables.take_step("alice", 9), tables.take_step("alice", 9));
    assert_eq!([one.unwrap(), other.unwrap()].iter().filter(|taken| **taken).count(), 1, "of two at once, one");
    assert!(tables.take_recovery_code("alice", "one").await.unwrap());
    assert!(!tables.take_recovery_code("alice", "one").await.unwrap() && !tables.take_recovery_code("bob", "two").await.unwrap());
}

async fn who_has_still_to_show_a_code_has_not_signed_in(tables: &UserTables) {
    let unfinished = SignIn { digest: "half", user: "alice", way: "link" };
    tables.begin_unfinished(unfinished, UnixMillis::new(100), UnixMillis::new(400)).await.unwrap();
    assert!(tables.session("half", UnixMillis::new(100), AGE).await.unwrap().is_none());
    assert_eq!(tables.unfinished("half", UnixMillis::new(399)).await.unwrap().unwrap().way, "link");
    assert!(tables.unfinished("half", UnixMillis::new(400)).await.unwrap().is_none(), "it took too long");
    assert!(tables.end_unfinished("half").await.unwrap() && !tables.end_unfinished("half").await.unwrap());
    tables.begin_unfinished(unfinished, UnixMillis::new(100), UnixMillis::new(400)).await.unwrap();
    tables.set_disabled("alice", true, None).await.unwrap();
    tables.set_disabled("alice", false, None).await.unwrap();
    assert!(tables.unfinished("half", UnixMillis::new(200)).await.unwrap().is_none(), "it ended with all sessions");
    sign_in(tables, "mine").await;
    assert!(
        tables.forget_second_factor("alice", "mine", None).await.unwrap() && !tables.forget_second_factor("alice", "", None).await.unwrap()
    );
    assert!(tables.session("mine", UnixMillis::new(200), AGE).await.unwrap().is_some(), "nothing was forgotten, so that nothing ended");
}

async fn a_user_of_a_provider_is_known_by_the_subject(tables: &UserTables) {
    let (here, there) = ("https://id.example", "https://other.example");
    let create = async |name: &str, issuer: &str, subject: &str| {
        tables.create_of_provider(name, "[]", issuer, subject, UnixMillis::new(1)).await.unwrap()
    };
    assert!(!create("alice", here, "1").await, "there is another of this name");
    assert!(create("carol", here, "1").await);
    assert!(!create("caroline", here, "1").await && !create("carol", here, "2").await);
    assert!(create("karol", there, "1").await);
    let found = async |issuer: &str, subject: &str| tables.find_of_provider(issuer, subject).await.unwrap().map(|user| user.name);
    assert_eq!([found(here, "1").await.as_deref(), found(there, "1").await.as_deref()], [Some("carol"), Some("karol")]);
    assert_eq!([found(here, "2").await, found("", "").await], [None, None]);
}

async fn a_session_of_a_provider_ends_when_its_settings_change(tables: &UserTables) {
    let folder = temporary_folder();
    let users = |grants: &str, provider: &str| {
        let path = folder.path().join("access.toml");
        std::fs::write(&path, format!("[oidc]\ngrants.readers = {{ roles = ['{grants}'] }}\n")).unwrap();
        Users::new(tables.clone(), Arc::new(Access::of_file(&path).unwrap())).of_provider(provider.to_owned())
    };
    let before = users("read", "https://id.example console");
    let by_password = before.begin_session("alice", SignInMethod::Password).await.unwrap();
    for after in [users("operate", "https://id.example console"), users("read", "https://id.example another")] {
        let secret = before.begin_session("alice", SignInMethod::Provider).await.unwrap();
        let same = users("read", "https://id.example console");
        assert!(same.session(&secret).await.unwrap().is_some_and(|session| session.way == SignInMethod::Provider), "nothing has changed");
        assert!(after.session(&secret).await.unwrap().is_none(), "other settings");
        assert!(same.session(&secret).await.unwrap().is_none(), "it has ended");
        assert!(after.session(&by_password).await.unwrap().is_some(), "one of a password goes on");
    }
}

#[tokio::test]
async fn what_is_kept_of_those_who_sign_in_is_the_same_on_sqlite_and_postgresql() {
    let (folder, server) = (temporary_folder(), PostgresServer::shared());
    for url in [format!("sqlite://{}", folder.path().join("users.db").display()), server.database()] {
        let tables = tables(&url).await;
        a_code_and_a_recovery_code_are_taken_once(&tables).await;
        who_has_still_to_show_a_code_has_not_signed_in(&tables).await;
        a_user_of_a_provider_is_known_by_the_subject(&tables).await;
        a_session_of_a_provider_ends_when_its_settings_change(&tables).await;
    }
}
