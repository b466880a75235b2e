//! The services over the wire: a real server and a real client in one process, on the in-memory model and a clock that stands still.

use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tollgate::clock::Clock;
use tollgate::domain::time::UnixMillis;
use tollgate::grpc::v1::account_service_client::AccountServiceClient;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tollgate::grpc::v1::{self, AdviceTopic, DeclineReason, PaymentMode, ThresholdCrossing};
use tollgate::grpc::{AccessLayer, Health, MAX_MESSAGE_BYTES, services};
use tollgate::lanes::offload::Offload;
use tollgate::ledger::Ledger;
use tollgate::ledger::model::ModelEngine;
use tollgate::ledger::watch::Watchers;
use tollgate::service::UseCases;
use tollgate::service::admission::Limits;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};
use tonic_types::{RpcStatusExt, StatusExt};

/// A service of its own for each test.
struct Service {
    charging: ChargingServiceClient<Channel>,
    accounts: AccountServiceClient<Channel>,
    channel: Channel,
    clock: Clock,
    health: Health,
}

const DAY: i64 = 24 * 60 * 60 * 1000;

async fn service() -> Service {
    service_within(Limits::default(), MAX_MESSAGE_BYTES).await
}

async fn service_within(limits: Limits, max_message_bytes: usize) -> Service {
    let start = UnixMillis::new("2026-11-20T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond());
    let clock = Clock::manual(start, TimeZone::UTC);
    let watchers = Watchers::default();
    let engine = Arc::new(ModelEngine::new(clock.clone(), DAY, watchers.clone()));
    let health = Health::new();
    let ledger = Ledger::start(engine, watchers, clock.clone());
    let use_cases = UseCases::new(ledger, None, Offload::start().unwrap(), limits, CancellationToken::new(), access::Access::open().into());
    let services = services(use_cases, health.clone(), max_message_bytes, AccessLayer::open());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Server::builder().serve_with_incoming(services, TcpListenerStream::new(listener)));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let (charging, accounts) = (ChargingServiceClient::new(channel.clone()), AccountServiceClient::new(channel.clone()));
    Service { charging, accounts, channel, clock, health }
}

fn money(amount: &str) -> Option<v1::Money> {
    Some(v1::Money { amount: amount.into(), currency_code: String::new() })
}

fn operator() -> Option<v1::Operator> {
    Some(v1::Operator { actor: "ann".into(), reason: "asked to".into() })
}

fn permanent(amount: &str) -> Option<v1::CreditLimitChange> {
    Some(v1::CreditLimitChange { permanent: money(amount), temporary: None })
}

fn account(id: &str, mode: PaymentMode, limit: &str) -> v1::CreateAccountRequest {
    v1::CreateAccountRequest {
        account_id: id.into(),
        request_id: format!("create-{id}"),
        name: format!("Customer {id}"),
        currency_code: "USD".into(),
        mode: mode.into(),
        credit_limit: permanent(limit),
        allow_unusable: true,
        ..Default::default()
    }
}

fn authorize(request_id: &str, amount: &str) -> v1::AuthorizeRequest {
    let reserve = Some(v1::Reserve { amount: money(amount), ..Default::default() });
    v1::AuthorizeRequest { account_id: "acme".into(), request_id: request_id.into(), reserve, ..Default::default() }
}

fn debit(request_id: &str, amount: &str) -> v1::DebitRequest {
    v1::DebitRequest { account_id: "acme".into(), request_id: request_id.into(), amount: money(amount), ..Default::default() }
}

fn refund(request_id: &str, charge: &str) -> v1::RefundRequest {
    v1::RefundRequest { account_id: "acme".into(), request_id: request_id.into(), charge_id: charge.into(), ..Default::default() }
}

fn release(request_id: &str, reservation: &str) -> v1::ReleaseRequest {
    let (account_id, request_id) = ("acme".into(), request_id.into());
    v1::ReleaseRequest { account_id, request_id, reservation_id: reservation.into(), ..Default::default() }
}

