//! What is not sent: reminders of what was paid meanwhile, and every kind of mail that is switched off, for an account or for the service.

use tollgate::grpc::v1::{self, MailKind, MailState};

use super::ways::invoices;
use super::{Fixture, MailServer, becomes, customer, mails, run, set_up};
use crate::service::{Client, Service, debit, money, until};

fn serve(fixture: &Fixture, server: &MailServer) -> Service {
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    fixture.serve(&["--smtp-url", &url, "--smtp-retry", "30ms"], &[])
}

async fn pay(client: &mut Client, account: &str, amount: &str) {
    let request =
        v1::RecordPaymentRequest { account_id: account.into(), request_id: "pay".into(), amount: money(amount), ..Default::default() };
    client.billing.record_payment(request).await.unwrap();
}

/// The mails of an account: of which kind, and in which state.
async fn kinds(client: &Client, account: &str) -> Vec<(MailKind, MailState)> {
    let found = mails(client).await.into_iter().filter(|mail| mail.account_id == account);
    found.map(|mail| (mail.kind(), mail.state())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_that_waits_is_not_sent_once_its_invoice_is_paid() {
    let fixture = Fixture::new(None);
    let server = MailServer::start(fixture.folder.path(), 1, 0.0, None);
    let service = serve(&fixture, &server);
    set_up(&service);
    run(&service, &["sending", "set", "--reminders=3"]);
    let mut client = service.client().await;
    for id in ["paid", "open"] {
        customer(&mut client, id, &format!("accounts@{id}.example"), "en", "10.00").await;
    }
    fixture.go_to("2026-07-01T00:00:01Z");
    for invoice in invoices(&client, 2).await {
        becomes(&client, &invoice.number, MailState::Sent).await;
    }
    // The mail server is away when the reminders are due.
    drop(server);
    fixture.go_to("2026-07-19T06:00:00Z");
    let reminders = async |client: &Client| {
        let found = mails(client).await;
        found.into_iter().filter(|mail| mail.kind() == MailKind::Reminder).collect::<Vec<_>>()
    };
    until("both reminders are tried again", async || {
        let found = reminders(&client).await;
        (found.len() == 2 && found.iter().all(|mail| mail.state() == MailState::Deferred)).then_some(())
    })
    .await;
    pay(&mut client, "paid", "10.00").await;
    until("it is paid", async || {
        let request = v1::ListInvoicesRequest { account_id: "paid".into(), unpaid_only: true, ..Default::default() };
        client.clone().billing.list_invoices(request).await.unwrap().into_inner().invoices.is_empty().then_some(())
    })
    .await;
    assert!(service.stopped().await.success());
    let server = MailServer::start(fixture.folder.path(), 2, 0.0, None);
    let before = server.events("taken").len();
    let service = serve(&fixture, &server);
    let client = service.client().await;
    until("one is sent, and the other is not", async || {
        let mut found = reminders(&client).await;
        found.sort_by_key(|mail| mail.account_id.clone());
        let states: Vec<_> = found.iter().map(v1::Mail::state).collect();
        (states == [MailState::Sent, MailState::Off] && found[1].detail.contains("it was paid")).then_some(())
    })
    .await;
    let taken = server.events("taken");
    let to: Vec<_> = taken[before..].iter().map(|taken| taken["to"].as_str().unwrap()).collect();
    assert_eq!(to, ["accounts@open.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_mail_can_be_switched_off_for_an_account_and_all_of_them_for_an_account_and_for_the_service() {
    let fixture = Fixture::new(None);
    let server = MailServer::start(fixture.folder.path(), 1, 0.0, None);
    let service = serve(&fixture, &server);
    set_up(&service);
    run(&service, &["sending", "set", "--reminders=3", "--receipts", "true", "--low-credit", "true"]);
    let mut client = service.client().await;
    for id in ["all", "none", "loud"] {
        customer(&mut client, id, &format!("accounts@{id}.example"), "en", "10.00").await;
        let low_credit = Some(v1::update_account_request::LowCredit::LowCreditThreshold(money("4000").unwrap()));
        let request = v1::UpdateAccountRequest { account_id: id.into(), request_id: "threshold".into(), low_credit, ..Default::default() };
        client.accounts.update_account(request).await.unwrap();
    }
    let every = ["invoice", "statement", "credit_note", "receipt", "reminder", "low_credit"];
    let mut words = vec!["sending", "set-account", "all"];
    words.extend(every.iter().flat_map(|kind| ["--not", *kind]));
    run(&service, &words);
    run(&service, &["sending", "set-account", "none", "--off"]);
    let refused = crate::command::Operator::of(&service).run("sending set-account loud --not news");
    assert!(!refused.status.success() && refused.error.contains("low_credit"), "{refused:?}");
    for id in ["all", "none", "loud"] {
        client.charging.debit(debit(id, "much", "1500")).await.unwrap();
    }
    until("it was told that its credit runs low", async || {
        kinds(&client, "loud").await.contains(&(MailKind::LowCredit, MailState::Sent)).then_some(())
    })
    .await;
    fixture.go_to("2026-07-01T00:00:01Z");
    invoices(&client, 3).await;
    for id in ["all", "none", "loud"] {
        pay(&mut client, id, "5.00").await;
        let request = v1::RefundRequest {
            account_id: id.into(),
            request_id: "refund".into(),
            charge_id: "use".into(),
            amount: money("1.00"),
            ..Default::default()
        };
        client.charging.refund(request).await.unwrap();
    }
    let of = async |id: &str, count: usize| {
        until(&format!("{id} has {count} mails"), async || {
            let found = kinds(&client, id).await;
            let is_settled = found.iter().all(|(_, state)| [MailState::Off, MailState::Sent].contains(state));
            (found.len() == count && is_settled).then_some(found)
        })
        .await
    };
    // Invoice, credit note, receipt, low credit.
    for id in ["all", "none"] {
        let found = of(id, 4).await;
        assert!(found.iter().all(|(_, state)| *state == MailState::Off), "{id}: {found:?}");
    }
    let found = of("loud", 4).await;
    assert!(found.iter().all(|(_, state)| *state == MailState::Sent), "{found:?}");
    for kind in [MailKind::Document, MailKind::Receipt, MailKind::LowCredit] {
        assert!(found.iter().any(|(of, _)| *of == kind), "{kind:?}: {found:?}");
    }
    assert_eq!(server.events("taken").len(), 4);
    // Reminders follow what was sent.
    fixture.go_to("2026-07-19T06:00:00Z");
    of("loud", 5).await;
    assert_eq!(kinds(&client, "all").await.len(), 4);
    // Off for the service: nothing more is to be sent, of any kind.
    run(&service, &["sending", "set", "--off"]);
    let request = v1::TopUpRequest { account_id: "loud".into(), request_id: "up".into(), amount: money("3000"), ..Default::default() };
    client.accounts.top_up(request).await.unwrap();
    client.charging.debit(debit("loud", "more", "4000")).await.unwrap();
    fixture.go_to("2026-08-01T00:00:01Z");
    invoices(&client, 7).await;
    assert_eq!(kinds(&client, "loud").await.len(), 5);
    assert_eq!(server.events("taken").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_leaves_out_that_does_not_know_of_it_stays_as_it_is() {
    let fixture = Fixture::new(None);
    let service = fixture.serve(&[], &[]);
    set_up(&service);
    run(&service, &["sending", "set", "--links", "true", "--link-days", "30", "--low-credit", "true", "--low-credit-hours", "48"]);
    let mut billing = service.client().await.billing;
    let known = v1::SendingSettings { from: "Nordlicht <mail@nordlicht.example>".into(), ..Default::default() };
    let operator = Some(v1::Operator { actor: "ann".into(), reason: "a new address".into() });
    let request = v1::SetSendingRequest { request_id: "older".into(), settings: Some(known), operator, ..Default::default() };
    assert!(!billing.set_sending(request.clone()).await.unwrap().into_inner().replayed);
    let settings = billing.get_sending(v1::GetSendingRequest::default()).await.unwrap().into_inner().settings.unwrap();
    assert_eq!(settings.from, "Nordlicht <mail@nordlicht.example>");
    assert_eq!((settings.send_links, settings.link_days), (Some(true), Some(30)));
    assert_eq!((settings.send_low_credit, settings.low_credit_hours), (Some(true), Some(48)));
    // It is the same request, whatever was set meanwhile.
    run(&service, &["sending", "set", "--link-days", "31"]);
    assert!(billing.set_sending(request).await.unwrap().into_inner().replayed);
}
