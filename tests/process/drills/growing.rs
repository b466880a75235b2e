//! A ledger that grows from one Redis into a cluster, with more partitions, and goes back, by what deploy/README.md says under "Growing": under
//! load until it is stopped, and again when it is there.

use tollgate::grpc::v1::{ExportUsageRequest, ListEntriesRequest, PaymentMode};

use super::{Load, are_there};
use crate::cluster::Cluster;
use crate::command::Operator;
use crate::identity::until_billed;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service};
use crate::support::{RedisServer, temporary_folder};

const ACCOUNTS: [&str; 4] = ["acme", "beta", "gamma/1", "gamma/2"];

/// What callers got of an account before.
struct Known {
    charges: Vec<String>,
    entries: Vec<String>,
    /// The token of the second page of entries.
    token: String,
}

async fn page(client: &mut Client, account: &str, token: &str) -> (Vec<String>, String) {
    let request = ListEntriesRequest { account_id: account.into(), page_size: 7, page_token: token.into(), ..Default::default() };
    let page = client.accounts.list_entries(request).await.unwrap().into_inner();
    (page.entries.into_iter().map(|entry| entry.entry_id).collect(), page.next_page_token)
}

/// All entries of an account from a page on, by their ids.
async fn entries(client: &mut Client, account: &str, mut token: String) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let (found, next) = page(client, account, &token).await;
        all.extend(found);
        if next.is_empty() {
            return all;
        }
        token = next;
    }
}

/// The ids of all usage records after a token, and the token of their end.
async fn exported(client: &mut Client, token: &str) -> (Vec<String>, String) {
    let request = ExportUsageRequest { resume_token: token.into(), ..Default::default() };
    let mut stream = client.billing.export_usage(request).await.unwrap().into_inner();
    let (mut ids, mut end) = (Vec::new(), String::new());
    while let Some(answer) = stream.message().await.unwrap() {
        ids.extend(answer.records.into_iter().map(|record| record.record_id));
        end = answer.resume_token;
    }
    (ids, end)
}

/// Charges the accounts for a while, and stops everything once all of it is billed.
async fn worked(service: Service, known: &mut [Known]) -> (Vec<String>, String) {
    let mut client = service.client().await;
    for (account, known) in ACCOUNTS.into_iter().zip(&mut *known) {
        are_there(&mut client, account, &known.charges).await;
        let after = entries(&mut client, account, String::new()).await;
        assert!(after.ends_with(&known.entries), "{account}: entries keep their ids and their order");
        if !known.token.is_empty() {
            let rest = entries(&mut client, account, known.token.clone()).await;
            assert_eq!(rest, known.entries[7..], "{account}: a page that was begun before goes on");
        }
        let load = Load::on_with(&client, account, &format!("load-{}", known.charges.len()));
        load.goes_on(30).await;
        known.charges.extend(load.end().await);
    }
    until_billed(&service).await;
    for (account, known) in ACCOUNTS.into_iter().zip(known) {
        known.token = page(&mut client, account, "").await.1;
        known.entries = entries(&mut client, account, String::new()).await;
    }
    let exported = exported(&mut client, "").await;
    drop(client);
    assert!(service.stopped().await.success());
    exported
}

fn run(words: &[&str]) {
    let ended = Operator::nowhere().run_words(words);
    assert!(ended.status.success(), "{words:?}: {ended:?}");
    assert!(ended.output.contains("all agree"), "{words:?}: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_grows_into_a_cluster_and_goes_back_with_all_that_clients_hold_of_it() {
    let postgres = PostgresServer::shared();
    let (redis, again, folder, billing) = (RedisServer::redis(), RedisServer::redis(), temporary_folder(), postgres.database());
    let cluster = tokio::task::spawn_blocking(|| Cluster::redis(3, 0)).await.unwrap();
    let file = folder.path().join("ledger.db").display().to_string();
    let (first, second, third) = (redis.url(), cluster.url(), again.url());
    let places: [(&[&str], &str); 4] =
        [(&["--redis", &first], "4"), (&["--redis", &second], "16"), (&["--store", &file], ""), (&["--redis", &third], "8")];
    let mut known: Vec<_> = ACCOUNTS.iter().map(|_| Known { charges: Vec::new(), entries: Vec::new(), token: String::new() }).collect();
    let (mut records, mut token): (Vec<String>, String) = (Vec::new(), String::new());
    for (number, (place, partitions)) in places.into_iter().enumerate() {
        let count: &[&str] = if partitions.is_empty() { &[] } else { &["--partitions", partitions] };
        let stores = [place, &["--billing", &billing], count].concat();
        if number > 0 {
            tokio::task::block_in_place(|| run(&[&["restore"], &stores[..]].concat()));
        }
        let words = [&stores[..], &["--aggregate", "--aggregation-lease", "1s"]].concat();
        let service = if number == 0 { Service::start(&words, &[]) } else { Service::open(&words, &[]) };
        if number == 0 {
            let mut client = service.client().await;
            for account in ACCOUNTS {
                client.open(account, PaymentMode::Postpaid, "1000000", "0").await;
            }
        }
        if number > 0 {
            let (since, _) = exported(&mut service.client().await, &token).await;
            assert!(since.iter().all(|id| !records.contains(id)), "an export that goes on says nothing twice: {since:?}");
        }
        let (after, end) = worked(service, &mut known).await;
        token = end;
        assert!(records.iter().all(|id| after.contains(id)), "records that were exported keep their ids");
        records = after;
        let charges: usize = known.iter().map(|known| known.charges.len()).sum();
        assert_eq!(records.len(), charges, "each charge has one record");
        tokio::task::block_in_place(|| run(&[&["verify"], &stores[..]].concat()));
    }
    // Who still has the old number is refused, wherever it looks.
    for (words, what) in [
        (vec!["verify", "--redis", &first, "--partitions", "4", "--billing", &billing], "restored with --partitions 8"),
        (vec!["verify", "--redis", &third, "--partitions", "4", "--billing", &billing], "--partitions 8"),
    ] {
        let ended = tokio::task::block_in_place(|| Operator::nowhere().run_words(&words));
        assert!(!ended.status.success() && ended.error.contains(what), "{words:?}: {ended:?}");
    }
}
