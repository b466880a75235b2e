//! A service at the beginning of November with some months behind it: invoices that are paid, open and overdue, drafts that wait for
//! approval, and two documents that are held back.

use std::path::Path;

use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::v1::{self, PaymentMode};

use super::{console_url, link, rename};
use crate::command::Operator;
use crate::service::{Client, Service, debit, money, until};

/// Who works there.
const USERS: [(&str, &[&str]); 4] = [
    ("admin", &["--role", "admin"]),
    ("erika", &["--role", "admin"]),
    ("reader", &["--role", "read"]),
    ("partner", &["--role", "read", "--account", "partner-7/"]),
];

/// Customers: id, name, and what they use in August and in October.
const CUSTOMERS: [(&str, &str, PaymentMode, &str, &str); 7] = [
    ("nordwind", "Nordwind AG", PaymentMode::Postpaid, "119", "59.50"),
    ("suedsee", "Südsee Reisen GmbH", PaymentMode::Postpaid, "238", "83.30"),
    ("quelle", "Quelle & Söhne", PaymentMode::Postpaid, "47.60", "11.90"),
    ("hafen", "Hafen Logistik", PaymentMode::Postpaid, "1190", "35.70"),
    ("wiese", "Wiesengrund eG", PaymentMode::Prepaid, "23.80", "5.95"),
    ("berg", "Bergbahn Oberstdorf", PaymentMode::Postpaid, "71.40", "95.20"),
    ("partner-7/shop", "Shop of Seven", PaymentMode::Postpaid, "17.85", "8.33"),
];

/// When what is billed at the beginning of November is used.
const OCTOBER: &str = "2026-10-05T10:00:00Z";

/// The service, and how to get into its console.
pub struct Office {
    pub url: String,
    pub store: String,
    _service: Service,
}

impl Office {
    /// Opens it in a folder.
    pub async fn open(folder: &Path) -> Self {
        let folder = folder.join("office");
        std::fs::create_dir(&folder).unwrap();
        let [store, clock, billing] = ["ledger.db", "clock", "ledger.billing.db"].map(|name| folder.join(name).display().to_string());
        let billing = format!("sqlite://{billing}");
        let go_to = |time: &str| {
            std::fs::write(folder.join("next"), time).unwrap();
            std::fs::rename(folder.join("next"), &clock).unwrap();
        };
        go_to("2026-08-05T10:00:00Z");
        let service = Service::start(
            &[
                "--store",
                &store,
                "--test-clock",
                &clock,
                "--billing",
                &billing,
                "--console",
                "127.0.0.1:0",
                "--public-listen",
                "127.0.0.1:0",
            ],
            &[],
        );
        let operator = Operator::of(&service);
        let run = |words: &[&str]| {
            let ended = operator.run_words(words);
            assert!(ended.status.success(), "{words:?}: {ended:?}");
        };
        run(&[
            "issuer",
            "set",
            "--name",
            "Leuchtturm Telekom GmbH",
            "--address",
            "Kai 1",
            "--postal-code",
            "20457",
            "--city",
            "Hamburg",
            "--country",
            "DE",
        ]);
        run(&["tax", "set", "19", "--from", "2020-01-01"]);
        run(&["sending", "set", "--on", "--from", "Leuchtturm Telekom <rechnung@leuchtturm.example>", "--contact", "Ann, extension 12"]);
        let mut client = service.client().await;
        for (id, name, mode, august, _) in CUSTOMERS {
            client.open(id, mode, "2000", if mode == PaymentMode::Prepaid { "50" } else { "0" }).await;
            rename(&mut client, id, name).await;
            charge(&mut client, id, "august", august).await;
        }
        for id in ["nordwind", "suedsee"] {
            let email = format!("buchhaltung@{id}.example");
            let customer = v1::Party { name: customer_name(id).into(), email, ..Default::default() };
            let request = v1::SetBillingDetailsRequest { account_id: id.into(), customer: Some(customer), ..Default::default() };
            client.billing.set_billing_details(request).await.unwrap();
        }
        go_to("2026-09-01T08:00:00Z");
        documents(&operator, "issued", CUSTOMERS.len()).await;
        let pay = v1::RecordPaymentRequest {
            account_id: "nordwind".into(),
            request_id: "paid".into(),
            amount: money("119"),
            ..Default::default()
        };
        client.billing.record_payment(pay).await.unwrap();
        let pay = v1::RecordPaymentRequest {
            account_id: "hafen".into(),
            request_id: "in-part".into(),
            amount: money("1000"),
            ..Default::default()
        };
        client.billing.record_payment(pay).await.unwrap();
        run(&["issuing", "set", "--on-approval"]);
        go_to(OCTOBER);
        it_is(&client, OCTOBER).await;
        for (id, .., october) in CUSTOMERS {
            charge(&mut client, id, "october", october).await;
        }
        let refund = v1::RefundRequest {
            account_id: "suedsee".into(),
            request_id: "refund".into(),
            charge_id: "august".into(),
            amount: money("23.80"),
            ..Default::default()
        };
        client.charging.refund(refund).await.unwrap();
        aggregated(&client).await;
        damage(&billing).await;
        go_to("2026-11-02T09:00:00Z");
        documents(&operator, "held", 2).await;
        // Five bills of October, and the credit note.
        documents(&operator, "draft", CUSTOMERS.len() - 1).await;
        let url = console_url(&service).await;
        for (name, access) in USERS {
            link(&store, &url, name, access);
        }
        Self { url, store, _service: service }
    }
}

