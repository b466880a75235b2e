//! The operators' commands, as a script calls them: what they print with `--output json` is what the API returns.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command::Operator;
use crate::http::{post, url_of};
use crate::service::{PATIENCE, Service};
use crate::support::temporary_folder;

/// A service with HTTP, by a clock that stands; and its folder.
pub fn start() -> (tempfile::TempDir, Service) {
    let folder = temporary_folder();
    std::fs::write(folder.path().join("clock"), "2026-07-10T12:00:00Z").unwrap();
    let [store, clock] = ["ledger.db", "clock"].map(|name| folder.path().join(name).display().to_string());
    let service = Service::start(&["--store", &store, "--test-clock", &clock, "--http-listen", "127.0.0.1:0"], &[]);
    (folder, service)
}

/// Runs it until two forms agree: the billing store follows within moments.
fn assert_alike(what: &str, mut ask: impl FnMut() -> (Value, Value)) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (one, other) = ask();
        if one == other {
            return;
        }
        assert!(Instant::now() < deadline, "{what}:\n{one:#}\n{other:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An account with an invoice, a payment, a reservation and a charge that was refunded.
pub fn lead_a_month(folder: &tempfile::TempDir, operator: &Operator) -> String {
    operator.json("issuer set --name Nordlicht --country DE --request-id i1");
    operator.json("tax set 19 --from 2020-01-01 --request-id t1");
    operator.json("item set voice Calls --request-id n1");
    operator.json("account create acme --name Acme --currency EUR --mode postpaid --limit 500 --request-id c1");
    operator.json("account create beta --name Beta --currency EUR --mode prepaid --request-id c2");
    operator.json("tax exempt beta --text Export --from 2026-01-01 --request-id t2");
    operator.json("account top-up beta 20 --method card --request-id p1");
    for (id, amount) in [("d1", "11.9"), ("d2", "4")] {
        let usage = json!({ "item": "voice", "quantity": "3", "unit": "min" });
        let debit = json!({ "accountId": "acme", "requestId": id, "amount": { "amount": amount }, "usage": usage });
        let charged = operator.run_words(&["call", "Debit", &debit.to_string()]);
        assert!(charged.status.success(), "{charged:?}");
    }
    operator.json("account refund acme d2 --amount 1 --reason dropped --request-id r1");
    let next = folder.path().join("next");
    std::fs::write(&next, "2026-08-05T12:00:00Z").unwrap();
    std::fs::rename(next, folder.path().join("clock")).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let number = loop {
        let issued = operator.list("invoice list --account acme --state issued");
        if let [invoice] = issued.as_slice() {
            break invoice["number"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "{issued:#?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let reserve = json!({ "accountId": "acme", "requestId": "a1", "reserve": { "amount": { "amount": "7" } } });
    assert!(operator.run_words(&["call", "Authorize", &reserve.to_string()]).status.success());
    number
}

/// Waits until the billing store has all of the journal, and nothing waits to be issued.
pub fn until_aggregated(operator: &Operator) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_behind = operator.list("aggregation").iter().any(|partition| partition.get("lagEntries").is_some());
        if !is_behind && operator.json("issuing show").get("waiting").is_none() {
            return;
        }
        assert!(Instant::now() < deadline, "{:#?}", operator.list("aggregation"));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_shown_for_programs_is_what_the_rpc_returns_by_grpc_and_by_http() {
    let (folder, service) = start();
    let (operator, url) = (Operator::of(&service), url_of(&service));
    let number = lead_a_month(&folder, &operator);
    operator.json(&format!("payment record acme 5 --invoice {number} --request-id p2"));
    let of_acme = json!({ "accountId": "acme" });
    for (line, path, rpc, request) in [
        ("credit acme", "charging/get-usable-credit", "GetUsableCredit", of_acme.clone()),
        ("account show acme", "account/get-account", "GetAccount", of_acme.clone()),
        ("account list", "account/list-accounts", "ListAccounts", json!({})),
        ("account list --search acme", "account/search-accounts", "SearchAccounts", json!({ "query": "acme" })),
        ("account entries acme", "account/list-entries", "ListEntries", of_acme.clone()),
        ("account entries acme --count 2", "account/list-entries", "ListEntries", json!({ "accountId": "acme", "pageSize": 2 })),
        ("account reservations acme", "account/list-reservations", "ListReservations", of_acme.clone()),
        ("account details acme", "billing/get-billing-details", "GetBillingDetails", of_acme.clone()),
        ("account statement acme", "billing/get-account-statement", "GetAccountStatement", of_acme.clone()),
        ("invoice list", "billing/list-invoices", "ListInvoices", json!({})),
        ("invoice show INV-000001", "billing/get-invoice", "GetInvoice", json!({ "number": "INV-000001" })),
        ("invoice preview acme", "billing/preview-invoice", "PreviewInvoice", of_acme.clone()),
        ("payment list", "billing/list-payments", "ListPayments", json!({})),
        ("payment show acme p2", "billing/get-payment", "GetPayment", json!({ "accountId": "acme", "paymentId": "p2" })),
        ("receivables", "billing/list-receivables", "ListReceivables", json!({})),
        ("receivables --as-of 2026-08-04", "billing/list-receivables", "ListReceivables", json!({ "asOfDay": "2026-08-04" })),
        ("suggest-limit acme", "billing/suggest-credit-limit", "SuggestCreditLimit", of_acme.clone()),
        ("issuer show", "billing/get-issuer", "GetIssuer", json!({})),
        ("issuing show", "billing/get-issuing", "GetIssuing", json!({})),
        ("item list", "billing/list-items", "ListItems", json!({})),
        ("tax list", "billing/list-tax-rates", "ListTaxRates", json!({})),
        ("tax show beta", "billing/list-tax-treatments", "ListTaxTreatments", json!({ "accountId": "beta" })),
        ("aggregation", "billing/get-aggregation", "GetAggregation", json!({})),
    ] {
        assert_alike(line, || (operator.json(line), post(&url, path, &request).1));
        assert_alike(rpc, || {
            let called = operator.run_words(&["call", rpc, &request.to_string()]);
            (operator.json(line), serde_json::from_str(&called.output).unwrap())
        });
    }
    assert_eq!(operator.json("receivables")["receivables"][0]["accountId"], "acme");
    assert!(service.stop().success());
}

#[test]
fn what_a_change_prints_for_programs_is_what_the_rpc_returns() {
    let (folder, service) = start();
    let (operator, url) = (Operator::of(&service), url_of(&service));
    let number = lead_a_month(&folder, &operator);
    let by = |reason: &str| json!({ "actor": "tester", "reason": reason });
    let unsaid = by("by the command line");
    let amount = |text: &str| json!({ "amount": text });
    for (line, path, request) in [
        (
            "account create gamma --name Gamma --currency EUR --mode prepaid",
            "account/create-account",
            json!({ "name": "Gamma", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID", "nonUsageBilling": "NON_USAGE_BILLING_CONSOLIDATED", "operator": unsaid }),
        ),
        ("account top-up gamma 9.5", "account/top-up", json!({ "amount": amount("9.5"), "operator": unsaid })),
        ("account adjust gamma -1 --reason why", "account/adjust-balance", json!({ "amount": amount("-1"), "operator": by("why") })),
        ("account withdraw gamma 2 --reason why", "account/withdraw", json!({ "amount": amount("2"), "operator": by("why") })),
        ("account update gamma --name G --reason why", "account/update-account", json!({ "name": "G", "operator": by("why") })),
        (
            "account limit gamma --limit 30 --reason why",
            "account/set-credit-limit",
            json!({ "creditLimit": { "permanent": amount("30") }, "operator": by("why") }),
        ),
        ("account convert gamma postpaid", "charging/convert", json!({ "mode": "PAYMENT_MODE_POSTPAID", "operator": unsaid })),
        ("account suspend gamma --reason why", "account/suspend-account", json!({ "operator": by("why") })),
        ("account resume gamma --reason why", "account/resume-account", json!({ "operator": by("why") })),
        (
            "account refund acme d1 --amount 2 --reason why",
            "charging/refund",
            json!({ "chargeId": "d1", "amount": amount("2"), "reason": "why" }),
        ),
        ("payment write-off acme 1 --reason why", "billing/write-off", json!({ "amount": amount("1"), "operator": by("why") })),
        (
            "payment reverse beta p1 --amount 3 --reason why",
            "account/reverse-payment",
            json!({ "paymentId": "p1", "amount": amount("3"), "operator": by("why") }),
        ),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let account = if words[1] == "create" { "gamma" } else { words[2] };
        let id = format!("{}-{}", words[1], words[2]);
        let line = format!("{line} --request-id {id}");
        let first = operator.json(&line);
        assert_eq!(first.get("replayed"), None, "{first:#}");
        let mut request = request;
        request["accountId"] = account.into();
        request["requestId"] = id.into();
        // What was done before is answered again, by every way.
        let (status, by_http) = post(&url, path, &request);
        assert_eq!((status, operator.json(&line)), (200, by_http.clone()));
        assert_eq!(by_http["replayed"], true, "{by_http:#}");
    }
    let paid = operator.json(&format!("payment record acme 3 --invoice {number} --request-id p3"));
    assert_eq!(paid["credit"]["currencyCode"], "EUR");
    assert!(service.stop().success());
}

#[test]
fn lists_are_limited_to_what_is_asked_for() {
    let (folder, service) = start();
    let (operator, url) = (Operator::of(&service), url_of(&service));
    lead_a_month(&folder, &operator);
    operator.json("account create dora --name Dora --currency USD --mode prepaid");
    operator.json("account suspend dora --reason fraud");
    until_aggregated(&operator);
    let texts = |line: &str, field: &str| operator.list(line).iter().map(|one| one[field].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    for (filter, expected) in [
        ("", &["acme", "beta", "dora"][..]),
        ("--status active", &["acme", "beta"]),
        ("--status suspended", &["dora"]),
        ("--status closed", &[]),
        ("--currency EUR --mode prepaid", &["beta"]),
        ("--currency USD --status active", &[]),
    ] {
        assert_eq!(texts(&format!("account list {filter}"), "accountId"), expected, "{filter}");
    }
    for (filter, expected) in [
        ("--kind refunded-unbilled", &["REFUNDED_UNBILLED"][..]),
        ("--kind charged-unbilled --kind CREATED", &["CHARGED_UNBILLED", "CHARGED_UNBILLED", "CREATED"]),
        ("--from 2026-08-02", &["RESERVED"]),
        ("--to 2026-07-11", &["REFUNDED_UNBILLED", "CHARGED_UNBILLED", "CHARGED_UNBILLED", "CREATED"]),
        ("--from 2026-07-11 --to 2026-08-01T00:00:00Z", &[]),
        ("--from 2026-08-01 --to 2026-08-02 --kind period-closed", &["PERIOD_CLOSED"]),
    ] {
        let expected: Vec<_> = expected.iter().map(|kind| format!("ENTRY_KIND_{kind}")).collect();
        assert_eq!(texts(&format!("account entries acme {filter}"), "kind"), expected, "{filter}");
        // Entry by entry, page by page.
        let kinds = |filter: &str| texts(&format!("account entries acme {filter} --count 1"), "kind");
        assert_eq!(kinds(filter), expected.iter().take(1).cloned().collect::<Vec<_>>(), "{filter}");
    }
    for (request, field) in [
        (json!({ "accountId": "acme", "kinds": ["ENTRY_KIND_UNSPECIFIED"] }), "kinds[0]"),
        (json!({ "accountId": "acme", "acceptedFrom": "2026-08-02T00:00:00Z", "acceptedTo": "2026-08-01T00:00:00Z" }), "accepted_to"),
    ] {
        assert_eq!(post(&url, "account/list-entries", &request).1["fieldViolations"][0]["field"], field);
    }
    let (status, refused) = post(&url, "account/list-accounts", &json!({ "currencyCode": "euro" }));
    assert_eq!((status, &refused["fieldViolations"][0]["field"]), (400, &json!("currency_code")));
    // A token belongs to the filter that it came from.
    let page = post(&url, "account/list-accounts", &json!({ "pageSize": 1, "currencyCode": "EUR" })).1;
    let other = json!({ "pageSize": 1, "currencyCode": "USD", "pageToken": page["nextPageToken"] });
    assert_eq!(post(&url, "account/list-accounts", &other).1["fieldViolations"][0]["field"], "page_token");
    assert!(service.stop().success());
}

#[test]
fn an_error_for_programs_is_the_problem_that_http_returns_in_one_line_of_stderr() {
    let (_folder, service) = start();
    let (operator, url) = (Operator::of(&service), url_of(&service));
    operator.json("account create acme --name Acme --currency EUR --mode prepaid --request-id c1");
    let unknown = json!({ "accountId": "nobody" });
    let wrong = json!({ "accountId": "acme", "requestId": "x", "amount": { "amount": "one" }, "operator": { "actor": "tester", "reason": "by the command line" } });
    let empty =
        json!({ "accountId": "acme", "requestId": "x", "operator": { "actor": "tester", "reason": "y" }, "amount": { "amount": "0" } });
    for (line, path, request) in [
        ("credit nobody --output json", "charging/get-usable-credit", &unknown),
        (r#"call GetUsableCredit {"accountId":"nobody"}"#, "charging/get-usable-credit", &unknown),
        ("account top-up acme one --request-id x --output json", "account/top-up", &wrong),
        ("account adjust acme 0 --request-id x --reason y --output json", "account/adjust-balance", &empty),
    ] {
        let ended = operator.run(line);
        assert_eq!((ended.status.code(), ended.output.as_str()), (Some(1), ""), "{line}: {ended:?}");
        let said: Value = serde_json::from_str(ended.error.trim_end().lines().last().unwrap()).unwrap();
        assert_eq!(said, post(&url, path, &request.clone()).1, "{line}");
    }
    // What is no answer of the service has a problem, too.
    let declined = operator.run("account withdraw acme 1 --reason asked --output json");
    assert_eq!(serde_json::from_str::<Value>(&declined.output).unwrap()["declined"]["shortfall"]["amount"], "1.00");
    let said: Value = serde_json::from_str(declined.error.lines().last().unwrap()).unwrap();
    assert!(said["title"] == "Refused" && said["detail"].as_str().unwrap().contains("INSUFFICIENT_FUNDS"), "{said}");
    assert!(service.stop().success());
    let gone = operator.run("credit acme --output json");
    let said: Value = serde_json::from_str(&gone.error).unwrap();
    assert_eq!((gone.status.code(), &said["title"]), (Some(3), &json!("No answer")), "{gone:?}");
}
