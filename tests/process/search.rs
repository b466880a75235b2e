//! Issue 13: "acme" finds "The Acme Company", "ecole" finds "École", in pages, whatever the store.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor};
use tollgate::billing::store::Store;
use tollgate::grpc::v1;
use tollgate::grpc::v1::AccountMatch;
use tonic::Code;

use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Client, PATIENCE, Service, money, until};
use crate::support::temporary_folder;

async fn create(client: &mut Client, id: &str, name: &str) {
    let request = v1::CreateAccountRequest {
        account_id: id.into(),
        request_id: "create".into(),
        name: name.into(),
        currency_code: "EUR".into(),
        mode: v1::PaymentMode::Prepaid.into(),
        ..Default::default()
    };
    client.accounts.create_account(request).await.unwrap();
}

async fn rename(client: &mut Client, id: &str, name: &str) {
    let request =
        v1::UpdateAccountRequest { account_id: id.into(), request_id: "rename".into(), name: Some(name.into()), ..Default::default() };
    client.accounts.update_account(request).await.unwrap();
}

async fn details(client: &mut Client, id: &str, name: &str, tax_id: &str) {
    let customer = v1::Party { name: name.into(), tax_id: tax_id.into(), ..Default::default() };
    let request = v1::SetBillingDetailsRequest { account_id: id.into(), customer: Some(customer), ..Default::default() };
    client.billing.set_billing_details(request).await.unwrap();
}

async fn page(client: &mut Client, query: &str, page_size: i32, page_token: &str) -> v1::SearchAccountsResponse {
    let request = v1::SearchAccountsRequest { query: query.into(), page_size, page_token: page_token.into(), ..Default::default() };
    client.accounts.search_accounts(request).await.unwrap().into_inner()
}

fn ids(page: &v1::SearchAccountsResponse) -> Vec<&str> {
    page.accounts.iter().map(|account| account.account_id.as_str()).collect()
}

