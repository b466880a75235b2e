//! How long it takes to say that there is no such thing tells nothing of what others have.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tonic::Code;

use super::callers::{House, amount};
use crate::service::until;

/// How many lines the document of another has: to read it takes far longer than to find nothing.
const LINES: usize = 10_000;
const BATCH: usize = 100;
const ROUNDS: usize = 41;

/// An account with as many charges for different things as its document is to have lines, which is issued: its number and its id.
async fn with_large_document(house: &House, root: &str, id: &str) -> (String, String) {
    let by = json!({ "actor": "root", "reason": "a test" });
    let issuer = json!({ "requestId": "i", "issuer": { "name": "Nordlicht", "countryCode": "DE" }, "operator": by });
    house.done(root, "BillingService/SetIssuer", issuer).await;
    let rate = json!({ "requestId": "r", "rate": { "validFrom": "2020-01-01", "percent": "19" }, "operator": by });
    house.done(root, "BillingService/SetTaxRate", rate).await;
    for number in (0..LINES).step_by(BATCH) {
        let debit = |number: usize| {
            let usage = json!({ "item": format!("item-{number}"), "description": format!("Thing {number}") });
            json!({ "debit": { "accountId": id, "requestId": format!("d{number}"), "amount": amount("0.01"), "usage": usage } })
        };
        let commands: Vec<Value> = (number..number + BATCH).map(debit).collect();
        house.done(root, "ChargingService/BatchCharge", json!({ "commands": commands })).await;
    }
    // The final bill is an invoice.
    let convert = json!({ "accountId": id, "requestId": "v", "mode": "PAYMENT_MODE_PREPAID", "allowUnusable": true, "operator": by });
    house.done(root, "ChargingService/Convert", convert).await;
    until("the invoice is issued", async || {
        let listed = house.done(root, "BillingService/ListInvoices", json!({ "state": "INVOICE_STATE_ISSUED" })).await;
        let text = |field: &str| Some(listed["invoices"].get(0)?[field].as_str()?.to_owned());
        Some((text("number")?, text("documentId")?))
    })
    .await
}

async fn opened(house: &House, root: &str, id: &str) {
    let account = json!({ "accountId": id, "requestId": "c", "name": "Customer", "currencyCode": "EUR", "mode": "PAYMENT_MODE_POSTPAID",
        "creditLimit": { "permanent": amount("1000") } });
    house.done(root, "AccountService/CreateAccount", account).await;
}

/// How long a refusal takes at least, of many; of one that is for another's, and of one that is for nobody's, in turns.
async fn durations(house: &House, key: &str, method: &str, requests: &[Value; 2]) -> [Duration; 2] {
    let mut least = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (request, least) in requests.iter().zip(&mut least) {
            let began = Instant::now();
            let refused = house.call(Some(key), method, request).await.expect_err(method);
            *least = began.elapsed().min(*least);
            assert_eq!(refused.code(), Code::NotFound, "{method} {request}: {refused:?}");
        }
    }
    least
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_document_of_another_is_not_found_as_fast_as_one_that_is_not_there() {
    let (house, keys) = House::start(&[("root", "admin", &[]), ("tenant", "admin", &["partner-7/"])]).await;
    let [root, tenant] = keys.try_into().unwrap();
    opened(&house, &root, "partner-8/a").await;
    let (number, id) = with_large_document(&house, &root, "partner-8/a").await;
    opened(&house, &root, "partner-7/a").await;
    let pay = json!({ "accountId": "partner-7/a", "requestId": "p1", "amount": amount("1") });
    house.done(&root, "BillingService/RecordPayment", pay).await;
    let by = json!({ "reason": "a test" });
    let lines = house.done(&root, "BillingService/GetInvoice", json!({ "number": number })).await["invoice"]["items"].clone();
    assert_eq!(lines.as_array().unwrap().len(), 1_000, "a page of it");
    for (method, field, others, nobodys, more) in [
        ("BillingService/GetInvoice", "number", number.as_str(), "INV-999999", json!({})),
        ("BillingService/GetInvoice", "documentId", id.as_str(), "0-999999", json!({})),
        ("BillingService/GetInvoiceFile", "number", number.as_str(), "INV-999999", json!({ "form": "INVOICE_FORM_CSV" })),
        ("BillingService/ListMails", "number", number.as_str(), "INV-999999", json!({})),
        ("BillingService/ListDocumentLinks", "number", number.as_str(), "INV-999999", json!({})),
        ("BillingService/CreateDocumentLink", "number", number.as_str(), "INV-999999", json!({ "requestId": "l", "operator": by })),
        ("BillingService/SendInvoice", "number", number.as_str(), "INV-999999", json!({ "requestId": "s", "again": true, "operator": by })),
        (
            "BillingService/AllocatePayment",
            "invoiceNumber",
            number.as_str(),
            "INV-999999",
            json!({ "accountId": "partner-7/a", "requestId": "a", "paymentId": "p1", "operator": by }),
        ),
    ] {
        let requests = [others, nobodys].map(|name| {
            let mut request = more.clone();
            request[field] = name.into();
            request
        });
        let [others, nobodys] = durations(&house, &tenant, method, &requests).await;
        assert!(others < 2 * nobodys, "{method} by {field}: {others:?} for another's, {nobodys:?} for nobody's");
    }
}
