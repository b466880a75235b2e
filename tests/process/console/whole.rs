//! A list that is downloaded from the console is whole, however long it is.

use std::collections::BTreeSet;
use std::process::Command;

use tollgate::grpc::v1::charge_command::Command as Charged;
use tollgate::grpc::v1::{self, PaymentMode};

use super::{console_url, link, until_users_are_kept};
use crate::service::{Service, debit};
use crate::support::temporary_folder;

/// How many charges the list has. Files once ended behind 10,000 rows.
const CHARGES: usize = 10_100;

/// How many are sent at once.
const AT_ONCE: usize = 500;

#[tokio::test]
async fn a_list_of_more_than_ten_thousand_rows_is_downloaded_as_a_whole() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db").display().to_string();
    let service = Service::start(&["--store", &store, "--console", "127.0.0.1:0"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "1000").await;
    let batch = |begin: usize| {
        let numbers = begin..CHARGES.min(begin + AT_ONCE);
        let debits = numbers.map(|number| Charged::Debit(debit("acme", &format!("call-{number}"), "0.01")));
        v1::ChargeRequest { commands: debits.map(|debit| v1::ChargeCommand { command: Some(debit) }).collect() }
    };
    let batches: Vec<_> = (0..CHARGES).step_by(AT_ONCE).map(batch).collect();
    let mut answers = client.charging.charge(futures_util::stream::iter(batches)).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}

    let url = console_url(&service).await;
    until_users_are_kept(&service).await;
    let sign_in = link(&store, &url, "reader", &["--role", "read"]);
    let jar = folder.path().join("cookies").display().to_string();
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl").args(["-sS", "--fail", "-m", "120", "-b", &jar, "-c", &jar]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    curl(&[&sign_in, "-d", "", "-H", &format!("origin: {url}")]);
    let file = curl(&[&format!("{url}/finance/organizations/acme/transactions.csv?kind=charges")]);
    let mut lines = file.lines();
    assert_eq!(lines.next().unwrap().split(',').nth(2), Some("request_id"));
    let requests: Vec<_> = lines.map(|line| line.split(',').nth(2).unwrap()).collect();
    assert_eq!(requests.len(), CHARGES);
    assert_eq!(requests.iter().collect::<BTreeSet<_>>().len(), CHARGES, "each once");
}
