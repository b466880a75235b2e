//! Each RPC that changes something leaves a record; records say who, what, before and after, and from where.

use std::collections::BTreeSet;

use access::file::GrantEntry;
use prost_reflect::Value as Reflected;
use serde_json::{Value, json};
use tollgate::billing::{Billing, BillingSettings};
use tollgate::grpc::dynamic::descriptors;
use tonic::Code;

use super::{inner, records};
use crate::access::callers::{House, amount, methods, name_of};
use crate::service::until;

/// Permissions of RPCs that change nothing, or that charge: of charges, the journal tells.
fn changes_something(permission: &str) -> bool {
    !permission.starts_with("read_") && !["charge", "export_usage", "reflect"].contains(&permission)
}

/// The RPCs that change something, by what they need.
fn changing() -> BTreeSet<String> {
    let option = descriptors().get_extension_by_name("tollgate.v1.permission").unwrap();
    let permission = |method: &prost_reflect::MethodDescriptor| match method.options().get_extension(&option).as_ref() {
        Reflected::String(permission) => permission.clone(),
        other => panic!("{}: {other:?}", method.full_name()),
    };
    methods().iter().filter(|method| changes_something(&permission(method))).map(name_of).collect()
}

/// What needs a second person, and is tried with one: by `access::approvals`.
const ELSEWHERE: [&str; 2] = ["ApprovalService/ApproveAct", "ApprovalService/RejectAct"];

/// A change, and the action that its record names.
struct Step(&'static str, Value, &'static str);

fn by() -> Value {
    json!({ "actor": "root", "reason": "a test" })
}

