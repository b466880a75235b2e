//! An invoice that is no longer kept, and that a payment which is taken back opens again, is owed as any other.

use serde_json::{Value, json};

use super::{House, by, done, euros, invoice, two_thousand_twenty_six};
use crate::command::{Operator, call};
use crate::postgres::PostgresServer;
use crate::service::{Service, until};
use crate::support::RedisServer;

fn unpaid(service: &Service) -> String {
    done(service, "BillingService/ListInvoices", json!({ "unpaidOnly": true, "accountId": "paid" })).to_string()
}

fn open_amount(service: &Service) -> Result<Value, String> {
    invoice(service, "INV-000001").map(|invoice| invoice["openAmount"].clone())
}

async fn is_owed_again(house: &House) {
    two_thousand_twenty_six(house).await;
    let service = house.serve_with_terms("2034-12-31T00:00:00Z", "2035-01-01T00:30:00Z").await;
    until("the invoice has gone", async || invoice(&service, "INV-000001").err()).await;

    let reverse = json!({ "accountId": "paid", "requestId": "back", "paymentId": "pay", "operator": by() });
    done(&service, "AccountService/ReversePayment", reverse);
    // What was refunded has paid a part of it.
    let owed = until("the invoice is owed again", async || invoice(&service, "INV-000001").ok()).await;
    let known = ["number", "accountId", "total", "openAmount", "taxContained", "noLongerKept"].map(|field| owed[field].clone());
    assert_eq!(json!(known), json!(["INV-000001", "paid", "11.90", "10.71", "1.90", true]), "{owed}");
    assert!(owed.get("items").is_none() && owed["customer"].get("name").is_none(), "{owed}");
    let listed = unpaid(&service);
    assert!(listed.contains("INV-000001") && listed.contains(r#""noLongerKept":true"#), "{listed}");
    let receivables = done(&service, "BillingService/ListReceivables", json!({ "accountId": "paid" }));
    assert!(receivables.to_string().contains("10.71"), "{receivables}");
    for form in ["INVOICE_FORM_PDF", "INVOICE_FORM_JSON"] {
        let refused = call(&service, "BillingService/GetInvoiceFile", &json!({ "number": "INV-000001", "form": form })).unwrap_err();
        assert!(refused.contains("no longer kept"), "{refused}");
    }
    let shown = Operator::of(&service).run_words(&["invoice", "show", "INV-000001"]);
    assert!(shown.status.success() && shown.output.contains("no longer kept"), "{shown:?}");

    let pay = json!({ "accountId": "paid", "requestId": "again", "amount": euros("9.52"), "invoiceNumbers": ["INV-000001"] });
    done(&service, "BillingService/RecordPayment", pay);
    until("it is paid in part", async || (open_amount(&service).ok()? == "1.19").then_some(())).await;
    done(&service, "BillingService/RecordPayment", json!({ "accountId": "paid", "requestId": "rest", "amount": euros("1.19") }));
    let refused = until("it is paid, and shown no more", async || open_amount(&service).err()).await;
    assert!(refused.contains("no longer kept"), "{refused}");
    assert!(!unpaid(&service).contains("INV-000001"));
    assert!(service.stopped().await.success());
    house.agrees(&super::TERMS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_is_no_longer_kept_and_owed_again_is_listed_shown_and_paid() {
    is_owed_again(&House::new(None, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_in_postgresql_beside_redis_too() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    is_owed_again(&House::new(Some(&redis), Some(&postgres))).await;
}