fn customer_name(id: &str) -> &'static str {
    CUSTOMERS.iter().find(|customer| customer.0 == id).unwrap().1
}

/// Waits until what is accepted is accepted then. Who only pays in gets no document.
async fn it_is(client: &Client, time: &str) {
    let expected = time.parse::<jiff::Timestamp>().unwrap().as_second();
    let mut number = 0;
    client.clone().open("ticking", PaymentMode::Prepaid, "0", "0").await;
    until("the clock has moved", || {
        number += 1;
        let (mut client, request_id) = (client.clone(), format!("tick-{number}"));
        async move {
            let request = v1::TopUpRequest { account_id: "ticking".into(), request_id, amount: money("0.01"), ..Default::default() };
            client.accounts.top_up(request).await.unwrap();
            (client.journal("ticking").await.last()?.accepted_at?.seconds >= expected).then_some(())
        }
    })
    .await;
}

async fn charge(client: &mut Client, account: &str, request_id: &str, amount: &str) {
    let usage = Some(v1::Usage { item: "voice".into(), description: "Calls within Germany".into(), ..Default::default() });
    client.charging.debit(v1::DebitRequest { usage, ..debit(account, request_id, amount) }).await.unwrap();
}

async fn documents(operator: &Operator, state: &str, count: usize) {
    until("the documents are there", async || {
        let found = operator.list(&format!("invoice list --state {state}")).len();
        (found == count).then_some(())
    })
    .await;
}

async fn aggregated(client: &Client) {
    until("the billing store has followed", async || {
        let found = client.clone().billing.get_aggregation(v1::GetAggregationRequest {}).await.ok()?.into_inner().partitions;
        (!found.is_empty() && found.iter().all(|partition| partition.lag_entries == 0)).then_some(())
    })
    .await;
}

/// Makes the sums of two open bills wrong, as nothing but damage can; and the mail of one invoice as if a connection had been lost.
async fn damage(billing: &str) {
    let billing = Billing::connect_lazily(billing, BillingSettings::default()).unwrap();
    for account in ["berg", "quelle"] {
        let sql = "UPDATE totals SET amount = amount - 2500000 WHERE account = $1 AND kind = 4 AND bill = (SELECT MAX(bill) FROM totals WHERE account = $1)";
        let damaged = sqlx::query(sql).bind(account).execute(billing.store().pool()).await.unwrap();
        assert_eq!(damaged.rows_affected(), 1, "{account}");
    }
    let sql = "UPDATE mails SET state = 'unknown', attempts = 1, detail = 'the connection was lost' WHERE recipient LIKE '%suedsee%'";
    assert_eq!(sqlx::query(sql).execute(billing.store().pool()).await.unwrap().rows_affected(), 1);
    billing.store().close().await;
}