/// What is found, once aggregation has come so far.
async fn finds(client: &mut Client, query: &str, how: AccountMatch, expected: &[&str]) -> v1::SearchAccountsResponse {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = page(client, query, 0, "").await;
        if ids(&found) == expected && found.r#match() == how {
            return found;
        }
        assert!(Instant::now() < deadline, "{query:?}: {:?} {:?}, not {expected:?}", found.r#match(), ids(&found));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn finds_accounts_by_what_people_know(service: Service) {
    let mut client = service.client().await;
    for (id, name) in [
        ("cust-1", "The Acme Company"),
        ("cust-2", "\u{c9}cole des Mines"),
        ("cust-3", "100% Juice_Bar \\ Co"),
        ("cust-4", "1000 Juice-Bars"),
        ("cust-5", "\u{682a}\u{5f0f}\u{4f1a}\u{793e}\u{6771}\u{4eac}"),
        ("Partner/6", "Stra\u{df}e \"Nord\""),
        ("cust-7", "acme"),
    ] {
        create(&mut client, id, name).await;
    }
    details(&mut client, "cust-1", "ACME Soci\u{e9}t\u{e9} Anonyme", "FR 40 303 265 045").await;
    let parts = AccountMatch::Parts;
    // By parts, in any order of words, in the order of names.
    finds(&mut client, "acme", parts, &["cust-7", "cust-1"]).await;
    for (query, expected) in [
        ("CME comp", &["cust-1"][..]),
        ("company the", &["cust-1"]),
        ("company nobody", &[]),
        ("ecole", &["cust-2"]),
        ("\u{c9}COLE", &["cust-2"]),
        ("mines e", &["cust-2"]),
        ("strasse", &["Partner/6"]),
        ("\"nord\"", &["Partner/6"]),
        ("partner/", &["Partner/6"]),
        ("T-4", &["cust-4"]),
        // The tax id as it is written, and in one; the name on documents; both in one search.
        ("303 265", &["cust-1"]),
        ("fr40303265045", &["cust-1"]),
        ("societe", &["cust-1"]),
        ("societe company", &["cust-1"]),
        // Nothing is a wildcard, an operator or the end of a text.
        ("100%", &["cust-3"]),
        ("uice_bar", &["cust-3"]),
        ("r \\ co juice", &["cust-3"]),
        ("%%%", &[]),
        ("___", &[]),
        ("acme OR ecole", &[]),
        ("acme*", &[]),
        ("'; --drop", &[]),
        ("\u{4f1a}\u{793e}\u{6771}", &["cust-5"]),
    ] {
        finds(&mut client, query, parts, expected).await;
    }
    // Shorter than what the index knows: how the id, the name, or the name on documents begins.
    let beginning = AccountMatch::Beginning;
    finds(&mut client, "ac", beginning, &["cust-7", "cust-1"]).await;
    finds(&mut client, "t", beginning, &["cust-1"]).await;
    finds(&mut client, "EC", beginning, &["cust-2"]).await;
    finds(&mut client, "PA", beginning, &["Partner/6"]).await;
    finds(&mut client, "%", beginning, &[]).await;
    finds(&mut client, "\u{682a}\u{5f0f}", beginning, &["cust-5"]).await;

    // It is shown as it is now, and says what was known of names.
    let found = page(&mut client, "mines", 0, "").await;
    assert_eq!(found.accounts[0].name, "\u{c9}cole des Mines");
    assert_eq!(found.accounts[0].credit.as_ref().unwrap().usable, "0.00");
    assert!(!found.positions.is_empty() && found.positions.iter().any(|position| position.sequence > 0), "{:?}", found.positions);

    // A new name is found, and the old one no more; details are replaced, and the name stays.
    rename(&mut client, "cust-2", "Universit\u{e4}t").await;
    finds(&mut client, "universitat", parts, &["cust-2"]).await;
    finds(&mut client, "ecole", parts, &[]).await;
    details(&mut client, "cust-1", "Other", "DE1").await;
    finds(&mut client, "other company de1", parts, &["cust-1"]).await;
    finds(&mut client, "societe", parts, &[]).await;
    finds(&mut client, "303", parts, &[]).await;

    // Pages: all of them, each once, in order.
    for number in 0..23 {
        create(&mut client, &format!("many-{number}"), &format!("Twin {}", number / 4)).await;
    }
    until("all are found", async || (page(&mut client.clone(), "twin", 1000, "").await.accounts.len() == 23).then_some(())).await;
    for query in ["twin", "tw"] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let found = page(&mut client, query, 5, &token).await;
            seen.extend(found.accounts.iter().map(|account| (account.name.to_lowercase(), account.account_id.clone())));
            token = found.next_page_token;
            if token.is_empty() {
                break;
            }
            assert_eq!(found.accounts.len(), 5);
        }
        assert_eq!(seen.len(), 23);
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 23);
    }
    let token = page(&mut client, "twin", 5, "").await.next_page_token;
    for (query, page_token, field) in
        [("", "", "query"), ("   ", "", "query"), ("a b c d e f g h i j k", "", "query"), ("twi", &token, "page_token")]
    {
        let request = v1::SearchAccountsRequest { query: query.into(), page_token: page_token.into(), ..Default::default() };
        let refused = client.accounts.search_accounts(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{query:?}");
        assert!(refused.message().contains(field), "{refused:?}");
    }

    tokio::task::block_in_place(|| {
        let operator = Operator::of(&service);
        let found = operator.run_words(&["account", "list", "--search", "the acme", "--output", "json"]);
        let found: serde_json::Value = serde_json::from_str(&found.output).unwrap();
        assert_eq!((found["accounts"].as_array().unwrap().len(), &found["accounts"][0]["accountId"]), (1, &"cust-1".into()));
        assert_eq!(operator.list("account list --search twin --count 7").len(), 7);
        assert_eq!(operator.json("account show universitat")["account"]["accountId"], "cust-2");
        // How names begin comes first.
        let both = operator.list("account show acme");
        assert_eq!([&both[0]["accountId"], &both[1]["accountId"]], ["cust-7", "cust-1"]);
        let short = operator.run("account list --search tw");
        assert!(short.error.contains("only by how ids and names begin"), "{short:?}");
        let nobody = operator.run("account show nonesuch");
        assert!(nobody.status.code() == Some(1) && nobody.error.contains("is found by"), "{nobody:?}");
    });
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_found_by_what_people_know_in_sqlite() {
    let folder = temporary_folder();
    finds_accounts_by_what_people_know(Service::embedded(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_found_by_what_people_know_in_postgresql() {
    let (server, folder) = (PostgresServer::shared(), temporary_folder());
    let store = folder.path().join("ledger.db");
    finds_accounts_by_what_people_know(Service::start(&["--store", store.to_str().unwrap(), "--billing", &server.database()], &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_billing_store_only_how_names_begin_is_found_and_the_answer_says_so() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let service = Service::start(&["--store", store.to_str().unwrap(), "--billing", "off"], &[]);
    let mut client = service.client().await;
    for number in 0..7 {
        create(&mut client, &format!("a-{number}"), &format!("Acme {number}")).await;
    }
    create(&mut client, "b", "The Acme Company").await;
    let first = page(&mut client, " acme", 5, "").await;
    assert_eq!((first.r#match(), first.positions.len()), (AccountMatch::BeginningOfName, 0));
    let rest = page(&mut client, " acme", 5, &first.next_page_token).await;
    assert_eq!([ids(&first), ids(&rest)].concat(), ["a-0", "a-1", "a-2", "a-3", "a-4", "a-5", "a-6"]);
    assert!(rest.next_page_token.is_empty());
    tokio::task::block_in_place(|| {
        let told = Operator::of(&service).run("account list --search acme");
        assert!(told.error.contains("only by how names begin"), "{told:?}");
    });
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_billing_store_is_away_a_new_search_asks_the_ledger_and_a_begun_one_is_refused() {
    let (server, folder) = (PostgresServer::start(), temporary_folder());
    let store = folder.path().join("ledger.db");
    let service = Service::start(&["--store", store.to_str().unwrap(), "--billing", &server.database()], &[]);
    let mut client = service.client().await;
    for number in 0..3 {
        create(&mut client, &format!("a-{number}"), &format!("Acme {number}")).await;
    }
    finds(&mut client, "cme", AccountMatch::Parts, &["a-0", "a-1", "a-2"]).await;
    let begun = page(&mut client, "acme", 1, "").await;
    server.kill();
    let found = page(&mut client, "acme", 2, "").await;
    assert_eq!((found.r#match(), ids(&found)), (AccountMatch::BeginningOfName, vec!["a-0", "a-1"]));
    let request =
        v1::SearchAccountsRequest { query: "acme".into(), page_size: 1, page_token: begun.next_page_token.clone(), ..Default::default() };
    let refused = client.accounts.search_accounts(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    server.start_again();
    let rest = until("the begun search goes on", async || {
        let request = v1::SearchAccountsRequest {
            query: "acme".into(),
            page_size: 9,
            page_token: begun.next_page_token.clone(),
            ..Default::default()
        };
        client.clone().accounts.search_accounts(request).await.ok()
    })
    .await
    .into_inner();
    assert_eq!(ids(&rest), ["a-1", "a-2"]);
    // The one that the ledger began, the ledger ends.
    let rest = page(&mut client, "acme", 2, &found.next_page_token).await;
    assert_eq!((rest.r#match(), ids(&rest)), (AccountMatch::BeginningOfName, vec!["a-2"]));
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_create_no_extension_finds_how_names_begin_until_an_administrator_has() {
    let (server, folder) = (PostgresServer::shared(), temporary_folder());
    let (url, store) = (server.database(), folder.path().join("ledger.db"));
    let (head, query) = url.split_once('?').unwrap();
    let name = head.rsplit_once('/').unwrap().1;
    let role = format!("plain_{name}");
    let administrator = Store::connect_lazily(&url).unwrap();
    let prepared = format!("CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}; REVOKE CREATE ON DATABASE {name} FROM {role}");
    sqlx::raw_sql(AssertSqlSafe(prepared)).execute(administrator.pool()).await.unwrap();
    let plain = format!("postgres://{role}@localhost/{name}?{query}");
    let arguments = ["--store", store.to_str().unwrap(), "--billing", &plain];
    let service = Service::start(&arguments, &[]);
    let mut client = service.client().await;
    create(&mut client, "a", "\u{c9}cole").await;
    create(&mut client, "b", "The Acme Company").await;
    finds(&mut client, "ecole", AccountMatch::Beginning, &["a"]).await;
    finds(&mut client, "acme", AccountMatch::Beginning, &[]).await;
    assert!(service.log().iter().any(|line| line.contains("CREATE EXTENSION pg_trgm")), "{:#?}", service.log());
    assert!(service.stopped().await.success());
    administrator.pool().execute("CREATE EXTENSION pg_trgm").await.unwrap();
    let service = Service::start(&arguments, &[]);
    finds(&mut service.client().await, "acme", AccountMatch::Parts, &["b"]).await;
    assert!(service.stopped().await.success());
}

/// The numbers of the documents that a text finds.
async fn documents(client: &mut Client, text: &str) -> Vec<String> {
    listed(client, v1::ListInvoicesRequest { text: text.into(), page_size: 2, ..Default::default() }).await
}

/// The numbers of the documents that come to a total.
async fn documents_of(client: &mut Client, total: &str, text: &str) -> Vec<String> {
    listed(client, v1::ListInvoicesRequest { total: total.into(), text: text.into(), page_size: 1, ..Default::default() }).await
}

async fn listed(client: &mut Client, request: v1::ListInvoicesRequest) -> Vec<String> {
    let mut numbers = Vec::new();
    let mut page_token = String::new();
    loop {
        let page = client.billing.list_invoices(v1::ListInvoicesRequest { page_token, ..request.clone() }).await.unwrap().into_inner();
        assert!(!page.compared_beginnings);
        numbers.extend(page.invoices.into_iter().map(|invoice| invoice.number));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return numbers;
        }
    }
}

/// Documents are found by a part of their number, and of the name that they were issued with, and by their total.
async fn documents_are_found(billing: Option<String>) {
    let folder = temporary_folder();
    let [store, clock] = ["ledger.db", "clock"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&clock, "2026-06-10T12:00:00Z").unwrap();
    let billing = billing.unwrap_or_else(|| format!("sqlite://{}", folder.path().join("billing.db").display()));
    let arguments = ["--store", &store, "--billing", &billing, "--test-clock", &clock];
    let service = Service::start(&arguments, &[]);
    let (mut client, operator) = (service.client().await, Operator::of(&service));
    let run = |words: &[&str]| {
        let ended = operator.run_words(words);
        assert!(ended.status.success(), "{words:?}: {ended:?}");
        ended.output
    };
    for (id, name) in [("a", "\u{c9}cole Sup\u{e9}rieure"), ("b", "The Acme Company"), ("c", "ACME Stra\u{df}enbau")] {
        client.open(id, v1::PaymentMode::Postpaid, "1000", "0").await;
        details(&mut client, id, name, "").await;
        client.charging.debit(crate::service::debit(id, "charge", "11.90")).await.unwrap();
    }
    // As many units as 11.90 are where an account has six decimals.
    let yen = v1::CreateAccountRequest {
        account_id: "d".into(),
        request_id: "create".into(),
        name: "Tokio".into(),
        currency_code: "JPY".into(),
        decimals: Some(0),
        mode: v1::PaymentMode::Postpaid.into(),
        credit_limit: Some(v1::CreditLimitChange { permanent: money("20000000"), temporary: None }),
        ..Default::default()
    };
    client.accounts.create_account(yen).await.unwrap();
    details(&mut client, "d", "Tokio", "").await;
    client.charging.debit(crate::service::debit("d", "charge", "11900000")).await.unwrap();
    tokio::task::block_in_place(|| {
        run(&["issuer", "set", "--name", "Nordlicht", "--city", "Hamburg", "--country", "DE"]);
        run(&["tax", "set", "19", "--from", "2020-01-01"]);
    });
    std::fs::write(folder.path().join("next"), "2026-07-02T12:00:00Z").unwrap();
    std::fs::rename(folder.path().join("next"), &clock).unwrap();
    until("four invoices are issued", || {
        let mut client = client.clone();
        async move { (documents(&mut client, "inv").await.len() == 4).then_some(()) }
    })
    .await;
    // It is printed as it was then, whatever the customer is called from now on.
    details(&mut client, "b", "Zenith", "").await;
    for (text, count) in [
        ("ecole", 1),
        ("SUPERIEUR ecol", 1),
        ("acme", 2),
        ("acme co", 1),
        ("strassen", 1),
        ("zenith", 0),
        ("INV-0000", 4),
        ("000002", 1),
        ("inv-000002 nobody", 0),
    ] {
        let found = documents(&mut client, text).await;
        assert_eq!(found.len(), count, "{text}: {found:?}");
    }
    assert_eq!(documents(&mut client, "000003").await, ["INV-000003"]);
    for wrong in ["ab", "a b c d e f g h i j klm", "a", &"x".repeat(201)] {
        let request = v1::ListInvoicesRequest { text: wrong.into(), ..Default::default() };
        let refused = client.billing.list_invoices(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{wrong}");
        assert!(refused.message().contains("text must be"), "{}", refused.message());
    }
    for (total, text, count) in [
        ("11.9", "", 3),
        ("11.900000", "acme", 2),
        ("11.90", "tokio", 0),
        ("11900000", "", 1),
        ("1190", "", 0),
        ("0", "", 0),
        ("-11.90", "", 0),
        ("2251799813.685248", "", 0),
    ] {
        let found = documents_of(&mut client, total, text).await;
        assert_eq!(found.len(), count, "{total} {text}: {found:?}");
    }
    for wrong in ["11,90", "1e3", "EUR 5", "0.1234567", "99999999999999999999"] {
        let refused =
            client.billing.list_invoices(v1::ListInvoicesRequest { total: wrong.into(), ..Default::default() }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{wrong}");
        assert!(refused.message().contains("total "), "{}", refused.message());
    }
    let listed = tokio::task::block_in_place(|| run(&["invoice", "list", "--search", "stra\u{df}enbau"]));
    assert!(listed.contains("INV-00000") && listed.contains(" c ") && !listed.contains(" a "), "{listed}");
    let listed = tokio::task::block_in_place(|| run(&["invoice", "list", "--total", "11900000"]));
    assert!(listed.contains("INV-00000") && listed.contains(" d ") && !listed.contains(" a "), "{listed}");
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_in_a_file_are_found_by_parts_of_number_and_name_and_by_total() {
    documents_are_found(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_in_postgresql_are_found_by_parts_of_number_and_name_and_by_total() {
    documents_are_found(Some(PostgresServer::shared().database())).await;
}
