//! A conversion of many accounts, with suggested limits, leaves the billing store to others.

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tollgate::grpc::v1::batch_convert_request::{Accounts, Limit};
use tollgate::grpc::v1::billing_service_client::BillingServiceClient;
use tollgate::grpc::v1::{self, PaymentMode};
use tonic::transport::Endpoint;

use super::{console_url, link, until_users_are_kept};
use crate::service::Service;
use crate::support::temporary_folder;

/// How many accounts there are. Without history no limit is suggested: to find that out is all that a conversion does.
const ACCOUNTS: usize = 600;

/// More than has results that are sent ahead, or wait to be.
const MANY: usize = 4_000;

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("many-{number}")).collect()
}

async fn open_accounts(service: &Service, count: usize) {
    let client = service.client().await;
    for some in ids(count).chunks(50) {
        join_all(some.iter().map(|id| {
            let mut client = client.clone();
            async move { client.open(id, PaymentMode::Prepaid, "0", "1").await }
        }))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_shown_beside_a_conversion_of_many_accounts() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db").display().to_string();
    let service = Service::start(&["--store", &store, "--console", "127.0.0.1:0"], &[]);
    open_accounts(&service, ACCOUNTS).await;
    let url = console_url(&service).await;
    until_users_are_kept(&service).await;
    let sign_in = link(&store, &url, "chief", &["--role", "admin"]);
    let (jar, list) = (folder.path().join("cookies"), folder.path().join("list"));
    std::fs::write(&list, ids(ACCOUNTS).join("\n")).unwrap();
    // The status, then what was shown.
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "-m", "120", "-w", "\n%{http_code}"]).arg("-b").arg(&jar).arg("-c").arg(&jar).args(arguments);
        async move {
            let output = spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            let (shown, status) = shown.rsplit_once('\n').unwrap();
            (status.to_owned(), shown.to_owned())
        }
    };
    let origin = format!("origin: {url}");
    assert_eq!(curl(&[&sign_in, "-d", "", "-H", &origin]).await.0, "303");
    let path = format!("{url}/finance/conversions");
    let form = curl(&[&path]).await.1;
    let field = |name: &str| {
        let (_, behind) = form.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name} in {form}"));
        format!("{name}={}", behind.split_once('"').unwrap().0)
    };
    let (token, request, list) = (field("token"), field("request"), format!("list@{}", list.display()));
    let fields = [&token, &request, "mode=postpaid", "limit-kind=suggested", "reason=contracts", &list];
    let fields = fields.iter().flat_map(|field| ["--data-urlencode", field]);
    let begun = curl(&["-D", "-", "-o", "/dev/null", "-H", &origin, &path].into_iter().chain(fields).collect::<Vec<_>>()).await;
    let location =
        begun.1.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{begun:?}")).trim().to_owned();

    let (conversion, mut opened) = (format!("{url}{location}"), 0);
    loop {
        for page in ["/finance/organizations", "/finance/receivables", "/invoices", "/finance/payments"] {
            let (status, shown) = curl(&[&format!("{url}{page}")]).await;
            assert_eq!(status, "200", "{page}, after {opened} pages: {shown}");
            opened += 1;
        }
        let (status, shown) = curl(&[&conversion]).await;
        assert_eq!(status, "200", "{shown}");
        assert!(!shown.contains(">Stopped<"), "{shown}");
        if shown.contains(">Looked at<") {
            assert!(shown.contains(&format!("Refused: <b>{ACCOUNTS}</b>")), "{shown}");
            return;
        }
    }
}

/// A caller that no longer reads, whatever for, has results wait for it: they must not keep what others need meanwhile.
#[tokio::test]
async fn a_conversion_of_many_accounts_whose_results_nobody_reads_keeps_nothing_of_the_billing_store() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    open_accounts(&service, MANY).await;
    // Few results fit into what is sent ahead.
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap().initial_stream_window_size(1_024);
    let mut caller = BillingServiceClient::new(endpoint.connect().await.unwrap());
    let accounts = ids(MANY).into_iter().map(|account_id| v1::BatchAccount { account_id, limit: None }).collect();
    let request = v1::BatchConvertRequest {
        batch_id: "unread".into(),
        mode: PaymentMode::Postpaid.into(),
        accounts: Some(Accounts::List(v1::BatchAccountList { accounts })),
        limit: Some(Limit::SuggestedLimit(true)),
        operator: Some(v1::Operator { actor: "eve".into(), reason: "contracts".into() }),
        dry_run: true,
        ..Default::default()
    };
    let mut unread = caller.batch_convert(request).await.unwrap().into_inner();
    unread.message().await.unwrap().unwrap();
    let client = service.client().await;
    for _ in 0..20 {
        let listed = join_all((0..10).map(|_| {
            let mut client = client.clone();
            async move { client.billing.list_receivables(v1::ListReceivablesRequest::default()).await }
        }));
        for listed in timeout(Duration::from_secs(60), listed).await.unwrap() {
            listed.unwrap();
        }
    }
    let mut read = 1;
    while unread.message().await.unwrap().is_some() {
        read += 1;
    }
    assert_eq!(read, MANY, "it goes on once somebody reads");
}
