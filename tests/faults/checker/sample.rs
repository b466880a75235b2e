//! A run in which nothing went wrong, made by hand: what the checker must accept, and what faults are planted in.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::evidence::{AccountAtEnd, Answer, Ask, Attempt, Debit, Document, Entry, Evidence, Kind, MailEnd, Outcome, Then, What};
use super::model::Model;

pub fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Does what it is asked, one thing after another.
#[derive(Default)]
pub struct Honest {
    pub evidence: Evidence,
    models: BTreeMap<String, Model>,
    account_sequences: BTreeMap<String, u64>,
    bills: BTreeMap<String, u32>,
    sequence: u64,
    now: u64,
}

impl Honest {
    /// Asks for something that has an outcome, and writes an entry for each kind and amount.
    pub fn ask(&mut self, account: &str, request: &str, what: What, outcome: Outcome, writes: &[(Kind, &str)]) {
        self.now += 1_000;
        let ask = Ask { account: account.into(), request: request.into(), what, attempts: Vec::new() };
        for (kind, amount) in writes {
            self.write(&ask, *kind, decimal(amount));
        }
        let credit = self.models.get(account).map(Model::credit);
        let answer = Answer::Done { replayed: false, outcome, credit };
        let attempt = Attempt { sent: self.now, told: self.now + 500, answer };
        self.evidence.asks.push(Ask { attempts: vec![attempt], ..ask });
    }

    fn write(&mut self, ask: &Ask, kind: Kind, amount: Decimal) {
        self.sequence += 1;
        let model = self.models.entry(ask.account.clone()).or_default();
        let bill = self.bills.entry(ask.account.clone()).or_insert(1);
        let is_of_account = !matches!(kind, Kind::Created | Kind::Reserved | Kind::ReservationExtended | Kind::Released | Kind::LimitSet);
        let number = self.account_sequences.entry(ask.account.clone()).or_default();
        *number += u64::from(is_of_account);
        let refers_to = match &ask.what {
            What::Debit(Debit { against: Some(name), .. }) | What::Release { reservation: name } | What::Refund { charge: name, .. } => {
                name.clone()
            }
            _ => String::new(),
        };
        let is_refund = matches!(kind, Kind::RefundedBalance | Kind::RefundedUnbilled);
        let mut entry = Entry {
            partition: 0,
            sequence: self.sequence,
            kind,
            request: ask.request.clone(),
            account_sequence: if is_of_account { *number } else { 0 },
            at: (self.now / 1_000) as i64,
            bill: *bill,
            amount,
            balance: [model.balance; 2],
            unbilled: [model.unbilled; 2],
            reserved_after: Decimal::ZERO,
            refers_to,
            taken_off: is_refund.then_some(amount),
        };
        model.pass_to(entry.at);
        model.apply(&entry, Some(ask));
        entry.balance[1] = model.balance;
        entry.unbilled[1] = model.unbilled;
        entry.reserved_after = model.reserved();
        *bill += u32::from(kind.is_cut());
        self.evidence.journal.entry(ask.account.clone()).or_default().push(entry);
    }

    /// Sends the last request again.
    pub fn repeat(&mut self) {
        self.now += 1_000;
        let last = self.evidence.asks.last_mut().unwrap();
        let mut attempt = last.attempts.first().unwrap().clone();
        (attempt.sent, attempt.told) = (self.now, self.now + 500);
        if let Answer::Done { replayed, .. } = &mut attempt.answer {
            *replayed = true;
        }
        last.attempts.push(attempt);
    }

    /// All that is to be found when it is over.
    pub fn end(mut self) -> Evidence {
        let usage = |kind: Kind| kind.is_charge() || matches!(kind, Kind::RefundedBalance | Kind::RefundedUnbilled);
        let id = |entry: &Entry| format!("{}-{}", entry.partition, entry.sequence);
        for (account, model) in &self.models {
            let reservations = model.reservations.iter().map(|(name, (left, _))| (name.clone(), *left)).collect();
            let end = AccountAtEnd { credit: model.credit(), read_at: (self.now / 1_000) as i64, reservations };
            self.evidence.accounts.insert(account.clone(), end);
        }
        for (account, entries) in &self.evidence.journal {
            self.evidence.exported.extend(entries.iter().filter(|entry| usage(entry.kind)).map(id));
            for cut in entries.iter().filter(|entry| entry.kind.is_cut()) {
                let charges: Vec<_> = entries.iter().filter(|entry| entry.kind.is_charge() && entry.bill == cut.bill).collect();
                let number = format!("INV-{:06}", self.evidence.documents.len() + 1);
                self.evidence.mails.insert(number.clone(), (MailEnd::Sent, 1));
                self.evidence.documents.push(Document {
                    number,
                    account: account.clone(),
                    bill: cut.bill,
                    is_credit_note: false,
                    records: charges.iter().map(|entry| id(entry)).collect(),
                    lines: (charges.len() as u64, charges.iter().map(|entry| entry.amount).sum()),
                });
            }
        }
        self.evidence
    }
}

pub fn debit(amount: &str, against: Option<&str>, then: Then) -> What {
    let against = against.map(str::to_owned);
    What::Debit(Debit { amount: decimal(amount), is_hardware: false, against, then, is_consumed: false })
}

/// What is done to two accounts, with a bit of everything.
pub fn honest() -> Honest {
    let mut run = Honest::default();
    let amount = |text: &str| Outcome::Amount(decimal(text));
    run.ask("acme", "create", What::Create { is_postpaid: false, limit: decimal("5") }, Outcome::Done, &[(Kind::Created, "5")]);
    run.ask("acme", "paid", What::TopUp(decimal("20")), Outcome::Done, &[(Kind::ToppedUp, "20")]);
    run.ask("mona", "create", What::Create { is_postpaid: true, limit: decimal("50") }, Outcome::Done, &[(Kind::Created, "50")]);
    run.ask("acme", "d1", debit("7.5", None, Then::Settle), amount("7.5"), &[(Kind::ChargedBalance, "7.5")]);
    run.ask("mona", "d1", debit("10", None, Then::Settle), amount("10"), &[(Kind::ChargedUnbilled, "10")]);
    let authorize = What::Authorize { amount: decimal("6"), minimum: None, lasts: 60_000 };
    run.ask("acme", "call", authorize, amount("6"), &[(Kind::Reserved, "6")]);
    run.ask("acme", "part", debit("2", Some("call"), Then::Keep), amount("2"), &[(Kind::ChargedBalance, "2")]);
    run.repeat();
    run.ask("acme", "much", debit("100", None, Then::Settle), Outcome::Declined { shortfall: decimal("88.5") }, &[]);
    run.ask("mona", "back", What::Refund { charge: "d1".into(), amount: None }, amount("10"), &[(Kind::RefundedUnbilled, "10")]);
    run.ask("mona", "d2", debit("4.25", None, Then::Settle), amount("4.25"), &[(Kind::ChargedUnbilled, "4.25")]);
    let cut = [(Kind::FinalBilled, "4.25"), (Kind::Converted, "0")];
    run.ask("mona", "to-prepaid", What::Convert { to_postpaid: false }, Outcome::Done, &cut);
    run.ask("acme", "d2", debit("1", None, Then::Settle), amount("1"), &[(Kind::ChargedBalance, "1")]);
    run.ask("acme", "look", What::Look, Outcome::Done, &[]);
    run
}
