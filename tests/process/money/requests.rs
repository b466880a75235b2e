//! What a request is, whoever repeats it, and when it is too old or too young; which amounts it may have.

use tollgate::grpc::v1::{self, PaymentMode};
use tonic::Code;
use tonic_types::StatusExt;

use super::{adjustment, by, debtor, from_now, operator, reason, stages};
use crate::service::{debit, money};

#[tokio::test]
async fn a_repetition_may_come_from_another_pod_and_for_another_reason() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        client.open("acme", PaymentMode::Prepaid, "0", "0").await;
        let top_up = |amount: &str, operator| {
            let (account_id, request_id) = ("acme".into(), "t1".into());
            v1::TopUpRequest { account_id, request_id, amount: money(amount), operator, ..Default::default() }
        };
        client.accounts.top_up(top_up("10", by("pod-1", "paid by card"))).await.unwrap();
        for operator in [by("pod-2", "paid by card"), by("pod-1", "repeated"), None] {
            let repeated = client.accounts.top_up(top_up("10", operator)).await;
            assert_eq!(reason(&repeated), "accepted", "{}", stage.engine);
            assert!(repeated.unwrap().into_inner().replayed, "{}", stage.engine);
        }
        assert_eq!(client.credit("acme").await.balance, "10.00", "{}", stage.engine);
        let another = client.accounts.top_up(top_up("10.01", by("pod-1", "paid by card"))).await;
        assert_eq!(reason(&another), "REQUEST_ID_REUSED", "{}", stage.engine);
        // Nor does it matter why a charge is given back.
        client.charging.debit(debit("acme", "d1", "4")).await.unwrap();
        let refund = |reason: &str| {
            let (account_id, request_id, charge_id, reason) = ("acme".into(), "r1".into(), "d1".into(), reason.into());
            v1::RefundRequest { account_id, request_id, charge_id, reason, ..Default::default() }
        };
        client.charging.refund(refund("not delivered")).await.unwrap();
        assert_eq!(reason(&client.charging.refund(refund("late")).await), "accepted", "{}", stage.engine);
    }
}

#[tokio::test]
#[allow(clippy::needless_update, reason = "some requests have no other fields")]
async fn every_mutation_of_an_account_is_refused_when_it_comes_too_late_or_from_the_future() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        client.open("acme", PaymentMode::Prepaid, "10", "10").await;
        // The window is a day; clocks may differ by five seconds.
        for (seconds, expected) in [(-90_000, "REQUEST_TOO_OLD"), (60, "SENT_IN_FUTURE")] {
            let first_sent_at = from_now(seconds);
            let (account_id, request_id) = (String::from("acme"), format!("late{seconds}"));
            let ids = || (account_id.clone(), request_id.clone());
            let mut reasons = Vec::new();
            macro_rules! ask {
                ($service:ident, $method:ident, $request:ident { $($field:ident: $value:expr),* }) => {{
                    let (account_id, request_id) = ids();
                    let request = v1::$request { account_id, request_id, first_sent_at, $($field: $value,)* ..Default::default() };
                    reasons.push((stringify!($method), reason(&client.$service.$method(request).await)));
                }};
            }
            ask!(accounts, create_account, CreateAccountRequest { name: "A".into(), currency_code: "EUR".into(), mode: 1 });
            ask!(accounts, update_account, UpdateAccountRequest { name: Some("B".into()) });
            ask!(accounts, top_up, TopUpRequest { amount: money("1") });
            ask!(accounts, reverse_payment, ReversePaymentRequest { payment_id: "top-up".into(), operator: operator() });
            ask!(accounts, withdraw, WithdrawRequest { amount: money("1"), operator: operator() });
            ask!(accounts, adjust_balance, AdjustBalanceRequest { amount: money("-1"), operator: operator() });
            let limit = Some(v1::CreditLimitChange { permanent: money("5"), temporary: None });
            ask!(accounts, set_credit_limit, SetCreditLimitRequest { credit_limit: limit, operator: operator() });
            ask!(accounts, suspend_account, SuspendAccountRequest { operator: operator() });
            ask!(accounts, resume_account, ResumeAccountRequest { operator: operator() });
            ask!(accounts, close_account, CloseAccountRequest { operator: operator() });
            ask!(accounts, reopen_account, ReopenAccountRequest { operator: operator() });
            ask!(billing, record_payment, RecordPaymentRequest { amount: money("1") });
            ask!(billing, write_off, WriteOffRequest { amount: money("1"), operator: operator() });
            ask!(charging, debit, DebitRequest { amount: money("1") });
            ask!(charging, convert, ConvertRequest { mode: 2, allow_unusable: true });
            for (method, reason) in &reasons {
                assert_eq!(reason, expected, "{}: {method}", stage.engine);
            }
            // A write-off to take back is looked for in vain first, on these accounts.
            let (account_id, request_id) = ids();
            let (write_off_id, operator) = ("w".into(), operator());
            let request =
                v1::ReverseWriteOffRequest { account_id, request_id, write_off_id, operator, first_sent_at, ..Default::default() };
            assert_ne!(reason(&client.billing.reverse_write_off(request).await), "accepted", "{}", stage.engine);
        }
        let (credit, entries) = (client.credit("acme").await, client.journal("acme").await);
        assert_eq!((credit.balance.as_str(), entries.len()), ("10.00", 2), "{}: nothing was done", stage.engine);
        // Four seconds ahead is a clock that differs.
        let request = v1::TopUpRequest { first_sent_at: from_now(3), amount: money("1"), ..top_up("t2") };
        assert_eq!(reason(&client.accounts.top_up(request).await), "accepted", "{}", stage.engine);
    }
}