fn convert(request_id: &str, mode: PaymentMode) -> v1::ConvertRequest {
    v1::ConvertRequest { account_id: "acme".into(), request_id: request_id.into(), mode: mode.into(), ..Default::default() }
}

impl Service {
    async fn open(&mut self, mode: PaymentMode, limit: &str, balance: &str) {
        self.accounts.create_account(account("acme", mode, limit)).await.unwrap();
        if balance != "0" {
            let (account_id, request_id) = ("acme".into(), "opening".into());
            let request =
                v1::AdjustBalanceRequest { account_id, request_id, amount: money(balance), operator: operator(), first_sent_at: None };
            self.accounts.adjust_balance(request).await.unwrap();
        }
    }

    async fn credit(&mut self) -> v1::Credit {
        let request = v1::GetUsableCreditRequest { account_id: "acme".into() };
        self.charging.get_usable_credit(request).await.unwrap().into_inner().credit.unwrap()
    }

    async fn debit(&mut self, request: v1::DebitRequest) -> v1::DebitResponse {
        self.charging.debit(request).await.unwrap().into_inner()
    }

    async fn authorize(&mut self, request: v1::AuthorizeRequest) -> v1::AuthorizeResponse {
        self.charging.authorize(request).await.unwrap().into_inner()
    }

    async fn convert(&mut self, request: v1::ConvertRequest) -> v1::ConvertResponse {
        self.charging.convert(request).await.unwrap().into_inner()
    }
}

fn charged(response: v1::DebitResponse) -> v1::Charged {
    match response.outcome.unwrap() {
        v1::debit_response::Outcome::Charged(charged) => charged,
        other => panic!("not charged: {other:?}"),
    }
}

fn granted(response: v1::AuthorizeResponse) -> v1::Reservation {
    match response.outcome.unwrap() {
        v1::authorize_response::Outcome::Granted(granted) => granted,
        other => panic!("not granted: {other:?}"),
    }
}

fn text(money: Option<v1::Money>) -> String {
    money.unwrap().amount
}

fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "tollgate");
    (status.code(), info.reason)
}

fn field(status: &Status) -> String {
    status.get_details_bad_request().unwrap().field_violations[0].field.clone()
}

fn topics(response: &v1::ConvertResponse) -> Vec<AdviceTopic> {
    response.advice.iter().map(|advice| advice.topic()).collect()
}

#[tokio::test]
async fn the_figures_of_the_domain_come_out() {
    for (mode, limit, balance, usable, due) in [
        (PaymentMode::Prepaid, "2000", "86.10148", "2086.10148", "0.00"),
        (PaymentMode::Prepaid, "100", "-8.67", "91.33", "0.00"),
        (PaymentMode::Postpaid, "1000", "-1200", "1000.00", "1200.00"),
        (PaymentMode::Postpaid, "2400", "424", "2824.00", "0.00"),
    ] {
        let mut service = service().await;
        service.open(mode, limit, balance).await;
        let credit = service.credit().await;
        assert_eq!((credit.usable.as_str(), credit.amount_due.as_str(), credit.currency_code.as_str()), (usable, due, "USD"));
    }
}

#[tokio::test]
async fn an_overpaid_account_pays_its_month_first_and_the_limit_is_whole_again() {
    let mut service = service().await;
    service.open(PaymentMode::Postpaid, "2400", "424").await;
    let credit = service.debit(debit("d1", "500")).await.credit.unwrap();
    assert_eq!((credit.usable.as_str(), credit.unbilled.as_str()), ("2324.00", "500.00"));
    service.clock.set(service.clock.now() + 20 * DAY);
    let credit = service.credit().await;
    assert_eq!((credit.usable.as_str(), credit.amount_due.as_str()), ("2400.00", "76.00"));
}

