//! Issue 15: accounts by mode, status, low credit and debt, in an order, in pages; whatever the store.

use tollgate::grpc::v1;
use tollgate::grpc::v1::credit_limit_change::Temporary;
use tollgate::grpc::v1::{AccountStatus, PaymentMode, SearchAccountsRequest};
use tonic::Code;

use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, money, until};
use crate::support::temporary_folder;

fn operator() -> Option<v1::Operator> {
    Some(v1::Operator { actor: "test".into(), reason: "a test".into() })
}

async fn found(client: &Client, wanted: SearchAccountsRequest) -> Vec<String> {
    let found = client.clone().accounts.search_accounts(wanted).await.unwrap().into_inner();
    found.accounts.into_iter().map(|account| account.account_id).collect()
}

/// Waits until the billing store has taken in accounts as these, the first of which comes first.
async fn first_is(client: &Client, wanted: &SearchAccountsRequest, id: &str) {
    until(id, async || {
        let found = client.clone().accounts.search_accounts(wanted.clone()).await.ok()?.into_inner();
        (found.accounts.first()?.account_id == id).then_some(())
    })
    .await;
}

fn by(order_by: &str) -> SearchAccountsRequest {
    SearchAccountsRequest { order_by: order_by.into(), ..Default::default() }
}

/// Accounts of which each is in another state, and the order that follows.
async fn open_accounts(client: &mut Client) {
    // Id, mode, permanent limit, balance.
    client.open("rich", PaymentMode::Prepaid, "0", "900.5").await;
    client.open("poor", PaymentMode::Prepaid, "0", "3").await;
    client.open("indebted", PaymentMode::Prepaid, "100", "1").await;
    client.charging.debit(debit("indebted", "use", "9.67148")).await.unwrap();
    client.open("billed", PaymentMode::Postpaid, "1000", "0").await;
    client.open("raised", PaymentMode::Postpaid, "10", "0").await;
    client.charging.debit(debit("raised", "use", "10")).await.unwrap();
    client.open("gone", PaymentMode::Prepaid, "0", "0").await;
    let threshold = v1::UpdateAccountRequest {
        account_id: "poor".into(),
        request_id: "threshold".into(),
        low_credit: money("5").map(v1::update_account_request::LowCredit::LowCreditThreshold),
        operator: operator(),
        ..Default::default()
    };
    client.accounts.update_account(threshold).await.unwrap();
    let end = Some(v1::temporary_credit_limit::End::Days(3));
    let temporary = v1::TemporaryCreditLimit { limit: money("500"), end };
    let raise = v1::SetCreditLimitRequest {
        account_id: "raised".into(),
        request_id: "raise".into(),
        credit_limit: Some(v1::CreditLimitChange { permanent: None, temporary: Some(Temporary::SetTemporary(temporary)) }),
        operator: operator(),
        ..Default::default()
    };
    client.accounts.set_credit_limit(raise).await.unwrap();
    let close =
        v1::CloseAccountRequest { account_id: "gone".into(), request_id: "close".into(), operator: operator(), ..Default::default() };
    client.accounts.close_account(close).await.unwrap();
    let owe = v1::AdjustBalanceRequest {
        account_id: "billed".into(),
        request_id: "owe".into(),
        amount: money("-1200"),
        operator: operator(),
        ..Default::default()
    };
    client.accounts.adjust_balance(owe).await.unwrap();
    first_is(client, &by("amount_due desc"), "billed").await;
    first_is(client, &SearchAccountsRequest { status: AccountStatus::Closed.into(), ..Default::default() }, "gone").await;
}

