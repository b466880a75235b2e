//! What a mail is, whom it goes to, and what operators do about it.

use std::process::{Command, Stdio};

use serde_json::Value;
use tollgate::grpc::v1::{self, DocumentSending, MailState, PaymentMode};

use super::{Fixture, MailServer, becomes, customer, lists_by_sending_agree, mails, mails_are, run, set_up};
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, binary, money, until};

const FRIENDLY: f64 = 0.0;

/// A service that gives mail to a friendly server, and that server.
fn sending(fixture: &Fixture) -> (Service, MailServer) {
    let server = MailServer::start(fixture.folder.path(), 1, FRIENDLY, None);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    (fixture.serve(&["--smtp-url", &url, "--smtp-retry", "30ms", "--smtp-rate", "1000"], &[]), server)
}

pub async fn invoices(client: &Client, count: usize) -> Vec<v1::Invoice> {
    until(&format!("{count} documents are issued"), || async {
        let request = v1::ListInvoicesRequest { state: v1::InvoiceState::Issued.into(), ..Default::default() };
        let found = client.clone().billing.list_invoices(request).await.unwrap().into_inner().invoices;
        Some(found).filter(|found| found.len() == count)
    })
    .await
}

/// The parts of a mail, as Python's own reader finds them.
pub fn parts(mail: &[u8]) -> Value {
    let script = "import email, email.policy, json, sys\n\
                  mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
                  part = lambda one: {'type': one.get_content_type(), 'name': one.get_filename(), 'text': one.get_content() if one.get_content_maintype() == 'text' else one.get_content()[:5].decode('latin-1')}\n\
                  print(json.dumps({'headers': dict(mail.items()), 'parts': [part(one) for one in mail.walk() if not one.is_multipart()]}))";
    let mut child = Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), mail).unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_sent_once_in_the_customers_language_with_a_text_a_page_and_its_pdf() {
    let fixture = Fixture::new(None);
    let (service, server) = sending(&fixture);
    set_up(&service);
    let mut client = service.client().await;
    customer(&mut client, "acme", "konto@acme.example", "de", "1234.50").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    let number = invoices(&client, 1).await.remove(0).number;
    let mail = becomes(&client, &number, MailState::Sent).await;
    assert_eq!((mail.recipient.as_str(), mail.attempts), ("konto@acme.example", 1));
    let found = parts(&server.last());
    let headers = &found["headers"];
    assert_eq!(headers["From"], "Nordlicht <billing@nordlicht.example>");
    assert_eq!(headers["To"], "konto@acme.example");
    assert_eq!(headers["Subject"], format!("Rechnung {number} von Nordlicht"));
    assert_eq!(headers["Message-ID"], format!("<{}@nordlicht.example>", mail.mail_id));
    assert_eq!(headers["Auto-Submitted"], "auto-generated");
    let kinds: Vec<_> = found["parts"].as_array().unwrap().iter().map(|part| part["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["text/plain", "text/html", "application/pdf"]);
    let [text, html, pdf] = [0, 1, 2].map(|place| found["parts"][place]["text"].as_str().unwrap().to_owned());
    for part in [&text, &html] {
        for said in
            ["Customer acme", "EUR 1.234,50", "IBAN DE02 1203 0000 0000 2020 51", "fällig am 15. Juli 2026", "Mit freundlichen Grüßen"]
        {
            assert!(part.contains(said), "{said}: {part}");
        }
    }
    assert!(html.contains("<html lang=\"de\">") && !html.contains("<script") && !html.contains("src="), "{html}");
    assert_eq!((pdf.as_str(), found["parts"][2]["name"].as_str().unwrap()), ("%PDF-", format!("{number}.pdf").as_str()));
    let shown = client.billing.get_invoice(v1::GetInvoiceRequest { number: number.clone(), ..Default::default() }).await.unwrap();
    assert_eq!(shown.into_inner().invoice.unwrap().sending(), DocumentSending::Sent);
    // Neither a new process nor a second look sends it again.
    assert!(service.stopped().await.success());
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let service = fixture.serve(&["--smtp-url", &url], &[]);
    run(&service, &["invoice", "resend", &number, "--to", "other@acme.example", "--request-id", "again"]);
    until("it is sent again", || async { (server.events("taken").len() == 2).then_some(()) }).await;
    let to: Vec<_> = server.events("taken").iter().map(|taken| taken["to"].as_str().unwrap().to_owned()).collect();
    assert_eq!(to, ["konto@acme.example", "other@acme.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_issued_while_sending_was_off_is_sent_by_hand_only() {
    let fixture = Fixture::new(None);
    let (service, server) = sending(&fixture);
    set_up(&service);
    run(&service, &["sending", "set", "--off"]);
    let mut client = service.client().await;
    customer(&mut client, "acme", "accounts@acme.example", "en", "10.00").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    let number = invoices(&client, 1).await.remove(0).number;
    let refused = Operator::of(&service).run(&format!("invoice send {number}"));
    assert!(!refused.status.success() && refused.error.contains("switched off"), "{refused:?}");
    run(&service, &["sending", "set", "--on"]);
    assert!(mails(&client).await.is_empty());
    lists_by_sending_agree(&client).await;
    run(&service, &["invoice", "send", &number]);
    becomes(&client, &number, MailState::Sent).await;
    let refused = Operator::of(&service).run(&format!("invoice send {number}"));
    assert!(!refused.status.success() && refused.error.contains("resend"), "{refused:?}");
    assert_eq!(server.events("taken").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_says_to_whom_and_what_and_whom_nobody_knows_is_seen() {
    let postgres = PostgresServer::shared();
    let fixture = Fixture::new(Some(&postgres));
    let (service, server) = sending(&fixture);
    set_up(&service);
    let mut client = service.client().await;
    for (id, email) in [("off", "a@off.example"), ("two", "a@two.example"), ("none", ""), ("gone", "nobody@gone.example")] {
        customer(&mut client, id, email, "en", "10.00").await;
    }
    run(&service, &["sending", "set-account", "off", "--not", "invoice"]);
    run(&service, &["sending", "set-account", "two", "--to", "x@two.example", "--to", "y@two.example"]);
    fixture.go_to("2026-07-01T00:00:01Z");
    let found = until("all is settled", || async {
        let found = mails(&client).await;
        (found.len() == 5 && found.iter().all(|mail| ![MailState::Waiting, MailState::Sending].contains(&mail.state()))).then_some(found)
    })
    .await;
    let mut states: Vec<_> = found.iter().map(|mail| (mail.account_id.as_str(), mail.recipient.as_str(), mail.state())).collect();
    states.sort_by_key(|(account, recipient, _)| (account.to_string(), recipient.to_string()));
    let expected = [
        ("gone", "nobody@gone.example", MailState::Failed),
        ("none", "", MailState::Failed),
        ("off", "", MailState::Off),
        ("two", "x@two.example", MailState::Sent),
        ("two", "y@two.example", MailState::Sent),
    ];
    assert_eq!(states, expected);
    assert_eq!(server.events("taken").len(), 2);
    let shown: Vec<_> = invoices(&client, 4).await.iter().map(|invoice| (invoice.account_id.clone(), invoice.sending())).collect();
    for (account, sending) in shown {
        let expected = match account.as_str() {
            "off" => DocumentSending::Off,
            "two" => DocumentSending::Sent,
            _ => DocumentSending::Failed,
        };
        assert_eq!(sending, expected, "{account}");
    }
    lists_by_sending_agree(&client).await;
    // Of one that had no address, what counts is what was sent later.
    let of_none = found.iter().find(|mail| mail.account_id == "none").unwrap();
    run(&service, &["invoice", "send", &of_none.number, "--to", "z@none.example"]);
    until("it is sent", async || (server.events("taken").len() == 3).then_some(())).await;
    until("it is known to be sent", async || {
        mails(&client).await.iter().any(|mail| mail.account_id == "none" && mail.state() == MailState::Sent).then_some(())
    })
    .await;
    lists_by_sending_agree(&client).await;
    // One that failed is dropped; and of what is decided nothing more can be.
    let failed = found.iter().find(|mail| mail.account_id == "gone").unwrap();
    run(&service, &["mail", "decide", &failed.mail_id, "drop", "--reason", "they are gone"]);
    let refused = Operator::of(&service).run(&format!("mail decide {} again --reason test", failed.mail_id));
    assert!(!refused.status.success() && refused.error.contains("not"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_came_back_is_marked_by_its_report() {
    let fixture = Fixture::new(None);
    let (service, _server) = sending(&fixture);
    set_up(&service);
    let mut client = service.client().await;
    customer(&mut client, "acme", "accounts@acme.example", "en", "10.00").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    let number = invoices(&client, 1).await.remove(0).number;
    let mail = becomes(&client, &number, MailState::Sent).await;
    let report = format!(
        "From: MAILER-DAEMON@mx.example\r\nTo: billing@nordlicht.example\r\nSubject: Undelivered Mail Returned to Sender\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
         Final-Recipient: rfc822; accounts@acme.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 mailbox unavailable\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{}@nordlicht.example>\r\nSubject: x\r\n\r\n--b--\r\n",
        mail.mail_id
    );
    let bounce = |report: &str| {
        let mut command = Command::new(binary());
        command.args(["mail", "bounce"]).env("TOLLGATE_SERVER", format!("http://{}", service.address));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), report.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    // That it is late is no failure.
    assert!(bounce(&report.replace("Action: failed", "Action: delayed")).contains("no mail from here"));
    becomes(&client, &number, MailState::Sent).await;
    assert!(bounce(&report).contains("mailbox unavailable"));
    let mail = becomes(&client, &number, MailState::Bounced).await;
    assert!(mail.detail.contains("mailbox unavailable") && mail.sent_at.is_some(), "{mail:?}");
    assert!(bounce(&report).contains(&mail.mail_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_billing_store_sends_nothing_until_an_operator_says_how() {
    let fixture = Fixture::new(None);
    let (service, server) = sending(&fixture);
    set_up(&service);
    let mut client = service.client().await;
    customer(&mut client, "acme", "accounts@acme.example", "en", "10.00").await;
    assert!(service.stopped().await.success());
    let billing = fixture.folder.path().join("ledger.billing.db");
    let copy = fixture.folder.path().join("copy.db");
    std::fs::copy(&billing, &copy).unwrap();
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let service = fixture.serve(&["--smtp-url", &url], &[]);
    let client = service.client().await;
    fixture.go_to("2026-07-01T00:00:01Z");
    let number = invoices(&client, 1).await.remove(0).number;
    becomes(&client, &number, MailState::Sent).await;
    assert!(service.stopped().await.success());
    // The copy issues the same document again, from the same journal.
    std::fs::remove_file(&billing).unwrap();
    std::fs::rename(&copy, &billing).unwrap();
    let service = fixture.serve(&["--smtp-url", &url], &[]);
    let client = service.client().await;
    mails_are(&client, 1).await;
    until("health warns", || async {
        let health = crate::identity::http(service.metrics, "/healthz").await;
        health.contains("tollgate sending go-on").then_some(())
    })
    .await;
    assert_eq!(mails(&client).await[0].state(), MailState::Waiting);
    run(&service, &["sending", "go-on", "--drop-waiting", "--reason", "the original sent it"]);
    becomes(&client, &number, MailState::Off).await;
    run(&service, &["invoice", "send", &number, "--to", "by-hand@acme.example"]);
    until("it is sent by hand", || async { (server.events("taken").len() == 2).then_some(()) }).await;
    assert_eq!(server.events("taken")[1]["to"], "by-hand@acme.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_invoice_is_reminded_of_and_a_paid_one_is_not_and_a_payment_has_its_receipt() {
    let fixture = Fixture::new(None);
    let (service, server) = sending(&fixture);
    set_up(&service);
    run(&service, &["sending", "set", "--reminders=-3,7", "--receipts", "true"]);
    let mut client = service.client().await;
    customer(&mut client, "paid", "accounts@paid.example", "en", "10.00").await;
    customer(&mut client, "open", "accounts@open.example", "en", "20.00").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    invoices(&client, 2).await;
    until("both are sent", || async { (server.events("taken").len() == 2).then_some(()) }).await;
    let payment =
        v1::RecordPaymentRequest { account_id: "paid".into(), request_id: "pay".into(), amount: money("10.00"), ..Default::default() };
    client.billing.record_payment(payment).await.unwrap();
    until("the receipt is sent", || async { (server.events("taken").len() == 3).then_some(()) }).await;
    let receipt = parts(&server.last());
    assert!(receipt["headers"]["Subject"].as_str().unwrap().starts_with("Receipt "), "{receipt}");
    assert_eq!(receipt["parts"][2]["type"], "application/pdf");
    // Due by the end of 15 July.
    fixture.go_to("2026-07-13T06:00:00Z");
    until("the first reminder is sent", || async { (server.events("taken").len() == 4).then_some(()) }).await;
    let reminder = parts(&server.last());
    assert_eq!(reminder["headers"]["To"], "accounts@open.example");
    assert!(reminder["headers"]["Subject"].as_str().unwrap().ends_with("is due soon"), "{reminder}");
    fixture.go_to("2026-07-23T06:00:00Z");
    until("the second reminder is sent", || async { (server.events("taken").len() == 5).then_some(()) }).await;
    let reminder = parts(&server.last());
    assert!(reminder["headers"]["Subject"].as_str().unwrap().contains("is not paid yet"), "{reminder}");
    assert!(reminder["parts"][0]["text"].as_str().unwrap().contains("Still to pay: EUR 20.00"), "{reminder}");
    let kinds: Vec<_> =
        mails(&client).await.into_iter().filter(|mail| mail.kind() == v1::MailKind::Reminder).map(|mail| mail.account_id).collect();
    assert_eq!(kinds, ["open", "open"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_tls_and_a_login_gets_both_and_a_wrong_certificate_gets_no_mail() {
    let fixture = Fixture::new(None);
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let [certificate, private] = ["cert.pem", "key.pem"].map(|name| fixture.folder.path().join(name));
    std::fs::write(&certificate, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let server = MailServer::start(fixture.folder.path(), 1, FRIENDLY, Some([&certificate, &private]));
    let url = format!("smtp://user@localhost:{}", server.port);
    let login = [("TOLLGATE_SMTP_PASSWORD", "hush")];
    let service = fixture.serve(&["--smtp-url", &url, "--smtp-retry", "30ms"], &login);
    set_up(&service);
    let mut client = service.client().await;
    customer(&mut client, "acme", "accounts@acme.example", "en", "10.00").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    let number = invoices(&client, 1).await.remove(0).number;
    // Nobody it trusts has signed the certificate.
    let mail = becomes(&client, &number, MailState::Deferred).await;
    assert!(mail.detail.to_lowercase().contains("certificate"), "{mail:?}");
    let log = service.log_to_its_end().await.join("\n");
    assert!(!log.contains("hush"), "{log}");
    let service = fixture.serve(&["--smtp-url", &url, "--smtp-retry", "30ms", "--smtp-ca", certificate.to_str().unwrap()], &login);
    let client = service.client().await;
    becomes(&client, &number, MailState::Sent).await;
    assert_eq!(server.events("taken").len(), 1);
    let visible = Command::new(binary()).args(["serve", "--smtp-password", "hush"]).output().unwrap();
    assert!(!visible.status.success() && String::from_utf8_lossy(&visible.stderr).contains("everybody on this machine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepaid_statement_that_comes_to_nothing_is_not_sent_unless_that_is_switched_on() {
    let fixture = Fixture::new(None);
    let (service, server) = sending(&fixture);
    set_up(&service);
    let mut client = service.client().await;
    customer(&mut client, "free", "accounts@free.example", "en", "0").await;
    customer(&mut client, "some", "accounts@some.example", "en", "1").await;
    client.open("prepaid", PaymentMode::Prepaid, "0", "10").await;
    fixture.go_to("2026-07-01T00:00:01Z");
    until("both are settled", || async {
        let found = mails(&client).await;
        let state = |account: &str| found.iter().find(|mail| mail.account_id == account).map(v1::Mail::state);
        (state("free") == Some(MailState::Off) && state("some") == Some(MailState::Sent)).then_some(())
    })
    .await;
    assert_eq!(server.events("taken").len(), 1);
}