#[tokio::test]
async fn a_reservation_is_settled_by_a_debit_and_returns_the_rest() {
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "0", "100").await;
    let response = service.authorize(authorize("a1", "30")).await;
    assert_eq!(response.credit.clone().unwrap().usable, "70.00");
    let reservation = granted(response);
    assert_eq!((reservation.reservation_id.as_str(), reservation.final_unit), ("a1", false));
    let response = service.debit(v1::DebitRequest { reservation_id: "a1".into(), ..debit("d1", "12.5") }).await;
    let credit = response.credit.clone().unwrap();
    assert_eq!((credit.reserved.as_str(), credit.usable.as_str()), ("0.00", "87.50"));
    assert!(charged(response).reservation.is_none());
    let error = service.charging.release(release("x1", "a1")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::FailedPrecondition, "RESERVATION_SETTLED".into()));
    assert_eq!(error.get_details_precondition_failure().unwrap().violations[0].r#type, "RESERVATION_SETTLED");
}

#[tokio::test]
async fn a_report_and_reserve_replaces_the_reservation_and_stands_even_if_the_new_amount_is_declined() {
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "0", "100").await;
    service.authorize(authorize("a1", "60")).await;
    let report = |id: &str, amount: &str, next: &str| v1::DebitRequest {
        reservation_id: "a1".into(),
        remainder: Some(v1::debit_request::Remainder::Reserve(Box::new(v1::Reserve { amount: money(next), ..Default::default() }))),
        ..debit(id, amount)
    };
    let first = charged(service.debit(report("d1", "50", "40")).await);
    assert_eq!(text(first.reservation.unwrap().amount), "40.00");
    let response = service.debit(report("d2", "40", "20")).await;
    assert_eq!(response.credit.clone().unwrap().balance, "10.00");
    let second = charged(response);
    let Some(v1::charged::ReserveRefused::ReserveDeclined(decline)) = second.reserve_refused else { panic!("not declined") };
    assert_eq!((text(decline.usable), text(decline.shortfall)), ("10.00".into(), "10.00".into()));
    assert!(second.reservation.is_none());
}

#[tokio::test]
async fn too_little_credit_is_an_outcome_and_less_may_be_taken_as_the_final_unit() {
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "0", "10").await;
    let response = service.debit(debit("d1", "10.01")).await;
    let Some(v1::debit_response::Outcome::Declined(decline)) = response.outcome else { panic!("charged") };
    assert_eq!(decline.reason(), DeclineReason::InsufficientCredit);
    assert_eq!((text(decline.usable), text(decline.shortfall)), ("10.00".into(), "0.01".into()));
    let reserve = v1::Reserve { amount: money("25"), minimum: money("5"), ..Default::default() };
    let response = service.authorize(v1::AuthorizeRequest { reserve: Some(reserve), ..authorize("a1", "25") }).await;
    let reservation = granted(response);
    assert_eq!((text(reservation.amount), reservation.final_unit), ("10.00".into(), true));
    let consumed = v1::DebitRequest { excess_policy: v1::ExcessPolicy::AlreadyConsumed.into(), ..debit("d2", "3") };
    assert_eq!(text(charged(service.debit(consumed).await).overdraft), "3.00");
}

#[tokio::test]
async fn a_repetition_is_answered_again_and_a_reuse_is_aborted() {
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "0", "100").await;
    assert!(!service.debit(debit("d1", "10")).await.replayed);
    let again = service.debit(debit("d1", "10.00")).await;
    assert!(again.replayed);
    assert_eq!(again.credit.unwrap().balance, "90.00");
    let error = service.charging.debit(debit("d1", "11")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::FailedPrecondition, "REQUEST_ID_REUSED".into()));
    assert_eq!(error.get_details_error_info().unwrap().metadata["request_id"], "d1");
    let once = service.charging.refund(refund("u1", "d1")).await.unwrap().into_inner();
    let twice = service.charging.refund(refund("u1", "d1")).await.unwrap().into_inner();
    assert_eq!((text(once.refunded), once.replayed), ("10.00".into(), false));
    assert_eq!((text(twice.refunded), twice.replayed), ("10.00".into(), true));
    assert_eq!(twice.credit.unwrap().balance, "100.00");
    let error = service.charging.refund(refund("u2", "d1")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::FailedPrecondition, "EXCEEDS_ORIGINAL".into()));
}

