//! Links by which customers look at a document without an account: what they open, what nobody opens by them, and the mails that have them.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::v1::{self, MailState, PaymentMode};

use super::ways::{invoices, parts};
use super::{Fixture, MailServer, becomes, customer, run, set_up};
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Service, debit, money, until};
use crate::support::RedisServer;

/// What is answered: the status, the headers, the body.
struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn has(&self, header: &str) -> bool {
        self.headers.to_lowercase().contains(&header.to_lowercase())
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str, language: &str) -> Answer {
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nAccept-Language: {language}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("headers end");
    let headers = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers, body: answer[end + 4..].to_vec() }
}

async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "en").await
}

/// Where documents are served to customers, by the log.
async fn public(service: &Service) -> SocketAddr {
    until("documents are served to customers", async || {
        let log = service.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let mut said = log.filter(|event| event["message"] == "serving documents to customers with a link");
        said.find_map(|event| event["address"].as_str().map(|address| address.parse().unwrap()))
    })
    .await
}

const PUBLIC: [&str; 2] = ["--public-listen", "127.0.0.1:0"];

/// Makes a link to a document, and returns its path.
fn link(service: &Service, number: &str, more: &[&str]) -> String {
    let mut words = vec!["link", "create", number];
    words.extend(more);
    let url = run(service, &words);
    let (_, path) = url.trim().split_once("//").and_then(|(_, rest)| rest.split_once('/')).expect("a URL");
    format!("/{path}")
}

async fn issued(fixture: &Fixture, service: &Service, language: &str) -> String {
    set_up(service);
    let mut client = service.client().await;
    customer(&mut client, "acme", "konto@acme.example", language, "1234.50").await;
    customer(&mut client, "other", "", "en", "98.76").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    let found = invoices(&client, 2).await;
    found.into_iter().find(|invoice| invoice.account_id == "acme").unwrap().number
}