/// Changes in an order in which each can be done.
fn steps() -> Vec<Step> {
    let with = |id: &str, mut more: Value| {
        more["accountId"] = json!("acme");
        more["requestId"] = json!(id);
        more["operator"] = by();
        more
    };
    let plain = |id: &str, mut more: Value| {
        more["accountId"] = json!("acme");
        more["requestId"] = json!(id);
        more
    };
    let of_service = |id: &str, mut more: Value| {
        more["requestId"] = json!(id);
        more["operator"] = by();
        more
    };
    vec![
        Step("AccountService/UpdateAccount", with("update", json!({ "name": "Acme Ltd" })), "account.updated"),
        Step("AccountService/TopUp", plain("top-up", json!({ "amount": amount("5") })), "account.topped_up"),
        Step("AccountService/ReversePayment", with("reverse", json!({ "paymentId": "top-up" })), "account.payment_reversed"),
        Step("ChargingService/Refund", plain("refund", json!({ "chargeId": "usage", "amount": amount("1") })), "account.refunded_unbilled"),
        Step("AccountService/AdjustBalance", with("adjust", json!({ "amount": amount("3") })), "account.adjusted"),
        Step("AccountService/SetCreditLimit", with("limit", json!({ "creditLimit": { "permanent": amount("900") } })), "account.limit_set"),
        Step("AccountService/SuspendAccount", with("suspend", json!({})), "account.suspended"),
        Step("AccountService/ResumeAccount", with("resume", json!({})), "account.resumed"),
        Step("AccountService/AddNote", with("note", json!({ "text": "pays late" })), "note.added"),
        Step("AccountService/RemoveNote", with("no-note", json!({ "noteId": "note" })), "note.removed"),
        Step("BillingService/RetryHeldInvoices", json!({}), "invoice.retried"),
        Step(
            "BillingService/SetIssuer",
            of_service("issuer", json!({ "issuer": { "name": "Nordlicht", "countryCode": "DE" }, "validFrom": "2020-01-01" })),
            "issuer.set",
        ),
        Step(
            "BillingService/SetTaxRate",
            of_service("rate", json!({ "rate": { "validFrom": "2020-01-01", "percent": "19" } })),
            "tax_rate.set",
        ),
        Step(
            "BillingService/SetTaxTreatment",
            with("treatment", json!({ "treatment": { "treatment": "TAX_TREATMENT_TAXED" } })),
            "tax_treatment.set",
        ),
        Step("BillingService/SetItem", of_service("item", json!({ "item": { "item": "sms", "name": "SMS" } })), "item.set"),
        Step("BillingService/DeleteItem", of_service("no-item", json!({ "item": "sms" })), "item.deleted"),
        Step("BillingService/SetIssuing", of_service("issuing", json!({ "review": "ISSUING_REVIEW_ON_APPROVAL" })), "issuing.set"),
        Step("BillingService/ApproveInvoices", of_service("approve", json!({ "filter": {} })), "invoices.approved"),
        Step(
            "BillingService/SetBillingDetails",
            with("details", json!({ "customer": { "name": "Acme Holding", "email": "a@acme.example" } })),
            "billing_details.set",
        ),
        Step("BillingService/RecordPayment", plain("pay", json!({ "amount": amount("20") })), "account.payment_recorded"),
        Step(
            "BillingService/UnallocatePayment",
            with("take-off", json!({ "paymentId": "pay", "invoiceNumber": "INV-000001" })),
            "payment.taken_off",
        ),
        Step(
            "BillingService/AllocatePayment",
            with("allocate", json!({ "paymentId": "pay", "invoiceNumber": "INV-000001" })),
            "payment.allocated",
        ),
        Step("BillingService/WriteOff", with("write-off", json!({})), "account.written_off"),
        Step("BillingService/ReverseWriteOff", with("no-write-off", json!({ "writeOffId": "write-off" })), "account.write_off_reversed"),
        Step(
            "BillingService/BatchConvert",
            json!({ "batchId": "b", "mode": "PAYMENT_MODE_PREPAID", "list": { "accounts": [{ "accountId": "acme" }] }, "operator": by() }),
            "account.converted",
        ),
        Step("ChargingService/Convert", with("convert", json!({ "mode": "PAYMENT_MODE_POSTPAID" })), "account.converted"),
        Step(
            "AccountService/CreateAccount",
            json!({ "accountId": "other", "requestId": "create", "name": "Other", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" }),
            "account.created",
        ),
        Step(
            "AccountService/Withdraw",
            json!({ "accountId": "funded", "requestId": "withdraw", "amount": amount("4"), "operator": by() }),
            "account.withdrawn",
        ),
        Step("AccountService/CloseAccount", json!({ "accountId": "other", "requestId": "close", "operator": by() }), "account.closed"),
        Step("AccountService/ReopenAccount", json!({ "accountId": "other", "requestId": "reopen", "operator": by() }), "account.reopened"),
        Step(
            "AccountService/CloseAccount",
            json!({ "accountId": "other", "requestId": "close-again", "operator": by() }),
            "account.closed",
        ),
        Step("AccountService/EraseAccount", json!({ "accountId": "other", "requestId": "erase", "operator": by() }), "account.erased"),
        Step(
            "BillingService/SetSending",
            of_service("sending", json!({ "settings": { "enabled": true, "from": "a@nordlicht.example" } })),
            "sending.set",
        ),
        Step(
            "BillingService/SetAccountSending",
            with("to", json!({ "sending": { "recipients": ["b@acme.example"] } })),
            "account_sending.set",
        ),
        Step("BillingService/SendInvoice", of_service("send", json!({ "number": "INV-000001" })), "invoice.sent_by_hand"),
        // Of the mail that this made: its id is put in.
        Step("BillingService/ReportBounce", json!({}), "mail.bounced"),
        Step("BillingService/DecideMail", of_service("decide", json!({ "mailId": "0", "decision": "MAIL_DECISION_DROP" })), "mail.decided"),
        Step("BillingService/GoOnSending", of_service("go-on", json!({ "withWaiting": true })), "sending.gone_on"),
        Step("BillingService/CreateDocumentLink", of_service("link", json!({ "number": "INV-000001" })), "link.created"),
        // Of the link that this made: its id is put in.
        Step("BillingService/RevokeDocumentLink", of_service("no-link", json!({ "linkId": "0" })), "link.revoked"),
        Step(
            "BillingService/SetMailTemplate",
            of_service(
                "template",
                json!({ "kind": "MAIL_TEMPLATE_KIND_INVOICE", "language": "en", "template": { "subject": "{{ document }}" } }),
            ),
            "mail_template.set",
        ),
        Step("AdminService/CreateKey", of_service("key", json!({ "name": "made", "grant": { "roles": ["read"] } })), "access.key_made"),
        Step("AdminService/RevokeKey", of_service("no-key", json!({ "name": "made" })), "access.key_revoked"),
        Step(
            "AdminService/GrantCertificate",
            of_service("certificate", json!({ "name": "spiffe://made", "grant": { "roles": ["read"] } })),
            "access.certificate_made",
        ),
        Step(
            "AdminService/RevokeCertificate",
            of_service("no-certificate", json!({ "name": "spiffe://made" })),
            "access.certificate_revoked",
        ),
        Step(
            "ApprovalService/SetApprovalFigure",
            of_service("figure", json!({ "act": "GUARDED_ACT_WRITE_OFF", "currencyCode": "JPY", "above": "5000" })),
            "approvals.figure_set",
        ),
        Step("AdminService/Backup", json!({}), "backup.taken"),
    ]
}

/// Opens accounts, and has a document held back that could be issued.
async fn opened(house: &House, root: &str) {
    let acme = json!({ "accountId": "acme", "requestId": "c", "name": "Acme", "currencyCode": "EUR", "mode": "PAYMENT_MODE_POSTPAID",
        "creditLimit": { "permanent": { "amount": "1000" } } });
    house.done(root, "AccountService/CreateAccount", acme).await;
    let funded = json!({ "accountId": "funded", "requestId": "c", "name": "F", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    house.done(root, "AccountService/CreateAccount", funded).await;
    house.done(root, "AccountService/TopUp", json!({ "accountId": "funded", "requestId": "t", "amount": amount("9") })).await;
    let debit = |id: &str, much: &str| json!({ "accountId": "acme", "requestId": id, "amount": amount(much) });
    let convert = |id: &str, mode: &str| json!({ "accountId": "acme", "requestId": id, "mode": mode, "operator": by() });
    house.done(root, "ChargingService/Debit", debit("before", "30")).await;
    house.done(root, "ChargingService/Convert", convert("final", "PAYMENT_MODE_PREPAID")).await;
    house.done(root, "ChargingService/Convert", convert("back", "PAYMENT_MODE_POSTPAID")).await;
    house.done(root, "ChargingService/Debit", debit("usage", "5")).await;
    let billing = Billing::connect_lazily(&house.billing(), BillingSettings::default()).unwrap();
    until("the final bill is drafted", async || {
        // The tables may not be there yet.
        let found = sqlx::query("DELETE FROM drafts").execute(billing.store().pool()).await.ok()?;
        (found.rows_affected() > 0).then_some(())
    })
    .await;
    sqlx::query("UPDATE documents SET held_reason = 'a test'").execute(billing.store().pool()).await.unwrap();
    billing.store().close().await;
}

/// Has a request be about the mail, or the link, that was made; a mail in a state in which it can be done.
async fn about_what_was_made(house: &House, root: &str, method: &str, mut request: Value) -> Value {
    let state = match method {
        "BillingService/ReportBounce" => "sent",
        "BillingService/DecideMail" => "failed",
        "BillingService/RevokeDocumentLink" => {
            let found = house.done(root, "BillingService/ListDocumentLinks", json!({ "number": "INV-000001" })).await;
            request["linkId"] = found["links"][0]["linkId"].clone();
            return request;
        }
        _ => return request,
    };
    let found = house.done(root, "BillingService/ListMails", json!({ "number": "INV-000001" })).await;
    let id = found["mails"][0]["mailId"].as_str().unwrap().to_owned();
    let billing = Billing::connect_lazily(&house.billing(), BillingSettings::default()).unwrap();
    sqlx::query("UPDATE mails SET state = $1").bind(state).execute(billing.store().pool()).await.unwrap();
    billing.store().close().await;
    if method == "BillingService/DecideMail" {
        request["mailId"] = json!(id);
        return request;
    }
    let report = format!(
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{id}@nordlicht.example>\r\n\r\n--b--\r\n"
    );
    use base64::Engine;

    request["message"] = json!(base64::engine::general_purpose::STANDARD.encode(report));
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_that_changes_something_leaves_one_record_of_who_what_and_from_where() {
    let (house, keys) = House::start_with(&[("root", "admin", &[])], &["--public-url", "https://documents.example"]).await;
    let root = &keys[0];
    opened(&house, root).await;
    let steps = steps();
    let tried = steps.iter().map(|Step(method, ..)| *method);
    let listed: BTreeSet<String> = tried.chain(ELSEWHERE).map(str::to_owned).collect();
    assert_eq!(listed, changing(), "each RPC that changes something is tried here");
    for Step(method, request, _) in &steps {
        let request = &about_what_was_made(&house, root, method, request.clone()).await;
        // What follows on an invoice waits for its number, and what follows on a payment for it.
        let called = until(method, async || match house.call(Some(root), method, request).await {
            Err(status) if status.code() == Code::NotFound => None,
            other => Some(other),
        });
        called.await.unwrap_or_else(|status| panic!("{method} {request}: {status:?}"));
        if *method == "BillingService/ApproveInvoices" {
            until("the invoice has its number", async || {
                house.call(Some(root), "BillingService/GetInvoice", &json!({ "number": "INV-000001" })).await.ok()
            })
            .await;
        }
    }
    let found = until("all is recorded", async || {
        let found = records(&house, root, json!({})).await;
        let has = |name: &str, value: &str| found.iter().any(|record| record[name] == value);
        (has("requestId", "reopen") && has("action", "backup.taken")).then_some(found)
    })
    .await;
    for Step(method, request, action) in &steps {
        let id = match request["requestId"].as_str() {
            Some(id) => id,
            None if *action == "account.converted" => "batch:b",
            None => "",
        };
        let of: Vec<&Value> =
            found.iter().filter(|record| record["action"] == **action && record["requestId"].as_str().unwrap_or_default() == id).collect();
        let [record] = of[..] else { panic!("{method}: {of:#?} of {found:#?}") };
        let texts = ["actor", "authenticatedBy", "protocol", "address", "outcome"].map(|name| record[name].as_str().unwrap());
        assert_eq!(texts, ["root", "key", "grpc", "127.0.0.1", "AUDIT_OUTCOME_DONE"], "{method}: {record:#}");
        let is_about = request["accountId"].as_str().is_none_or(|account| record["accountId"] == account);
        assert!(is_about, "{method}: {record:#}");
    }
    let charges = found.iter().filter(|record| record["action"].as_str().unwrap().contains("charged")).count();
    assert_eq!(charges, 0, "the journal tells of charges");
    // What was there before, and what is there now.
    let of = |action: &str| found.iter().find(|record| record["action"] == action).unwrap();
    let limit = of("account.limit_set");
    assert_eq!(inner(limit, "details"), json!({ "before": { "permanent_limit": "1000.00" }, "after": { "permanent_limit": "900.00" } }));
    assert_eq!(inner(limit, "personal"), json!({ "reason": "a test" }));
    assert_eq!(inner(of("account.updated"), "personal")["before"], json!({ "name": "Acme" }));
    let details = of("billing_details.set");
    assert_eq!(inner(details, "personal")["after"]["name"], "Acme Holding");
    assert_eq!(inner(details, "details"), Value::Null, "names and addresses are personal");
    assert_eq!(inner(of("tax_rate.set"), "details"), json!({ "valid_from": "2020-01-01", "category": "all", "after": "19" }));
    let before = |action: &str| inner(of(action), "details")["before"].clone();
    assert_eq!((before("issuing.set"), before("sending.set")["receipts"].clone()), (json!("at_once"), json!(false)));
    // A repetition changes nothing, and leaves nothing.
    house.done(root, "BillingService/SetTaxRate", steps.iter().find(|step| step.2 == "tax_rate.set").unwrap().1.clone()).await;
    house
        .done(root, "BillingService/SetBillingDetails", steps.iter().find(|step| step.2 == "billing_details.set").unwrap().1.clone())
        .await;
    for action in ["tax_rate.set", "billing_details.set"] {
        assert_eq!(records(&house, root, json!({ "action": action })).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_shown_the_records_of_its_accounts_and_filters_narrow_them() {
    let (mut house, keys) = House::start(&[("root", "admin", &[]), ("tenant", "audit", &["partner/"])]).await;
    let [root, tenant] = [&keys[0], &keys[1]];
    let desk = house.add("desk", GrantEntry { roles: vec!["operate".into()], acts_for_others: true, ..GrantEntry::default() });
    for id in ["partner/a", "partner2/b"] {
        let account = json!({ "accountId": id, "requestId": "c", "name": id, "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
        house.done(root, "AccountService/CreateAccount", account).await;
    }
    let limit = json!({ "accountId": "partner/a", "requestId": "l", "creditLimit": { "permanent": amount("5") },
        "operator": { "actor": "alice", "reason": "asked to" } });
    until("the service has read the access file again", async || {
        house.call(Some(&desk), "AccountService/SetCreditLimit", &limit).await.ok()
    })
    .await;
    let item = json!({ "requestId": "i", "item": { "item": "sms", "name": "SMS" }, "operator": by() });
    house.done(root, "BillingService/SetItem", item).await;
    until("all is recorded", async || {
        let found = records(&house, root, json!({ "accountId": "partner/a", "action": "account.limit_set" })).await;
        (!found.is_empty()).then_some(())
    })
    .await;
    let accounts =
        |found: &[Value]| found.iter().map(|record| record["accountId"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    assert_eq!(accounts(&records(&house, tenant, json!({})).await), ["partner/a", "partner/a"]);
    assert_eq!(house.refused(tenant, "AuditService/ListAuditRecords", json!({ "accountId": "partner2/b" })).await, "PERMISSION_DENIED");
    let by_desk = records(&house, root, json!({ "actor": "desk" })).await;
    assert_eq!((by_desk.len(), by_desk[0]["onBehalfOf"].as_str()), (1, Some("alice")));
    assert!(by_desk[0]["entryId"].as_str().unwrap().starts_with("0-"), "{by_desk:?}");
    assert_eq!(records(&house, root, json!({ "action": "item.set" })).await.len(), 1);
    assert!(records(&house, root, json!({ "to": "2020-01-01T00:00:00Z" })).await.is_empty());
    let page = house.done(root, "AuditService/ListAuditRecords", json!({ "pageSize": 1 })).await;
    let stolen = json!({ "pageSize": 1, "pageToken": page["nextPageToken"], "action": "item.set" });
    assert_eq!(house.refused(root, "AuditService/ListAuditRecords", stolen).await, "INVALID_REQUEST");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_was_sent_in_the_future_is_refused_and_nothing_is_changed() {
    let (house, keys) = House::start_with(&[("root", "admin", &[])], &["--public-url", "https://documents.example"]).await;
    let root = &keys[0];
    opened(&house, root).await;
    for Step(method, request, action) in steps() {
        let is_setting = !action.starts_with("account.") && !["invoice.retried", "backup.taken", "mail.bounced"].contains(&action);
        if !is_setting {
            continue;
        }
        let mut request = request;
        request["firstSentAt"] = json!("2999-01-01T00:00:00Z");
        assert_eq!(house.refused(root, method, request).await, "SENT_IN_FUTURE", "{method}");
    }
    let settings = records(&house, root, json!({})).await;
    let is_other = |record: &Value| ["ledger.taken", "service.started"].contains(&record["action"].as_str().unwrap());
    assert!(settings.iter().all(|record| record["recordId"].as_str().unwrap().starts_with("0-") || is_other(record)));
}