#[tokio::test]
async fn errors_say_what_is_missing_and_which_fields_are_wrong() {
    let mut service = service().await;
    let error = service.charging.debit(debit("d1", "1")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::NotFound, "ACCOUNT_NOT_FOUND".into()));
    assert_eq!(error.get_details_resource_info().unwrap().resource_name, "acme");
    let error = service.charging.refund(refund("u1", "d1")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::NotFound, "ACCOUNT_NOT_FOUND".into()));
    service.open(PaymentMode::Prepaid, "0", "10").await;
    let error = service.accounts.create_account(account("acme", PaymentMode::Postpaid, "1")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::FailedPrecondition, "REQUEST_ID_REUSED".into()));
    let other = v1::CreateAccountRequest { request_id: "another".into(), ..account("acme", PaymentMode::Prepaid, "1") };
    let error = service.accounts.create_account(other).await.unwrap_err();
    assert_eq!(reason(&error), (Code::AlreadyExists, "ACCOUNT_EXISTS".into()));
    let error = service.charging.refund(refund("u1", "d1")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::NotFound, "CHARGE_NOT_FOUND".into()));
    let error = service.charging.release(release("x1", "a1")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::NotFound, "RESERVATION_NOT_FOUND".into()));
    let error = service.charging.debit(debit("d1", "99999999999")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::InvalidArgument, "AMOUNT_OUT_OF_RANGE".into()));
    assert_eq!(field(&error), "amount.amount");
    let euros = Some(v1::Money { amount: "1".into(), currency_code: "EUR".into() });
    let error = service.charging.debit(v1::DebitRequest { amount: euros, ..debit("d1", "1") }).await.unwrap_err();
    assert_eq!(reason(&error), (Code::FailedPrecondition, "CURRENCY_MISMATCH".into()));
    let error = service.charging.debit(v1::DebitRequest::default()).await.unwrap_err();
    assert_eq!(reason(&error), (Code::InvalidArgument, "INVALID_REQUEST".into()));
    let fields: Vec<_> = error.get_details_bad_request().unwrap().field_violations.into_iter().map(|violation| violation.field).collect();
    assert_eq!(fields, ["amount", "account_id", "request_id"]);
}

#[tokio::test]
async fn an_amount_finer_than_the_account_is_refused_by_its_field() {
    let mut service = service().await;
    let cents = v1::CreateAccountRequest { decimals: Some(2), ..account("acme", PaymentMode::Prepaid, "10") };
    service.accounts.create_account(cents).await.unwrap();
    let error = service.charging.authorize(authorize("a1", "0.001")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::InvalidArgument, "TOO_MANY_DECIMALS".into()));
    assert_eq!(field(&error), "reserve.amount.amount");
}

#[tokio::test]
async fn a_conversion_to_postpaid_keeps_the_wallet_and_advises_on_time_and_limit() {
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "0", "0").await;
    let error = service.charging.convert(convert("c0", PaymentMode::Postpaid)).await.unwrap_err();
    assert_eq!(reason(&error), (Code::FailedPrecondition, "WOULD_BE_UNUSABLE".into()));
    let response = service.convert(v1::ConvertRequest { allow_unusable: true, ..convert("c1", PaymentMode::Postpaid) }).await;
    assert_eq!(topics(&response), [AdviceTopic::LowLimit, AdviceTopic::Timing]);
    assert!(response.converted && response.advice[1].text.contains("first week"));
    let same = service.convert(convert("c2", PaymentMode::Postpaid)).await;
    assert!(!same.converted && same.advice.is_empty());
}