async fn opens_and_closes(fixture: &Fixture) {
    let service = fixture.serve(&PUBLIC, &[]);
    let address = public(&service).await;
    let number = issued(fixture, &service, "de").await;
    let path = link(&service, &number, &["--days", "30", "--request-id", "a-link"]);
    assert_eq!(link(&service, &number, &["--days", "30", "--request-id", "a-link"]), path, "the same request makes the same link");

    let page = get(address, &path).await;
    assert_eq!(page.status, 200, "{}", page.headers);
    for said in [&number, "Nordlicht", "Als PDF herunterladen", "bis zum 31. Juli 2026"] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    for header in [
        "cache-control: no-store",
        "x-robots-tag: noindex",
        "referrer-policy: no-referrer",
        "x-frame-options: deny",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; style-src 'self'",
    ] {
        assert!(page.has(header), "{header}: {}", page.headers);
    }
    assert!(!page.text().contains("<script") && !page.text().contains("style="), "{}", page.text());
    let document = get(address, &format!("{path}/document")).await;
    assert!(
        document.text().contains("Customer acme") && document.has("sandbox") && !document.text().contains("other"),
        "{}",
        document.text()
    );
    let pdf = get(address, &format!("{path}/pdf")).await;
    assert!(pdf.body.starts_with(b"%PDF-") && pdf.has(&format!("filename=\"{number}.pdf\"")), "{}", pdf.headers);

    // Whatever opens nothing is answered in the same way, and nothing else is served.
    let nothing = get(address, "/d/x").await;
    assert_eq!(nothing.status, 404);
    let same = |answer: &Answer, what: &str| {
        let headers =
            |answer: &Answer| answer.headers.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((answer.text(), headers(answer)), (nothing.text(), headers(&nothing)), "{what}");
    };
    let (token, last) = path.split_at(path.len() - 1);
    let forged = format!("{token}{}", if last == "A" { "B" } else { "A" });
    for wrong in [
        forged.as_str(),
        "/",
        "/metrics",
        "/healthz",
        "/openapi.json",
        "/sign-in",
        "/invoices",
        "/d",
        "/d/",
        &format!("{path}/json"),
        &format!("{path}/csv"),
    ] {
        same(&get(address, wrong).await, wrong);
    }
    let posted = ask(address, "POST", &path, "en").await;
    assert_eq!((posted.status, posted.text()), (404, nothing.text()));
    assert!(ask(address, "GET", "/d/x", "de-DE,en").await.text().contains("Dieser Link öffnet nichts"));

    // One that has expired, and one that is revoked, open nothing.
    let short = link(&service, &number, &["--days", "1"]);
    assert_eq!(get(address, &short).await.status, 200);
    let found: v1::ListDocumentLinksResponse = {
        let request = v1::ListDocumentLinksRequest { number: number.clone() };
        service.client().await.billing.list_document_links(request).await.unwrap().into_inner()
    };
    assert_eq!(found.links.iter().filter(|link| link.works && link.url.ends_with(&path)).count(), 1, "{found:?}");
    let known = found.links.iter().find(|link| link.url.ends_with(&path)).unwrap().link_id.clone();
    run(&service, &["link", "revoke", &known]);
    for end in ["", "/document", "/pdf"] {
        same(&get(address, &format!("{path}{end}")).await, "revoked");
    }
    fixture.go_to("2026-07-02T00:00:02Z");
    until("it has expired", async || (get(address, &short).await.status == 404).then_some(())).await;
    same(&get(address, &short).await, "expired");
    let listed = run(&service, &["link", "list", &number]);
    assert!(listed.contains("no: it is revoked") && listed.contains("no: it has expired"), "{listed}");

    // What opens a document is in no log, and in no record of who did what.
    let secrets = [&path, &short].map(|path| path.rsplit('/').next().unwrap().to_owned());
    let records = run(&service, &["audit", "--output", "json"]);
    assert!(records.contains("link.created") && records.contains("link.revoked"), "{records}");
    let log = service.log_to_its_end().await.join("\n");
    for secret in secrets {
        assert!(!log.contains(&secret) && !records.contains(&secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_opens_a_document_by_its_link_until_it_expires_or_is_revoked_and_opens_nothing_else() {
    opens_and_closes(&Fixture::new(None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_the_same_on_postgresql() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let fixture = Fixture::on_redis(&redis, &postgres);
    let service = fixture.serve(&["--aggregate", PUBLIC[0], PUBLIC[1]], &[]);
    let address = public(&service).await;
    let number = issued(&fixture, &service, "en").await;
    let path = link(&service, &number, &[]);
    assert!(get(address, &path).await.text().contains("Download as PDF"));
    // Another process has the same key.
    let second = fixture.serve(&PUBLIC, &[]);
    assert_eq!(get(public(&second).await, &path).await.status, 200);
    let mut client = service.client().await;
    let found = client.billing.list_document_links(v1::ListDocumentLinksRequest { number: number.clone() }).await.unwrap().into_inner();
    run(&second, &["link", "revoke", &found.links[0].link_id]);
    assert_eq!(get(address, &path).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_have_a_link_if_that_is_switched_on_and_a_document_that_is_too_large_always_has() {
    let fixture = Fixture::new(None);
    let server = MailServer::start(fixture.folder.path(), 1, 0.0, None);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let service = fixture.serve(&["--smtp-url", &url, "--smtp-retry", "30ms", PUBLIC[0], PUBLIC[1]], &[]);
    let address = public(&service).await;
    set_up(&service);
    run(&service, &["sending", "set", "--links", "true", "--link-days", "10"]);
    let mut client = service.client().await;
    customer(&mut client, "acme", "konto@acme.example", "en", "12.00").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    let number = invoices(&client, 1).await.remove(0).number;
    let mail = becomes(&client, &number, MailState::Sent).await;
    let links = async || {
        let request = v1::ListDocumentLinksRequest { number: number.clone() };
        service.client().await.billing.list_document_links(request).await.unwrap().into_inner().links
    };
    let found = links().await;
    assert_eq!((found.len(), &found[0].mail_id, found[0].works), (1, &mail.mail_id, true));
    let kinds =
        |found: &Value| found["parts"].as_array().unwrap().iter().map(|part| part["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let sent = parts(&server.last());
    assert_eq!(kinds(&sent), ["text/plain", "text/html", "application/pdf"]);
    for part in [0, 1] {
        let text = sent["parts"][part]["text"].as_str().unwrap();
        assert!(text.contains(&found[0].url) && text.contains("attached"), "{text}");
    }
    let path = found[0].url.split_once("//").unwrap().1.split_once('/').unwrap().1.to_owned();
    assert_eq!(get(address, &format!("/{path}")).await.status, 200);

    run(&service, &["sending", "set", "--links", "false", "--attachment-limit", "1000"]);
    run(&service, &["invoice", "resend", &number, "--request-id", "again"]);
    until("it is sent again", async || (server.events("taken").len() == 2).then_some(())).await;
    let found = links().await;
    assert_eq!(found.len(), 2, "each mail has a link of its own: {found:?}");
    let sent = parts(&server.last());
    assert_eq!(kinds(&sent), ["text/plain", "text/html"]);
    let text = sent["parts"][0]["text"].as_str().unwrap();
    assert!(found.iter().any(|link| link.mail_id != mail.mail_id && text.contains(&link.url)), "{found:?}: {text}");
    // Small enough, and switched off: none.
    run(&service, &["sending", "set", "--attachment-limit", "5000000"]);
    run(&service, &["invoice", "resend", &number, "--request-id", "once-more"]);
    until("it is sent once more", async || (server.events("taken").len() == 3).then_some(())).await;
    assert!(!parts(&server.last())["parts"][0]["text"].as_str().unwrap().contains("/d/"));
    assert_eq!(links().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_notes_have_links_and_a_document_whose_term_is_over_has_none_that_opens() {
    let fixture = Fixture::new(None);
    let service = fixture.serve(&PUBLIC, &[]);
    let address = public(&service).await;
    let number = issued(&fixture, &service, "en").await;
    let path = link(&service, &number, &[]);
    let mut client = service.client().await;
    let request = v1::RefundRequest {
        account_id: "acme".into(),
        request_id: "refund".into(),
        charge_id: "use".into(),
        amount: money("1.00"),
        ..Default::default()
    };
    client.charging.refund(request).await.unwrap();
    let credit = invoices(&client, 3).await.into_iter().find(|found| found.number.starts_with("CRN-")).unwrap().number;
    let of_credit = link(&service, &credit, &[]);
    let page = get(address, &of_credit).await;
    assert!(page.status == 200 && page.text().contains(&credit) && !page.text().contains(&number), "{}", page.text());
    assert!(get(address, &format!("{of_credit}/pdf")).await.body.starts_with(b"%PDF-"));
    let asked = ask(address, "HEAD", &of_credit, "en").await;
    assert!(asked.status == 200 && asked.body.is_empty() && asked.has("cache-control: no-store"), "{}", asked.headers);

    // As if its link had been made while its lines went.
    let billing = Billing::connect_lazily(&fixture.billing(), BillingSettings::default()).unwrap();
    let sql = "UPDATE issued SET dropped_at = 1 WHERE number = $1";
    assert_eq!(sqlx::query(sql).bind(&number).execute(billing.store().pool()).await.unwrap().rows_affected(), 1);
    billing.store().close().await;
    for end in ["", "/document", "/pdf"] {
        assert_eq!(get(address, &format!("{path}{end}")).await.status, 404, "{end}");
    }
    assert_eq!(get(address, &of_credit).await.status, 200);
    let refused = Operator::of(&service).run(&format!("link create {number}"));
    assert!(!refused.status.success() && refused.error.contains("no longer kept"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_twenty_links_made_by_hand_work_at_once_for_a_document() {
    let fixture = Fixture::new(None);
    let service = fixture.serve(&PUBLIC, &[]);
    let number = issued(&fixture, &service, "en").await;
    let mut billing = service.client().await.billing;
    let operator = Some(v1::Operator { actor: "ann".into(), reason: "a test".into() });
    let request = |id: usize| {
        let (number, operator) = (number.clone(), operator.clone());
        v1::CreateDocumentLinkRequest { number, request_id: id.to_string(), operator, ..Default::default() }
    };
    for id in 0..20 {
        billing.create_document_link(request(id)).await.unwrap();
    }
    let refused = billing.create_document_link(request(20)).await.unwrap_err();
    assert!(refused.code() == tonic::Code::FailedPrecondition && refused.message().contains("20 links"), "{refused:?}");
    // What was made is still there, and one that goes makes room.
    let again = billing.create_document_link(request(0)).await.unwrap().into_inner();
    assert!(again.replayed);
    let link_id = again.link.unwrap().link_id;
    let revoke = v1::RevokeDocumentLinkRequest { link_id, request_id: "r".into(), operator: operator.clone(), ..Default::default() };
    billing.revoke_document_link(revoke).await.unwrap();
    billing.create_document_link(request(20)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_links_is_slowed_down() {
    let fixture = Fixture::new(None);
    let service = fixture.serve(&PUBLIC, &[]);
    let address = public(&service).await;
    let mut statuses = Vec::new();
    for _ in 0..200 {
        statuses.push(get(address, "/d/x").await.status);
        if statuses.last() == Some(&429) {
            break;
        }
    }
    assert!(statuses.len() > 60 && statuses.last() == Some(&429), "{statuses:?}");
    // Links have a listener of their own, so that people who guess them take nothing from callers.
    service.client().await.open("acme", PaymentMode::Prepaid, "0", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_links_makes_none_and_a_link_to_an_erased_organization_opens_nothing() {
    let fixture = Fixture::new(None);
    let service = fixture.serve(&PUBLIC, &[]);
    let address = public(&service).await;
    set_up(&service);
    run(&service, &["sending", "set", "--off"]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    client.charging.debit(debit("acme", "use", "10")).await.unwrap();
    fixture.go_to("2026-07-01T00:00:01Z");
    let number = invoices(&client, 1).await.remove(0).number;
    let path = link(&service, &number, &["--reason", "for Jane Doe"]);
    assert_eq!(get(address, &path).await.status, 200);
    run(&service, &["account", "close", "acme", "--reason", "it ends"]);
    run(&service, &["account", "erase", "acme", "--reason", "on request"]);
    assert_eq!(get(address, &path).await.status, 404);
    assert!(service.stopped().await.success());
    let service = fixture.serve(&[], &[]);
    let refused = Operator::of(&service).run(&format!("link create {number}"));
    assert!(!refused.status.success() && refused.error.contains("--public-url"), "{refused:?}");
    let refused = Operator::of(&service).run(&format!("link create {number} --days 731"));
    assert!(!refused.status.success() && refused.error.contains("valid_days"), "{refused:?}");
}
