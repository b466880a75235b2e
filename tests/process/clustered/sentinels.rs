//! A primary and its replicas that sentinels watch: the service finds the primary by them, and follows it.

use crate::command::Operator;
use crate::sentinel::Watched;
use crate::service::{Service, until};

use super::{accounts, assert_charged, charge};

async fn assert_followed(watched: Watched) {
    let watched_url = watched.url();
    let mut arguments = vec!["--redis", &watched_url, "--partitions", "8"];
    let tls = watched.tls();
    arguments.extend(tls.iter().map(String::as_str));
    let service = Service::start(&arguments, &[]);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "before").await;
    let (mut watched, killed) = tokio::task::spawn_blocking(move || {
        let primary = watched.primary();
        watched.wait_until_replicated(primary);
        (watched, primary)
    })
    .await
    .unwrap();
    watched.kill(killed);
    // The first that is acknowledged is at the new primary.
    charge(&mut client, &account, "after").await;
    assert_charged(&mut client, &account, 2).await;
    assert_ne!(watched.primary(), killed);
    // The old one returns as a replica; nobody goes back to it, and a new process finds the new one.
    let watched = tokio::task::spawn_blocking(move || {
        watched.start_again(killed);
        watched
    })
    .await
    .unwrap();
    until("the old one is a replica", async || watched.is_replica(killed).then_some(())).await;
    charge(&mut client, &account, "later").await;
    let again = Service::start(&arguments, &[]);
    assert_charged(&mut again.client().await, &account, 3).await;
    assert!(service.log().iter().all(|line| !line.contains("hush")));
}

#[tokio::test]
async fn a_failover_by_sentinels_is_followed_and_charges_go_on_at_the_new_primary() {
    assert_followed(tokio::task::spawn_blocking(|| Watched::start(false)).await.unwrap()).await;
}

#[tokio::test]
async fn sentinels_and_servers_are_reached_over_tls_by_a_user_of_few_rights() {
    assert_followed(tokio::task::spawn_blocking(|| Watched::start(true)).await.unwrap()).await;
}

#[tokio::test]
async fn sentinels_that_know_no_such_primary_are_named() {
    let watched = tokio::task::spawn_blocking(|| Watched::start(false)).await.unwrap();
    let url = watched.url().replace("/main", "/other");
    let ended = Operator::nowhere().run(&format!("serve --listen 127.0.0.1:0 --billing off --create --redis {url}"));
    assert!(!ended.status.success() && ended.error.contains("it knows no primary named \"other\""), "{ended:?}");
}
