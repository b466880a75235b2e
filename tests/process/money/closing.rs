//! The end of an account, and how it is undone.

use tollgate::grpc::v1::{self, EntryKind, PaymentMode};

use super::{adjustment, operator, reason, stages};
use crate::command::Operator;
use crate::service::{debit, money};

fn close(request_id: &str) -> v1::CloseAccountRequest {
    v1::CloseAccountRequest { account_id: "acme".into(), request_id: request_id.into(), operator: operator(), first_sent_at: None }
}

fn reopen(request_id: &str) -> v1::ReopenAccountRequest {
    v1::ReopenAccountRequest { account_id: "acme".into(), request_id: request_id.into(), operator: operator(), first_sent_at: None }
}

#[tokio::test]
async fn closing_rounds_off_what_is_less_than_a_minor_unit_by_an_entry() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        client.open("acme", PaymentMode::Prepaid, "0", "100").await;
        client.charging.debit(debit("acme", "d1", "13.89852")).await.unwrap();
        let (account_id, request_id) = ("acme".into(), "w1".into());
        let withdrawal = v1::WithdrawRequest { account_id, request_id, amount: money("86.09"), operator: operator(), first_sent_at: None };
        client.accounts.withdraw(withdrawal).await.unwrap();
        // A cent, and a part of one.
        assert_eq!(reason(&client.accounts.close_account(close("c1")).await), "ACCOUNT_NOT_EMPTY", "{}", stage.engine);
        client.accounts.adjust_balance(adjustment("a1", "-0.01")).await.unwrap();
        assert_eq!(client.credit("acme").await.balance, "0.00148", "{}", stage.engine);
        assert_eq!(reason(&client.accounts.close_account(close("c2")).await), "accepted", "{}", stage.engine);
        let entries = client.journal("acme").await;
        let last = |place: usize| {
            let entry = &entries[entries.len() - place];
            (entry.kind(), entry.amount.clone().unwrap().amount, entry.balance_after.clone().unwrap().amount)
        };
        assert_eq!(last(2), (EntryKind::AmountDueRounded, "-0.00148".into(), "0.00".into()), "{}", stage.engine);
        assert_eq!(last(1), (EntryKind::Closed, "0.00".into(), "0.00".into()), "{}", stage.engine);
        assert!(client.accounts.close_account(close("c2")).await.unwrap().into_inner().replayed, "{}", stage.engine);
    }
}

#[tokio::test]
async fn a_closed_account_is_reopened_for_what_comes_late() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        client.open("acme", PaymentMode::Prepaid, "0", "10").await;
        assert_eq!(reason(&client.accounts.reopen_account(reopen("o1")).await), "ACCOUNT_NOT_CLOSED", "{}", stage.engine);
        client.charging.debit(debit("acme", "d1", "10")).await.unwrap();
        client.accounts.close_account(close("c1")).await.unwrap();
        let chargeback = v1::ReversePaymentRequest {
            account_id: "acme".into(),
            request_id: "b1".into(),
            payment_id: "top-up".into(),
            operator: operator(),
            ..Default::default()
        };
        assert_eq!(reason(&client.accounts.reverse_payment(chargeback.clone()).await), "ACCOUNT_CLOSED", "{}", stage.engine);
        let done = Operator::of(&stage.service).json("account reopen acme --reason chargeback");
        assert_eq!(done["credit"]["status"], "ACCOUNT_STATUS_ACTIVE", "{}", stage.engine);
        let reversed = client.accounts.reverse_payment(chargeback).await.unwrap().into_inner();
        assert_eq!(reversed.credit.unwrap().balance, "-10.00", "{}", stage.engine);
        let kinds: Vec<_> = client.journal("acme").await.iter().map(v1::Entry::kind).collect();
        assert_eq!(kinds[3..], [EntryKind::Closed, EntryKind::Reopened, EntryKind::PaymentReversed], "{}", stage.engine);
        assert_eq!(reason(&client.accounts.reopen_account(reopen("o2")).await), "ACCOUNT_NOT_CLOSED", "{}", stage.engine);
    }
}