async fn lists_accounts_by_credit_in_an_order(service: Service) {
    let mut client = service.client().await;
    open_accounts(&mut client).await;
    let client = &client;
    for (order, expected) in [
        // The temporary limit counts while it runs.
        ("usable_credit", ["gone", "poor", "indebted", "raised", "rich", "billed"]),
        ("usable_credit desc", ["billed", "rich", "raised", "indebted", "poor", "gone"]),
        ("balance", ["billed", "indebted", "gone", "raised", "poor", "rich"]),
        ("amount_due desc", ["billed", "rich", "raised", "poor", "indebted", "gone"]),
        ("name desc", ["rich", "raised", "poor", "indebted", "gone", "billed"]),
    ] {
        assert_eq!(found(client, by(order)).await, expected, "{order}");
        let (mut seen, mut wanted) = (Vec::new(), SearchAccountsRequest { page_size: 1, ..by(order) });
        loop {
            let page = client.clone().accounts.search_accounts(wanted.clone()).await.unwrap().into_inner();
            seen.extend(page.accounts.into_iter().map(|account| account.account_id));
            wanted.page_token = page.next_page_token;
            if wanted.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, expected, "{order}, by pages of one");
    }
    let low = SearchAccountsRequest { low_credit: true, ..Default::default() };
    let owing = SearchAccountsRequest { owing: true, ..Default::default() };
    let postpaid = SearchAccountsRequest { mode: PaymentMode::Postpaid.into(), ..by("balance desc") };
    assert_eq!(found(client, low.clone()).await, ["poor"]);
    assert_eq!(found(client, owing.clone()).await, ["billed", "indebted"]);
    assert_eq!(found(client, postpaid).await, ["raised", "billed"]);
    assert_eq!(found(client, SearchAccountsRequest { mode: PaymentMode::Prepaid.into(), ..owing.clone() }).await, ["indebted"]);
    assert_eq!(found(client, SearchAccountsRequest { query: "customer bil".into(), ..owing.clone() }).await, ["billed"]);
    assert_eq!(found(client, SearchAccountsRequest { currency_code: "JPY".into(), ..owing.clone() }).await, [""; 0]);

    // A token belongs to its filter and order; what is no order is refused.
    let token = client.clone().accounts.search_accounts(SearchAccountsRequest { page_size: 1, ..owing.clone() }).await.unwrap();
    let page_token = token.into_inner().next_page_token;
    for (request, field) in [
        (SearchAccountsRequest { page_token: page_token.clone(), ..low }, "page_token"),
        (SearchAccountsRequest { page_token, ..by("balance") }, "page_token"),
        (by("usable_credit up"), "order_by"),
        (by("size"), "order_by"),
        (by("name desc desc"), "order_by"),
        (SearchAccountsRequest { currency_code: "euro".into(), ..Default::default() }, "currency_code"),
        (SearchAccountsRequest::default(), "query"),
    ] {
        let refused = client.clone().accounts.search_accounts(request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{request:?}");
        assert!(refused.message().contains(field), "{refused:?}");
    }

    tokio::task::block_in_place(|| {
        let operator = Operator::of(&service);
        let ids = |words: &[&str]| {
            let found = operator.run_words(&[&["account", "list", "--output", "json"], words].concat());
            let found: serde_json::Value = serde_json::from_str(&found.output).unwrap_or_else(|_| panic!("{found:?}"));
            let accounts = found["accounts"].as_array().unwrap().iter();
            accounts.map(|account| account["accountId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&["--low-credit"]), ["poor"]);
        assert_eq!(ids(&["--owing", "--mode", "postpaid"]), ["billed"]);
        assert_eq!(ids(&["--order-by", "usable_credit desc", "--count", "2"]), ["billed", "rich"]);
    });
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_by_credit_in_an_order_in_sqlite() {
    let folder = temporary_folder();
    lists_accounts_by_credit_in_an_order(Service::embedded(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_by_credit_in_an_order_in_postgresql() {
    let (server, folder) = (PostgresServer::shared(), temporary_folder());
    let store = folder.path().join("ledger.db");
    lists_accounts_by_credit_in_an_order(Service::start(&["--store", store.to_str().unwrap(), "--billing", &server.database()], &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_billing_store_nothing_is_ordered_by_credit_and_modes_are_found_by_the_ledger() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let service = Service::start(&["--store", store.to_str().unwrap(), "--billing", "off"], &[]);
    let mut client = service.client().await;
    client.open("pre", PaymentMode::Prepaid, "0", "5").await;
    client.open("post", PaymentMode::Postpaid, "5", "0").await;
    for request in [by("balance"), SearchAccountsRequest { low_credit: true, ..Default::default() }] {
        let refused = client.accounts.search_accounts(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    }
    let prepaid = SearchAccountsRequest { mode: PaymentMode::Prepaid.into(), ..Default::default() };
    assert_eq!(found(&client, prepaid).await, ["pre"]);
    assert!(service.stopped().await.success());
}