#[tokio::test]
async fn a_conversion_to_prepaid_bills_at_once_and_advises_on_debt_and_limit() {
    let mut service = service().await;
    service.open(PaymentMode::Postpaid, "100", "0").await;
    service.authorize(authorize("a1", "10")).await;
    service.debit(debit("d1", "40")).await;
    let before = service.credit().await;
    let response = service.convert(convert("c1", PaymentMode::Prepaid)).await;
    let after = response.credit.clone().unwrap();
    assert_eq!((before.current_balance, before.reserved), (after.current_balance.clone(), after.reserved.clone()));
    assert_eq!((after.balance.as_str(), after.unbilled.as_str(), after.usable.as_str()), ("-40.00", "0.00", "50.00"));
    assert_eq!((text(response.usable_before.clone()), text(response.usable_after.clone())), ("50.00".into(), "50.00".into()));
    assert_eq!(topics(&response), [AdviceTopic::AmountDue, AdviceTopic::FinalBill, AdviceTopic::RemoveLimit, AdviceTopic::RenewedLimit]);
    assert!(response.advice[0].text.contains("40.00 USD"));
    let back = service.convert(v1::ConvertRequest { credit_limit: permanent("500"), ..convert("c2", PaymentMode::Postpaid) }).await;
    assert_eq!(topics(&back), [AdviceTopic::Timing]);
    assert_eq!(back.credit.unwrap().usable, "490.00");
}

#[tokio::test]
async fn an_operator_moves_money_and_lets_an_account_rest() {
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "50", "0").await;
    let ids = |id: &str| ("acme".to_owned(), id.to_owned());
    let (account_id, request_id) = ids("p1");
    let request = v1::TopUpRequest { account_id, request_id, amount: money("20"), ..Default::default() };
    assert_eq!(service.accounts.top_up(request).await.unwrap().into_inner().credit.unwrap().balance, "20.00");
    let (account_id, request_id) = ids("w1");
    let request = v1::WithdrawRequest { account_id, request_id, amount: money("25"), operator: operator(), first_sent_at: None };
    let outcome = service.accounts.withdraw(request).await.unwrap().into_inner().outcome;
    let Some(v1::withdraw_response::Outcome::Declined(decline)) = outcome else { panic!("withdrawn") };
    assert_eq!(decline.reason(), DeclineReason::InsufficientFunds);
    assert_eq!((text(decline.usable), text(decline.shortfall)), ("20.00".into(), "5.00".into()));
    let payment = |payment_id: &str| {
        let (account_id, request_id) = ids("v1");
        v1::ReversePaymentRequest {
            account_id,
            request_id,
            payment_id: payment_id.into(),
            amount: None,
            operator: operator(),
            first_sent_at: None,
        }
    };
    let error = service.accounts.reverse_payment(payment("opening")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::NotFound, "PAYMENT_NOT_FOUND".into()));
    let reversed = service.accounts.reverse_payment(payment("p1")).await.unwrap().into_inner();
    assert_eq!((text(reversed.reversed), reversed.credit.unwrap().balance), ("20.00".into(), "0.00".into()));
    let (account_id, request_id) = ids("s1");
    let request = v1::SuspendAccountRequest { account_id, request_id, operator: operator(), first_sent_at: None };
    assert!(service.accounts.suspend_account(request).await.unwrap().into_inner().changed);
    let error = service.charging.debit(debit("d1", "1")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::FailedPrecondition, "ACCOUNT_SUSPENDED".into()));
    let (account_id, request_id) = ids("s2");
    let request = v1::ResumeAccountRequest { account_id, request_id, operator: operator(), first_sent_at: None };
    assert!(service.accounts.resume_account(request).await.unwrap().into_inner().changed);
    let (account_id, request_id) = ids("n1");
    let request = v1::UpdateAccountRequest { account_id, request_id, name: Some("Acme".into()), ..Default::default() };
    assert_eq!(service.accounts.update_account(request).await.unwrap().into_inner().account.unwrap().name, "Acme");
    let request = v1::GetAccountRequest { account_id: "acme".into() };
    let found = service.accounts.get_account(request).await.unwrap().into_inner().account.unwrap();
    assert_eq!((found.name.as_str(), text(found.permanent_limit)), ("Acme", "50.00".into()));
    let (account_id, request_id) = ids("x1");
    let request = v1::CloseAccountRequest { account_id, request_id, operator: operator(), first_sent_at: None };
    let credit = service.accounts.close_account(request).await.unwrap().into_inner().credit.unwrap();
    assert_eq!(credit.status(), v1::AccountStatus::Closed);
}