fn top_up(request_id: &str) -> v1::TopUpRequest {
    v1::TopUpRequest { account_id: "acme".into(), request_id: request_id.into(), ..Default::default() }
}

#[tokio::test]
async fn what_is_paid_in_paid_out_or_given_up_is_in_minor_units() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        debtor(&mut client, "5").await;
        let (account_id, request_id) = (String::from("acme"), String::from("r1"));
        let ids = || (account_id.clone(), request_id.clone());
        let (id, request_id) = ids();
        let payment = v1::RecordPaymentRequest { account_id: id, request_id, amount: money("1.001"), ..Default::default() };
        let payment = client.billing.record_payment(payment).await;
        let (id, request_id) = ids();
        let withdrawal =
            v1::WithdrawRequest { account_id: id, request_id, amount: money("0.005"), operator: operator(), first_sent_at: None };
        let withdrawal = client.accounts.withdraw(withdrawal).await;
        let (id, request_id) = ids();
        let write_off =
            v1::WriteOffRequest { account_id: id, request_id, amount: money("4.9999"), operator: operator(), first_sent_at: None };
        let write_off = client.billing.write_off(write_off).await;
        let reasons = [reason(&payment), reason(&withdrawal), reason(&write_off)];
        assert_eq!(reasons, ["NOT_IN_MINOR_UNITS"; 3], "{}", stage.engine);
        for status in [payment.unwrap_err(), withdrawal.unwrap_err(), write_off.unwrap_err()] {
            let violations = status.get_details_bad_request().unwrap().field_violations;
            assert_eq!((status.code(), violations.len()), (Code::InvalidArgument, 1), "{}", stage.engine);
            assert_eq!(violations[0].field, "amount.amount", "{}", stage.engine);
            assert!(violations[0].description.contains("0.01 EUR"), "{}: {violations:?}", stage.engine);
        }
        assert_eq!(client.credit("acme").await.balance, "-5.00", "{}", stage.engine);
        // Top-ups and corrections may be finer.
        client.accounts.top_up(v1::TopUpRequest { amount: money("1.001"), ..top_up("t1") }).await.unwrap();
        client.accounts.adjust_balance(adjustment("a1", "0.000001")).await.unwrap();
        assert_eq!(client.credit("acme").await.balance, "-3.998999", "{}", stage.engine);
    }
}

#[tokio::test]
async fn the_least_number_is_out_of_range_like_any_other() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        client.open("acme", PaymentMode::Prepaid, "0", "10").await;
        for (number, amount) in ["-9223372036854775808", "9223372036854775807", "-2251799813685249"].into_iter().enumerate() {
            let answer = client.accounts.adjust_balance(adjustment(&format!("a{number}"), amount)).await;
            let status = answer.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{}: {amount}: {status:?}", stage.engine);
            let violations = status.get_details_bad_request().unwrap().field_violations;
            assert_eq!(violations[0].field, "amount.amount", "{}: {amount}", stage.engine);
            assert!(violations[0].description.contains("2^51"), "{}: {amount}: {violations:?}", stage.engine);
        }
        assert_eq!(client.credit("acme").await.balance, "10.00", "{}", stage.engine);
    }
}
