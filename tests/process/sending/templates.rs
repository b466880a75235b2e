//! Mails in an operator's own words: what they say, what is refused, and that none fails for them.

use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::v1::{self, MailKind, MailState};

use super::ways::{invoices, parts};
use super::{Fixture, MailServer, becomes, customer, run, set_up};
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::until;
use crate::support::RedisServer;

async fn in_own_words(fixture: &Fixture, serving: &[&str]) {
    let server = MailServer::start(fixture.folder.path(), 1, 0.0, None);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let arguments: Vec<&str> = ["--smtp-url", &url].into_iter().chain(serving.iter().copied()).collect();
    let service = fixture.serve(&arguments, &[]);
    set_up(&service);
    let file = |name: &str, text: &str| {
        let path = fixture.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let text =
        file("text", "Dear {{ customer }},\n\n{{ document }}: {{ amount }}.\n{% for line in payment_lines %}{{ line }}\n{% endfor %}");
    let broken = file("broken", "one\n{{ nobody }}");
    // What is broken is refused, and nothing has changed.
    for words in ["preview", "set"] {
        let ended = Operator::of(&service).run(&format!("template {words} invoice --text {broken}"));
        assert!(!ended.status.success() && ended.error.contains("text, line 2"), "{ended:?}");
    }
    let ended = Operator::of(&service).run("template set invoice --language fr --subject x");
    assert!(!ended.status.success() && ended.error.contains("must be one of en, de"), "{ended:?}");
    assert_eq!(Operator::of(&service).list("template list").len(), 0);
    let tried = run(&service, &["template", "preview", "invoice", "--subject", "Your {{ document }}", "--text", &text]);
    assert!(tried.contains("Your Invoice INV-000123") && tried.contains("Dear Acme AG"), "{tried}");
    run(&service, &["template", "set", "invoice", "--subject", "Your {{ document }}", "--text", &text]);
    let shown = run(&service, &["template", "show", "invoice"]);
    assert!(shown.contains("due_day") && shown.contains("Your {{ document }}"), "{shown}");

    let mut client = service.client().await;
    customer(&mut client, "acme", "accounts@acme.example", "en", "12.00").await;
    customer(&mut client, "bernd", "konto@bernd.example", "de", "13.00").await;
    rename(&mut client, "acme", "<b>Acme</b> & Co").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    let found = invoices(&client, 2).await;
    let number = |account: &str| found.iter().find(|invoice| invoice.account_id == account).unwrap().number.clone();
    becomes(&client, &number("acme"), MailState::Sent).await;
    becomes(&client, &number("bernd"), MailState::Sent).await;
    // Each language has its own.
    run(&service, &["invoice", "resend", &number("bernd"), "--request-id", "again"]);
    until("it is sent again", async || (server.events("taken").len() == 3).then_some(())).await;
    let usual = parts(&server.last());
    assert_eq!(usual["headers"]["Subject"], format!("Rechnung {} von Nordlicht", number("bernd")));
    run(&service, &["invoice", "resend", &number("acme"), "--request-id", "again"]);
    until("it is sent again", async || (server.events("taken").len() == 4).then_some(())).await;
    let own = parts(&server.last());
    assert_eq!(own["headers"]["Subject"], format!("Your Invoice {}", number("acme")));
    let [text, html] = [0, 1].map(|place| own["parts"][place]["text"].as_str().unwrap().to_owned());
    assert!(text.starts_with("Dear <b>Acme</b> & Co,") && text.contains("EUR 12.00") && text.contains("IBAN DE02"), "{text}");
    assert!(!html.contains("<b>Acme") && html.contains("EUR 12.00") && html.contains("IBAN DE02"), "{html}");

    // One that fails though it was saved fails no mail.
    let billing = Billing::connect_lazily(&fixture.billing(), BillingSettings::default()).unwrap();
    let sql = "UPDATE mail_templates SET content = '{\"subject\":\"{{ nobody }}\"}'";
    assert!(sqlx::query(sql).execute(billing.store().pool()).await.unwrap().rows_affected() > 0);
    billing.store().close().await;
    run(&service, &["invoice", "resend", &number("acme"), "--request-id", "broken"]);
    until("it is sent all the same", async || (server.events("taken").len() == 5).then_some(())).await;
    assert_eq!(parts(&server.last())["headers"]["Subject"], format!("Invoice {} from Nordlicht", number("acme")));
    let detail = until("it says so", async || {
        let request = v1::ListMailsRequest { number: number("acme"), kind: MailKind::Document.into(), ..Default::default() };
        let found = client.clone().billing.list_mails(request).await.ok()?.into_inner().mails;
        found.into_iter().find(|mail| mail.occasion == "broken" && mail.state() == MailState::Sent).map(|mail| mail.detail)
    })
    .await;
    assert!(detail.contains("usual text") && detail.contains("subject, line 1"), "{detail}");

    // Back to the usual one, on record.
    run(&service, &["template", "reset", "invoice", "--reason", "the usual was better"]);
    assert_eq!(Operator::of(&service).list("template list").len(), 0);
    let records = Operator::of(&service).list("audit --action mail_template.set");
    assert_eq!(records.len(), 2, "{records:?}");
}

async fn rename(client: &mut crate::service::Client, id: &str, name: &str) {
    let customer = Some(v1::Party { name: name.into(), email: "accounts@acme.example".into(), ..Default::default() });
    let request = v1::SetBillingDetailsRequest { account_id: id.into(), customer, ..Default::default() };
    client.billing.set_billing_details(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_has_the_words_of_its_template_and_its_usual_ones_if_that_fails() {
    in_own_words(&Fixture::new(None), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_the_same_on_postgresql() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let fixture = Fixture::on_redis(&redis, &postgres);
    in_own_words(&fixture, &["--aggregate"]).await;
}