#[tokio::test]
async fn a_temporary_limit_counts_until_its_last_instant() {
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "50", "0").await;
    let limit = v1::TemporaryCreditLimit { limit: money("80"), end: Some(v1::temporary_credit_limit::End::Days(3)) };
    let temporary = Some(v1::credit_limit_change::Temporary::SetTemporary(limit));
    let request = v1::SetCreditLimitRequest {
        account_id: "acme".into(),
        request_id: "l1".into(),
        credit_limit: Some(v1::CreditLimitChange { permanent: None, temporary }),
        allow_unusable: false,
        operator: operator(),
        first_sent_at: None,
    };
    let credit = service.accounts.set_credit_limit(request).await.unwrap().into_inner().credit.unwrap();
    assert_eq!((credit.credit_limit.as_str(), credit.credit_limit_expires_at.is_some()), ("80.00", true));
    service.clock.set(service.clock.now() + 3 * DAY);
    let credit = service.credit().await;
    assert_eq!((credit.credit_limit.as_str(), credit.credit_limit_expires_at.is_some()), ("50.00", false));
}

#[tokio::test]
async fn accounts_come_in_pages_and_a_token_belongs_to_its_query() {
    let mut service = service().await;
    for index in 0..5 {
        service.accounts.create_account(account(&format!("c{index}"), PaymentMode::Prepaid, "10")).await.unwrap();
    }
    let mut request = v1::ListAccountsRequest { name_prefix: "CUSTOMER".into(), page_size: 2, ..Default::default() };
    let mut ids = Vec::new();
    let mut last_token = String::new();
    loop {
        let page = service.accounts.list_accounts(request.clone()).await.unwrap().into_inner();
        ids.extend(page.accounts.into_iter().map(|account| account.account_id));
        if page.next_page_token.is_empty() {
            break;
        }
        last_token.clone_from(&page.next_page_token);
        request.page_token = page.next_page_token;
    }
    assert_eq!(ids, ["c0", "c1", "c2", "c3", "c4"]);
    let other = v1::ListAccountsRequest { mode: PaymentMode::Postpaid.into(), page_token: last_token, ..request };
    assert_eq!(field(&service.accounts.list_accounts(other).await.unwrap_err()), "page_token");
}

