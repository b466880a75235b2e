//! A tenant's key sees nothing of another tenant, by whatever way it tries.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::callers::{House, amount};
use crate::service::until;

/// Ours; and those of others, of which two begin like ours.
const OURS: &str = "partner-7/a";
const OTHERS: [&str; 3] = ["partner-70/a", "partner-8/a", "partner-7"];

/// One that nobody has.
const NOBODYS: &str = "partner-9/a";

struct Tenants {
    house: House,
    root: String,
    tenant: String,
    /// The invoices: ours, and one of another.
    numbers: [String; 2],
    /// The id of the other's document.
    document: String,
}

impl Tenants {
    /// Accounts of several tenants, each with a charge, an invoice and a payment.
    async fn start() -> Self {
        let (house, keys) = House::start_with(
            &[("root", "admin", &[]), ("tenant", "admin", &["partner-7/"])],
            &["--public-url", "https://documents.example"],
        )
        .await;
        let [root, tenant] = keys.try_into().unwrap();
        let by = json!({ "actor": "root", "reason": "a test" });
        let issuer = json!({ "requestId": "i", "issuer": { "name": "Nordlicht", "countryCode": "DE" }, "operator": by });
        house.done(&root, "BillingService/SetIssuer", issuer).await;
        let rate = json!({ "requestId": "r", "rate": { "validFrom": "2020-01-01", "percent": "19" }, "operator": by });
        house.done(&root, "BillingService/SetTaxRate", rate).await;
        for id in [OURS].into_iter().chain(OTHERS) {
            let limit = json!({ "permanent": amount("1000") });
            let account = json!({ "accountId": id, "requestId": "c", "name": format!("Customer {}", name(id)), "currencyCode": "EUR",
                "mode": "PAYMENT_MODE_POSTPAID", "creditLimit": limit });
            house.done(&root, "AccountService/CreateAccount", account).await;
            house.done(&root, "ChargingService/Debit", json!({ "accountId": id, "requestId": "d1", "amount": amount("10") })).await;
            // The final bill is an invoice.
            let convert = json!({ "accountId": id, "requestId": "v", "mode": "PAYMENT_MODE_PREPAID", "operator": by });
            house.done(&root, "ChargingService/Convert", convert).await;
        }
        let invoices = until("all invoices are issued", || async {
            let listed = house.done(&root, "BillingService/ListInvoices", json!({ "state": "INVOICE_STATE_ISSUED" })).await;
            let invoices = listed["invoices"].as_array()?.clone();
            (invoices.len() == 4).then_some(invoices)
        })
        .await;
        let of = |account: &str, field: &str| {
            let found = invoices.iter().find(|invoice| invoice["accountId"] == account);
            found.unwrap_or_else(|| panic!("{invoices:?}"))[field].as_str().unwrap().to_owned()
        };
        let (numbers, document) = ([OURS, "partner-8/a"].map(|account| of(account, "number")), of("partner-8/a", "documentId"));
        for id in [OURS].into_iter().chain(OTHERS) {
            let pay = json!({ "accountId": id, "requestId": "p1", "amount": amount("1") });
            house.done(&root, "BillingService/RecordPayment", pay).await;
        }
        until("all payments are taken in", || async {
            let listed = house.done(&root, "BillingService/ListPayments", json!({})).await;
            (listed["payments"].as_array()?.len() == 4).then_some(())
        })
        .await;
        Self { house, root, tenant, numbers, document }
    }

    async fn ask(&self, method: &str, request: Value) -> Result<Value, Status> {
        self.house.call(Some(&self.tenant), method, &request).await
    }

    /// What is listed for the tenant, page by page of one: something, and nothing of others.
    async fn listed(&self, method: &str, field: &str, mut request: Value) -> Vec<Value> {
        let mut found = Vec::new();
        request["pageSize"] = 1.into();
        loop {
            let page = self.house.done(&self.tenant, method, request.clone()).await;
            assert_shows_only_ours(method, &page);
            found.extend(page[field].as_array().into_iter().flatten().cloned());
            match page["nextPageToken"].as_str() {
                Some(token) if !token.is_empty() => request["pageToken"] = token.into(),
                _ => return found,
            }
        }
    }

    /// A request about the account of another, and about one that nobody has, get the same answer.
    async fn tells_nothing(&self, method: &str, request: impl Fn(&str) -> Value) {
        let answer = |id: &'static str| {
            let request = request(id);
            async move {
                let status = self.ask(method, request.clone()).await.expect_err(&format!("{method} {request}"));
                assert_eq!(status.code(), Code::PermissionDenied, "{method} {request}: {status:?}");
                told(&status).replace(id, "ID")
            }
        };
        let unknown = answer(NOBODYS).await;
        for other in OTHERS {
            assert_eq!(answer(other).await, unknown, "{method}");
        }
    }
}

