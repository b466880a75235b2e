//! A primary and its replicas that sentinels watch: the service finds the primary by them, and follows it.

use crate::command::Operator;
use crate::identity::http;
use crate::sentinel::Watched;
use crate::service::{PATIENCE, Service, until};
use tollgate::ledger::redis::keys::PartitionKeys;

use super::{PARTITIONS, accounts, assert_charged, charge, serve};

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
    assert!(service.log().iter().all(|line| !line.contains("hush") && !line.contains("quiet")));
}

#[tokio::test]
async fn a_failover_by_sentinels_is_followed_and_charges_go_on_at_the_new_primary() {
    assert_followed(tokio::task::spawn_blocking(|| Watched::start(false)).await.unwrap()).await;
}

#[tokio::test]
async fn sentinels_and_servers_are_reached_over_tls_by_a_user_of_few_rights() {
    let watched = tokio::task::spawn_blocking(|| Watched::start(true)).await.unwrap();
    let (url, tls) = (watched.url(), watched.tls().join(" "));
    // The sentinels tell nothing to a client that has not authenticated.
    let without = url.split_once('?').unwrap().0;
    for (url, reason) in [(without.to_owned(), "no permissions"), (url.replace("quiet", "guess"), "authentication failed")] {
        let ended = Operator::nowhere().run(&format!("serve --listen 127.0.0.1:0 --billing off --create {tls} --redis {url}"));
        assert!(!ended.status.success() && ended.error.contains(reason), "{ended:?}");
        assert!(!ended.error.contains("hush") && !ended.error.contains("guess"), "{ended:?}");
    }
    assert_followed(watched).await;
}

#[tokio::test]
async fn sentinels_that_know_no_such_primary_are_named() {
    let watched = tokio::task::spawn_blocking(|| Watched::start(false)).await.unwrap();
    let url = watched.url().replace("/main", "/other");
    let ended = Operator::nowhere().run(&format!("serve --listen 127.0.0.1:0 --billing off --create --redis {url}"));
    assert!(!ended.status.success() && ended.error.contains("it knows no primary named \"other\""), "{ended:?}");
}

/// Does something that blocks with servers.
async fn with<T: Send + 'static>(mut watched: Watched, act: impl FnOnce(&mut Watched) -> T + Send + 'static) -> (Watched, T) {
    tokio::task::spawn_blocking(move || {
        let result = act(&mut watched);
        (watched, result)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn of_sentinels_that_disagree_the_one_that_knows_the_latest_failover_is_believed_and_afterwards_no_other() {
    let (mut watched, [fresh, stale]) = with(tokio::task::spawn_blocking(|| Watched::unwatched(false)).await.unwrap(), |watched| {
        let view = watched.view_of(0, 1);
        // It will watch the old primary; until then, nothing that it could hear the other by.
        [watched.add_sentinel(&view), watched.add_sentinel("sentinel monitor other 127.0.0.1 1 2\n")]
    })
    .await;
    let url = watched.url();
    let service = serve(&url);
    let mut client = service.client().await;
    let account = accounts(&mut client).await.remove(&0).unwrap();
    charge(&mut client, &account, "before").await;
    watched = with(watched, move |watched| {
        watched.stop_sentinel(fresh);
        watched.wait_until_replicated(0);
        watched.part();
        let view = watched.view_of(1, 2);
        watched.start_sentinel(fresh, &view);
        watched.monitor(stale, 0);
    })
    .await
    .0;
    until("it is at the new primary", async || watched.command(1, &["INFO", "commandstats"]).contains("cmdstat_evalsha:").then_some(()))
        .await;
    let journal = PartitionKeys::new("tollgate", 0, PARTITIONS).journal().to_owned();
    let at_the_old = watched.command(0, &["XLEN", &journal]);
    let again = |watched: &Watched| {
        watched.command(1, &["CLIENT", "KILL", "TYPE", "normal"]);
    };
    for round in 0..6 {
        // Each connection that is lost has the sentinels asked again.
        again(&watched);
        charge(&mut client, &account, &format!("round-{round}")).await;
    }
    assert_eq!(watched.command(0, &["XLEN", &journal]), at_the_old);
    assert_charged(&mut client, &account, 7).await;
    assert_charged(&mut serve(&url).client().await, &account, 7).await;
    watched = with(watched, move |watched| watched.stop_sentinel(fresh)).await.0;
    // Only the one that knows of no failover is left.
    let asked_before = refreshes(&service).await;
    for round in 6..9 {
        again(&watched);
        charge(&mut client, &account, &format!("round-{round}")).await;
    }
    tokio::time::timeout(PATIENCE, async {
        while refreshes(&service).await < asked_before + 3.0 {
            again(&watched);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the sentinels are asked again");
    charge(&mut client, &account, "last").await;
    assert_eq!(watched.command(0, &["XLEN", &journal]), at_the_old);
    assert_charged(&mut client, &account, 11).await;
}

/// How often sentinels were asked.
async fn refreshes(service: &Service) -> f64 {
    let shown = http(service.metrics, "/metrics").await;
    shown.lines().find_map(|line| line.strip_prefix("tollgate_redis_topology_refreshes_total ")).unwrap().parse().unwrap()
}