#[tokio::test]
async fn reservations_and_entries_of_an_account_are_listed() {
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "0", "100").await;
    for index in 0..3 {
        service.authorize(authorize(&format!("a{index}"), "1")).await;
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListReservationsRequest { account_id: "acme".into(), page_size: 2, page_token };
        let page = service.accounts.list_reservations(request).await.unwrap().into_inner();
        names.extend(page.reservations.into_iter().map(|reservation| reservation.reservation_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    names.sort();
    assert_eq!(names, ["a0", "a1", "a2"]);
    let usage = v1::Usage { item: "sms".into(), attributes: [("k".to_owned(), "v".to_owned())].into(), ..Default::default() };
    service.debit(v1::DebitRequest { usage: Some(usage), ..debit("d1", "7") }).await;
    let request = v1::ListEntriesRequest { account_id: "acme".into(), page_size: 1, ..Default::default() };
    let page = service.accounts.list_entries(request).await.unwrap().into_inner();
    let entry = page.entries.first().unwrap();
    assert_eq!((entry.kind(), entry.request_id.as_str()), (v1::EntryKind::ChargedBalance, "d1"));
    assert_eq!((text(entry.balance_before.clone()), text(entry.balance_after.clone())), ("100.00".into(), "93.00".into()));
    assert_eq!(entry.usage.as_ref().unwrap().attributes["k"], "v");
    assert!(entry.entry_id.starts_with("0-") && !page.next_page_token.is_empty());
}

fn command(command: v1::charge_command::Command) -> v1::ChargeCommand {
    v1::ChargeCommand { command: Some(command) }
}

#[tokio::test]
async fn a_stream_keeps_its_order_and_a_refund_sees_the_charge_before_it() {
    use v1::charge_command::Command;
    use v1::charge_outcome::Outcome;
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "0", "10").await;
    let batches = vec![
        v1::ChargeRequest { commands: vec![command(Command::Debit(debit("d1", "10"))), command(Command::Debit(debit("d2", "1")))] },
        v1::ChargeRequest {
            commands: vec![
                command(Command::Refund(refund("u1", "d1"))),
                command(Command::Debit(debit("d3", "-1"))),
                command(Command::Debit(debit("d4", "4"))),
                command(Command::Refund(v1::RefundRequest { amount: money("1.5"), ..refund("u2", "d4") })),
                v1::ChargeCommand::default(),
                command(Command::GetUsableCredit(v1::GetUsableCreditRequest { account_id: "acme".into() })),
            ],
        },
    ];
    let mut answers = service.charging.charge(tokio_stream::iter(batches)).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap().outcomes;
    let second = answers.message().await.unwrap().unwrap().outcomes;
    assert!(answers.message().await.unwrap().is_none());
    let outcomes: Vec<_> = first.into_iter().chain(second).map(|outcome| outcome.outcome.unwrap()).collect();
    let [
        Outcome::Debit(full),
        Outcome::Debit(declined),
        Outcome::Refund(refunded),
        Outcome::Error(bad),
        Outcome::Debit(_),
        Outcome::Refund(partly),
        Outcome::Error(empty),
        Outcome::GetUsableCredit(credit),
    ] = outcomes.as_slice()
    else {
        panic!("other outcomes: {outcomes:?}")
    };
    assert_eq!(full.credit.as_ref().unwrap().balance, "0.00");
    assert!(matches!(declined.outcome, Some(v1::debit_response::Outcome::Declined(_))));
    assert_eq!((text(refunded.refunded.clone()), text(partly.refunded.clone())), ("10.00".into(), "1.50".into()));
    assert_eq!(bad.get_details_bad_request().unwrap().field_violations[0].field, "commands[1].debit.amount.amount");
    assert_eq!(empty.get_details_bad_request().unwrap().field_violations[0].field, "commands[4].command");
    assert_eq!(credit.credit.as_ref().unwrap().usable, "7.50");
}

#[tokio::test]
async fn many_batches_on_one_account_are_decided_in_the_order_of_the_stream() {
    use v1::charge_command::Command;
    let mut service = service().await;
    service.open(PaymentMode::Prepaid, "0", "1000").await;
    let batch = |number: usize| v1::ChargeRequest {
        commands: (0..10).map(|index| command(Command::Debit(debit(&format!("d{number}-{index}"), "1")))).collect(),
    };
    let mut answers = service.charging.charge(tokio_stream::iter((0..50).map(batch))).await.unwrap().into_inner();
    let mut balances = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        for outcome in answer.outcomes {
            let Some(v1::charge_outcome::Outcome::Debit(debit)) = outcome.outcome else { panic!("not a debit") };
            balances.push(debit.credit.unwrap().balance);
        }
    }
    let expected: Vec<_> = (500..1000).rev().map(|left| format!("{left}.00")).collect();
    assert_eq!(balances, expected);
}