/// All that a status tells.
fn told(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    let metadata: BTreeMap<_, _> = info.metadata.iter().collect();
    format!("{:?} {} {} {metadata:?} {:?}", status.code(), status.message(), info.reason, details.resource_info())
}

/// How a tenant is called.
fn name(id: &str) -> &'static str {
    match id {
        OURS => "Septima",
        "partner-70/a" => "Septuaginta",
        "partner-8/a" => "Octava",
        _ => "Parent",
    }
}

fn assert_shows_only_ours(what: &str, answer: &Value) {
    let text = answer.to_string();
    for secret in ["partner-70", "partner-8", "\"partner-7\"", "Septuaginta", "Octava", "Parent"] {
        assert!(!text.contains(secret), "{what} shows {secret}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_its_own_and_nothing_of_others() {
    let tenants = Tenants::start().await;
    let (house, root, tenant) = (&tenants.house, tenants.root.as_str(), tenants.tenant.as_str());
    let [our_number, other_number] = &tenants.numbers;

    // 1 to 4: lists show what is theirs, page by page; names find nothing else.
    for (method, field) in [
        ("BillingService/ListInvoices", "invoices"),
        ("BillingService/ListPayments", "payments"),
        ("BillingService/ListReceivables", "receivables"),
    ] {
        let found = tenants.listed(method, field, json!({})).await;
        assert_eq!(found.len(), 1, "{method}: {found:?}");
        assert_eq!(found[0]["accountId"], OURS, "{method}");
        tenants.tells_nothing(method, |id| json!({ "accountId": id })).await;
    }
    for (query, count) in [("customer", 1), ("septima", 1), ("octava", 0), ("partner-8/a", 0), ("partner", 1)] {
        let found = tenants.listed("AccountService/SearchAccounts", "accounts", json!({ "query": query })).await;
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
    assert_eq!(house.refused(tenant, "AccountService/ListAccounts", json!({})).await, "PERMISSION_DENIED");
    let text = json!({ "text": "octava" });
    assert!(tenants.listed("BillingService/ListInvoices", "invoices", text).await.is_empty());

    // 5: a page token that was made for somebody else.
    for (method, request) in [
        ("BillingService/ListInvoices", json!({ "pageSize": 1 })),
        ("BillingService/ListPayments", json!({ "pageSize": 1 })),
        ("BillingService/ListReceivables", json!({ "pageSize": 1 })),
        ("AccountService/SearchAccounts", json!({ "pageSize": 1, "query": "customer" })),
    ] {
        let mut request = request;
        for _ in 0..3 {
            request["pageToken"] = house.done(root, method, request.clone()).await["nextPageToken"].clone();
            let page = house.done(tenant, method, request.clone()).await;
            assert_shows_only_ours(method, &page);
        }
    }
    let others_token = house.done(root, "AccountService/ListEntries", json!({ "accountId": "partner-8/a", "pageSize": 1 })).await;
    let with_token = json!({ "accountId": OURS, "pageSize": 1, "pageToken": others_token["nextPageToken"] });
    assert_eq!(house.refused(tenant, "AccountService/ListEntries", with_token).await, "INVALID_REQUEST");

    // 6 to 8: documents of others, by number and by id, in every form, are as ones that do not exist.
    for method in ["BillingService/GetInvoice", "BillingService/GetInvoiceFile"] {
        let mut told = Vec::new();
        for (field, name) in [
            ("number", other_number.as_str()),
            ("number", "INV-999"),
            ("documentId", tenants.document.as_str()),
            ("documentId", "0-999999"),
        ] {
            let mut request = json!({});
            request[field] = name.into();
            if method.ends_with("File") {
                request["form"] = "INVOICE_FORM_PDF".into();
            }
            let status = tenants.ask(method, request).await.unwrap_err();
            told.push(self::told(&status).replace(name, "NAME"));
        }
        told.dedup();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("NotFound"), "{told:?}");
    }
    assert_eq!(house.done(tenant, "BillingService/GetInvoice", json!({ "number": our_number })).await["invoice"]["accountId"], OURS);

    // 9: everything that is about one account, whether there is one or not.
    let by = json!({ "reason": "a test" });
    let much = amount("1");
    for (method, more) in [
        ("ChargingService/GetUsableCredit", json!({})),
        ("ChargingService/WatchUsableCredit", json!({})),
        ("ChargingService/Debit", json!({ "requestId": "d1", "amount": much })),
        ("ChargingService/Authorize", json!({ "requestId": "x", "reserve": { "amount": much } })),
        ("ChargingService/Refund", json!({ "requestId": "x", "chargeId": "d1" })),
        ("ChargingService/Convert", json!({ "requestId": "v", "mode": "PAYMENT_MODE_PREPAID", "operator": by })),
        ("AccountService/CreateAccount", json!({ "requestId": "c", "name": "X", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" })),
        ("AccountService/GetAccount", json!({})),
        ("AccountService/ListEntries", json!({})),
        ("AccountService/ListDeclines", json!({})),
        ("AccountService/ListReservations", json!({})),
        ("AccountService/TopUp", json!({ "requestId": "x", "amount": much })),
        ("AccountService/CloseAccount", json!({ "requestId": "x", "operator": by })),
        ("AccountService/EraseAccount", json!({ "requestId": "x", "operator": by })),
        ("BillingService/GetPayment", json!({ "paymentId": "p1" })),
        ("BillingService/RecordPayment", json!({ "requestId": "p1", "amount": much })),
        ("BillingService/AllocatePayment", json!({ "requestId": "x", "paymentId": "p1", "invoiceNumber": other_number, "operator": by })),
        ("BillingService/ExportUsage", json!({})),
        ("BillingService/PreviewInvoice", json!({})),
        ("BillingService/GetAccountStatement", json!({})),
        ("BillingService/GetAccountFile", json!({ "paper": "ACCOUNT_PAPER_RECEIPT", "paymentId": "p1", "form": "INVOICE_FORM_HTML" })),
        ("BillingService/GetBillingDetails", json!({})),
        ("BillingService/SetBillingDetails", json!({ "customer": { "name": "X" } })),
        ("BillingService/ListTaxTreatments", json!({})),
        ("AccountService/ListNotes", json!({})),
        ("AccountService/AddNote", json!({ "requestId": "x", "text": "X", "operator": by })),
        ("BillingService/SuggestCreditLimit", json!({})),
    ] {
        let request = |id: &str| {
            let mut request = more.clone();
            request["accountId"] = id.into();
            request
        };
        tenants.tells_nothing(method, request).await;
    }

    // 10: what spans accounts is for those who may look at all.
    for (method, request) in [
        ("BillingService/ExportUsage", json!({})),
        ("BillingService/GetAggregation", json!({})),
        ("BillingService/GetIssuer", json!({})),
        ("BillingService/ApproveInvoices", json!({ "requestId": "x", "documentIds": [tenants.document], "operator": by })),
        ("BillingService/RetryHeldInvoices", json!({ "documentId": tenants.document })),
        ("AdminService/Backup", json!({})),
        ("AdminService/ListCallers", json!({})),
        ("AdminService/CreateKey", json!({ "requestId": "k", "name": "k", "grant": { "roles": ["read"] }, "operator": by })),
        ("BillingService/BatchConvert", json!({ "batchId": "b", "mode": "PAYMENT_MODE_PREPAID", "filter": {}, "operator": by })),
    ] {
        assert_eq!(house.refused(tenant, method, request).await, "PERMISSION_DENIED", "{method}");
    }
    let exported = house.done(tenant, "BillingService/ExportUsage", json!({ "accountId": OURS })).await;
    assert_shows_only_ours("an export", &exported);

    // 11: each command of a batch and each account of a conversion by itself.
    let look = |id: &str| json!({ "getUsableCredit": { "accountId": id } });
    let charge = |id: &str| json!({ "debit": { "accountId": id, "requestId": "d1", "amount": amount("10") } });
    let commands = json!({ "commands": [look(OURS), look("partner-8/a"), look(NOBODYS), charge("partner-8/a"), charge(NOBODYS)] });
    for method in ["ChargingService/BatchCharge", "ChargingService/Charge"] {
        let answer = house.done(tenant, method, commands.clone()).await;
        let told = |index: usize, id: &str| answer["outcomes"][index]["error"].to_string().replace(id, "ID");
        assert!(answer["outcomes"][0]["getUsableCredit"].is_object(), "{method}: {answer}");
        assert_eq!(told(1, "partner-8/a"), told(2, NOBODYS), "{method}");
        assert_eq!(told(3, "partner-8/a"), told(4, NOBODYS), "{method}: a request id that is known, and one that is not");
        assert!(told(3, "partner-8/a").contains("PERMISSION_DENIED"), "{method}: {answer}");
    }
    let list = json!({ "accounts": [{ "accountId": "partner-8/a" }] });
    let convert = json!({ "batchId": "b", "mode": "PAYMENT_MODE_PREPAID", "list": list, "operator": by });
    let answer = house.done(tenant, "BillingService/BatchConvert", convert).await;
    assert!(answer["error"].to_string().contains("PERMISSION_DENIED"), "{answer}");

    // 12: a request id that another has used is free; 13: invoices of another cannot be paid or named.
    let own = json!({ "accountId": OURS, "requestId": "p2", "amount": much });
    house.done(root, "BillingService/RecordPayment", json!({ "accountId": "partner-8/a", "requestId": "p2", "amount": much })).await;
    assert_eq!(house.done(tenant, "BillingService/RecordPayment", own).await["replayed"], Value::Null, "it is no repetition");
    let naming = |number: &str| json!({ "accountId": OURS, "requestId": "p3", "amount": much, "invoiceNumbers": [number] });
    for number in [other_number.as_str(), "INV-999"] {
        assert_eq!(house.refused(tenant, "BillingService/RecordPayment", naming(number)).await, "INVOICE_NOT_FOUND", "{number}");
        let allocate = json!({ "accountId": OURS, "requestId": "a", "paymentId": "p1", "invoiceNumber": number, "operator": by });
        assert_eq!(house.refused(tenant, "BillingService/AllocatePayment", allocate).await, "INVOICE_NOT_FOUND", "{number}");
    }

    // 14: what is theirs, in full, names nobody else.
    for (method, request) in [
        ("AccountService/GetAccount", json!({ "accountId": OURS })),
        ("AccountService/ListEntries", json!({ "accountId": OURS })),
        ("BillingService/GetAccountStatement", json!({ "accountId": OURS })),
        ("BillingService/GetPayment", json!({ "accountId": OURS, "paymentId": "p1" })),
    ] {
        assert_shows_only_ours(method, &house.done(tenant, method, request).await);
    }

    // 15: the same over HTTP.
    for (path, request, status) in [
        ("account/get-account", json!({ "accountId": "partner-8/a" }), 403),
        ("account/get-account", json!({ "accountId": OURS }), 200),
        ("account/list-accounts", json!({}), 403),
        ("account/search-accounts", json!({ "query": "customer" }), 200),
        ("billing/list-invoices", json!({}), 200),
        ("billing/list-payments", json!({}), 200),
        ("billing/get-invoice", json!({ "number": other_number }), 404),
        ("billing/get-invoice-file", json!({ "number": other_number, "form": "INVOICE_FORM_CSV" }), 404),
        ("billing/export-usage", json!({}), 403),
        ("charging/watch-usable-credit", json!({ "accountId": "partner-70/a" }), 403),
    ] {
        let (found, _, body) = house.post(Some(tenant), path, &request);
        assert_eq!(found, status, "{path} {request}: {body}");
        if status == 200 {
            assert_shows_only_ours(path, &body.into());
        }
    }
}

/// Requests of which one names something of another, and one something that nobody has, get the same answer.
async fn tells_no_more(tenants: &Tenants, method: &str, field: &str, [other, nobodys]: [&str; 2], more: Value) {
    let mut answers = Vec::new();
    for name in [other, nobodys] {
        let mut request = more.clone();
        request[field] = name.into();
        let status = tenants.ask(method, request).await.expect_err(method);
        answers.push(told(&status).replace(&format!("\"{name}\""), "NAME"));
    }
    assert_eq!(answers[0], answers[1], "{method}");
    assert!(answers[0].starts_with("NotFound"), "{method}: {answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_by_mails_acts_that_wait_audit_records_and_write_offs() {
    let tenants = Tenants::start().await;
    let (house, root) = (&tenants.house, tenants.root.as_str());
    let (by, other_number) = (json!({ "reason": "a test" }), tenants.numbers[1].as_str());

    // 16: mails, by documents of others and by themselves.
    tells_no_more(&tenants, "BillingService/ListMails", "number", [other_number, "INV-999"], json!({})).await;
    let sending = json!({ "requestId": "s", "settings": { "enabled": true, "from": "a@b.example" }, "operator": by });
    house.done(root, "BillingService/SetSending", sending).await;
    let send =
        |number: &str, request: &str, to: &str| json!({ "number": number, "requestId": request, "recipients": [to], "operator": by });
    house.done(root, "BillingService/SendInvoice", send(other_number, "other", "octava@others.example")).await;
    house.done(root, "BillingService/SendInvoice", send(&tenants.numbers[0], "ours", "septima@ours.example")).await;
    let others = house.done(root, "BillingService/ListMails", json!({ "number": other_number })).await;
    let mail = others["mails"][0]["mailId"].as_str().unwrap();
    assert_eq!(tenants.listed("BillingService/ListMails", "mails", json!({})).await.len(), 1);
    tells_no_more(&tenants, "BillingService/GetMail", "mailId", [mail, "1-1"], json!({})).await;
    let drop = json!({ "requestId": "d", "decision": "MAIL_DECISION_DROP", "operator": by });
    tells_no_more(&tenants, "BillingService/DecideMail", "mailId", [mail, "1-1"], drop).await;
    let again = json!({ "requestId": "a", "again": true, "operator": by });
    tells_no_more(&tenants, "BillingService/SendInvoice", "number", [other_number, "INV-999"], again).await;

    // Links to documents.
    let link = |request: &str| json!({ "requestId": request, "operator": by });
    let of_other = json!({ "number": other_number, "requestId": "link", "operator": by });
    let made = house.done(root, "BillingService/CreateDocumentLink", of_other).await;
    let id = made["link"]["linkId"].as_str().unwrap();
    tells_no_more(&tenants, "BillingService/CreateDocumentLink", "number", [other_number, "INV-999"], link("create")).await;
    tells_no_more(&tenants, "BillingService/ListDocumentLinks", "number", [other_number, "INV-999"], json!({})).await;
    tells_no_more(&tenants, "BillingService/RevokeDocumentLink", "linkId", [id, "AAAAAAAAAAAAAAAAAAAAAA"], link("revoke")).await;
    let found = house.done(root, "BillingService/ListDocumentLinks", json!({ "number": other_number })).await;
    assert!(found["links"][0]["works"] == true && found["links"][0]["url"] == made["link"]["url"], "{found}");

    // 17: acts that wait for a second person, page by page and by their numbers.
    let figure = json!({ "requestId": "f", "act": "GUARDED_ACT_ADJUST", "currencyCode": "EUR", "above": "100", "operator": by });
    house.done(root, "ApprovalService/SetApprovalFigure", figure).await;
    let mut numbers = Vec::new();
    for id in ["partner-8/a", OURS, "partner-70/a"] {
        let adjust = json!({ "accountId": id, "requestId": "large", "amount": amount("200"), "operator": by });
        let waits = house.call(Some(root), "AccountService/AdjustBalance", &adjust).await.unwrap_err();
        numbers.push(waits.get_details_error_info().unwrap().metadata["approval_id"].clone());
    }
    let shown = tenants.listed("ApprovalService/ListApprovals", "approvals", json!({ "includeEnded": true })).await;
    assert_eq!((shown.len(), &shown[0]["approvalId"]), (1, &json!(numbers[1])), "{shown:?}");
    tenants.tells_nothing("ApprovalService/ListApprovals", |id| json!({ "accountId": id })).await;
    tells_no_more(&tenants, "ApprovalService/GetApproval", "approvalId", [&numbers[0], "999999"], json!({})).await;
    for method in ["ApprovalService/ApproveAct", "ApprovalService/RejectAct"] {
        tells_no_more(&tenants, method, "approvalId", [&numbers[0], "999999"], json!({ "requestId": "a", "operator": by })).await;
    }

    // 18: audit records.
    let records = tenants.listed("AuditService/ListAuditRecords", "records", json!({})).await;
    assert!(!records.is_empty() && records.iter().all(|record| record["accountId"] == OURS), "{records:?}");
    tenants.tells_nothing("AuditService/ListAuditRecords", |id| json!({ "accountId": id })).await;

    // 19: what is given up, and what is sent to whom.
    for (method, more) in [
        ("BillingService/WriteOff", json!({ "requestId": "w", "operator": by })),
        ("BillingService/ReverseWriteOff", json!({ "requestId": "w", "writeOffId": "large", "operator": by })),
        ("AccountService/AdjustBalance", json!({ "requestId": "large", "amount": amount("200"), "operator": by })),
        ("AccountService/SetCreditLimit", json!({ "requestId": "l", "creditLimit": { "permanent": amount("1") }, "operator": by })),
        ("BillingService/GetAccountSending", json!({})),
        ("BillingService/SetAccountSending", json!({ "requestId": "s", "sending": { "off": true }, "operator": by })),
    ] {
        let request = |id: &str| {
            let mut request = more.clone();
            request["accountId"] = id.into();
            request
        };
        tenants.tells_nothing(method, request).await;
    }
}
