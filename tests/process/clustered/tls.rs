//! A cluster that speaks TLS only, by a user of few rights: partitions are followed through a failover as without.

use crate::cluster::Cluster;
use crate::command::Operator;
use crate::service::until;

use super::{accounts, assert_charged, charge, serve_with, slot};

/// The rights that the operators' document names, those of a cluster too.
fn documented_rights() -> String {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/README.md")).unwrap();
    let line = document.lines().find_map(|line| line.strip_prefix("ACL SETUSER tollgate on >SECRET ")).unwrap();
    let (_, more) = document.split_once("In a cluster it takes `").unwrap();
    format!("{line} {}", more.split_once('`').unwrap().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_over_tls_is_followed_through_a_failover_by_a_user_of_few_rights() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::over_tls(3, 1, &documented_rights())).await.unwrap();
    let (url, ca) = (cluster.url(), cluster.ca());
    let service = serve_with(&url, &["--redis-ca", &ca, "--redis-timeout", "5s"]);
    let mut client = service.client().await;
    let accounts = accounts(&mut client).await;
    for account in accounts.values() {
        charge(&mut client, account, "before").await;
    }
    let primary = cluster.owner(slot(0));
    let replica = cluster.replicas_of(primary)[0];
    cluster.wait_until_replicated(primary);
    cluster.kill(primary);
    until("the replica has taken over", async || cluster.is_primary(replica).then_some(())).await;
    for account in accounts.values() {
        charge(&mut client, account, "after").await;
        assert_charged(&mut client, account, 2).await;
    }
    // Another process finds it, also by its way there, and each repetition is known.
    let again = serve_with(&url, &["--redis-ca", &ca, "--redis-timeout", "5s"]);
    assert_charged(&mut again.client().await, &accounts[&0], 2).await;
    assert!(service.log().iter().all(|line| !line.contains("hush")));

    let says = |arguments: &str, reason: &str| {
        let ended = Operator::nowhere().run(&format!("serve --listen 127.0.0.1:0 --billing off --create {arguments}"));
        assert!(!ended.status.success() && ended.error.contains(reason), "{reason:?}: {ended:?}");
        assert!(!ended.error.contains("hush") && !ended.error.contains("guess"), "{ended:?}");
    };
    says(&format!("--redis {url}"), "UnknownIssuer");
    says(&format!("--redis {} --redis-ca {ca}", url.replace("hush", "guess")), "authentication failed");
    says(&format!("--redis {url} --redis-ca {ca} --redis-server-name redis.example"), "not valid for name");
}