#[tokio::test]
async fn a_stream_ends_with_a_batch_that_is_empty_or_too_large() {
    let mut service = service().await;
    let mut answers = service.charging.charge(tokio_stream::iter([v1::ChargeRequest::default()])).await.unwrap().into_inner();
    assert_eq!(reason(&answers.message().await.unwrap_err()), (Code::InvalidArgument, "INVALID_REQUEST".into()));
    let large = v1::ChargeRequest { commands: vec![v1::ChargeCommand::default(); 513] };
    let mut answers = service.charging.charge(tokio_stream::iter([large])).await.unwrap().into_inner();
    assert_eq!(reason(&answers.message().await.unwrap_err()), (Code::ResourceExhausted, "BATCH_TOO_LARGE".into()));
}

#[tokio::test]
async fn a_watcher_hears_of_changes_and_of_the_threshold() {
    let mut service = service().await;
    let request = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let error = service.charging.watch_usable_credit(request.clone()).await.unwrap_err();
    assert_eq!(reason(&error), (Code::NotFound, "ACCOUNT_NOT_FOUND".into()));
    let account = v1::CreateAccountRequest { low_credit_threshold: money("20"), ..account("acme", PaymentMode::Prepaid, "100") };
    service.accounts.create_account(account).await.unwrap();
    let mut watch = service.charging.watch_usable_credit(request).await.unwrap().into_inner();
    let message = watch.message().await.unwrap().unwrap();
    assert_eq!((message.credit.clone().unwrap().usable.as_str(), message.is_low), ("100.00", false));
    service.debit(debit("d1", "80.01")).await;
    let message = watch.message().await.unwrap().unwrap();
    assert_eq!((message.crossing(), message.is_low), (ThresholdCrossing::FellBelow, true));
    service.charging.refund(refund("u1", "d1")).await.unwrap();
    let message = watch.message().await.unwrap().unwrap();
    assert_eq!((message.crossing(), message.is_low), (ThresholdCrossing::RoseAbove, false));
}

#[tokio::test]
async fn over_its_bounds_the_service_says_so_at_once() {
    let limits = Limits { max_concurrent_requests: 0, max_watches: 0, max_streams: 0 };
    let mut service = service_within(limits, 1000).await;
    let error = service.charging.debit(debit("d1", "1")).await.unwrap_err();
    assert_eq!(reason(&error), (Code::ResourceExhausted, "OVERLOADED".into()));
    assert!(error.get_details_retry_info().unwrap().retry_delay.is_some());
    let usage = v1::Usage { description: "x".repeat(2000), ..Default::default() };
    let error = service.charging.debit(v1::DebitRequest { usage: Some(usage), ..debit("d1", "1") }).await.unwrap_err();
    assert_eq!(reason(&error), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".into()));
    let error = service.charging.charge(tokio_stream::iter([v1::ChargeRequest::default()])).await.unwrap_err();
    assert_eq!(reason(&error), (Code::ResourceExhausted, "OVERLOADED".into()));
}

#[tokio::test]
async fn health_is_not_serving_until_it_is_said() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    let service = service().await;
    let mut client = HealthClient::new(service.channel.clone());
    // Nothing has been said before the first round.
    for is_serving in [false, true, false] {
        for name in ["", "tollgate.v1.ChargingService", "tollgate.v1.AccountService"] {
            let response = client.check(HealthCheckRequest { service: name.into() }).await.unwrap().into_inner();
            assert_eq!(response.status() == ServingStatus::Serving, is_serving, "{name}");
        }
        service.health.set_serving(!is_serving).await;
    }
}

#[tokio::test]
async fn reflection_names_the_services() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let service = service().await;
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
    let mut client = ServerReflectionClient::new(service.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("another answer") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["tollgate.v1.ChargingService", "tollgate.v1.AccountService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
}
