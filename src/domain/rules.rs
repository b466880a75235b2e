//! What happens: `(account, what the command touches, command, now) -> (answer, what to write)`.
//!
//! The order of checks is the same everywhere: replay or conflict, age, account, currency, amounts, state, reservation, credit, range.
//! A refusal or a decline changes no account; only an accepted command also writes the events that were due before it.
//!
//! [`charging`] holds what a transaction asks, [`wallet`] what an operator does.

mod amounts;
mod charging;
mod undo;
mod wallet;

use super::account::{Account, Millis, Mode, Profile, Reservation, Status};
use super::command::{Action, Command, Note};
use super::entry::{Entry, EntryKind, GivenBack, Settings};
use super::money::{Quote, round_half_up};
use super::outcome::{Answer, Decision, Outcome, Refusal, ReserveVerdict, Verdict};

use amounts::{both, plus, units};
pub use undo::{RefundKey, Refunded, originals_of, refund_keys};

/// How many reservations an account may have open.
pub const MAX_OPEN_RESERVATIONS: u32 = 10_000;

/// How far `first_sent_at` may be ahead of the ledger's time: clocks differ.
pub const MAX_SENT_AHEAD: Millis = 5_000;

/// A digest of what the caller asked for, to tell a repetition from a reuse of its request id.
pub type Fingerprint = [u8; 8];

/// When, and what the calendar says of it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time of the step.
    pub now: Millis,
    /// The end of the billing period that `now` lies in.
    pub period_end: Millis,
    /// How long request ids are remembered at least.
    pub window: Millis,
}

/// What a command touches, loaded before the step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Touched<'a> {
    /// The account.
    pub account: Option<Account>,
    /// Its profile; needed by an update only.
    pub profile: Option<&'a Profile>,
    /// What is remembered of the command's own request id.
    pub request: Option<&'a Remembered>,
    /// The open reservation that it names; of an Authorize: one that bears its own name.
    pub reservation: Option<&'a Reservation>,
    /// What is remembered of the command that it refers to.
    pub original: Option<&'a Remembered>,
    /// What is kept of what was given back of the entry that it refers to.
    pub given_back: Option<Refunded>,
    /// What is kept of what was refunded of the bill that the charge fell into which it refers to.
    pub of_bill: Option<Refunded>,
    /// Sums that were given back may have been dropped if their last entry has at most this sequence.
    pub refunds_dropped_until: u64,
    /// The number that the partition's next entry will have.
    pub next_sequence: u64,
}

/// What is kept of a request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What was sent.
    pub fingerprint: Fingerprint,
    /// What was decided.
    pub decision: Decision,
    /// How the reservation of that name ended, if it did other than by expiring.
    pub ended: Ended,
}

/// How a reservation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ended {
    /// It is open, or has expired, or there never was one.
    Not = 0,
    /// By a final debit.
    Settled = 1,
    /// By a release.
    Released = 2,
}

/// What a command leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the caller is told.
    pub answer: Answer,
    /// What is written. None: nothing at all.
    pub change: Option<Change>,
}

/// What an accepted or declined command writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The decision, to be remembered under the request id. None: the command has none.
    pub decision: Option<Decision>,
    /// The account after it; None: a decline, or nothing to change.
    pub account: Option<Account>,
    /// The profile after it, if that changed.
    pub profile: Option<Profile>,
    /// What becomes of the reservation.
    pub reservation: ReservationChange,
    /// What has been given back now, if that changed.
    pub refunds: Vec<(RefundKey, Refunded)>,
    /// What is recorded.
    pub entries: Vec<Entry>,
}

/// What becomes of the reservation that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReservationChange {
    /// It stays as it is.
    Keep,
    /// It is made, or changed.
    Put(Reservation),
    /// It ends.
    End(Ended),
}

/// Decides on a command.
#[must_use]
pub fn decide(touched: &Touched<'_>, command: &Command, fingerprint: &Fingerprint, moment: &Moment) -> Step {
    match try_decide(touched, command, fingerprint, moment) {
        Ok(step) => step,
        Err(refusal) => Step { answer: Err(refusal), change: None },
    }
}

fn try_decide(touched: &Touched<'_>, command: &Command, fingerprint: &Fingerprint, moment: &Moment) -> Result<Step, Refusal> {
    if let Some(remembered) = touched.request
        && command.action.has_request_id()
    {
        if remembered.fingerprint != *fingerprint {
            return Err(Refusal::RequestIdReused);
        }
        let desk = Desk::open(touched.account.ok_or(Refusal::AccountNotFound)?, touched, command, fingerprint, moment);
        return Ok(desk.tell(Some(remembered.decision), true));
    }
    if matches!(command.action, Action::Authorize(_)) && touched.reservation.is_some() {
        return Err(Refusal::RequestIdReused);
    }
    if command.first_sent_at.is_some_and(|sent| moment.now.saturating_sub(sent) > moment.window) {
        return Err(Refusal::RequestTooOld);
    }
    if command.first_sent_at.is_some_and(|sent| sent.saturating_sub(moment.now) > MAX_SENT_AHEAD) {
        return Err(Refusal::SentInFuture);
    }
    if let Action::Create(create) = &command.action {
        return if touched.account.is_some() {
            Err(Refusal::AccountExists)
        } else {
            wallet::create(create, touched, command, fingerprint, moment)
        };
    }
    let account = touched.account.ok_or(Refusal::AccountNotFound)?;
    if command.currency.is_some_and(|currency| currency != account.currency) {
        return Err(Refusal::CurrencyMismatch);
    }
    let desk = Desk::open(account, touched, command, fingerprint, moment);
    match &command.action {
        Action::Observe { .. } => Ok(desk.tell(None, false)),
        Action::Authorize(reserve) => charging::authorize(desk, reserve),
        Action::Debit(debit) => charging::debit(desk, debit),
        Action::Release { .. } => charging::release(desk),
        Action::Refund(undo) => undo::refund(desk, undo),
        Action::Convert { mode, limit, allow_unusable } => wallet::convert(desk, *mode, limit, *allow_unusable),
        Action::Update { .. } => wallet::update(desk),
        Action::TopUp { amount } => wallet::top_up(desk, *amount),
        Action::RecordPayment { amount, .. } => wallet::record_payment(desk, *amount),
        Action::ReversePayment(_) => undo::reverse(desk, EntryKind::PaymentReversed),
        Action::WriteOff { amount } => wallet::write_off(desk, *amount),
        Action::ReverseWriteOff(_) => undo::reverse(desk, EntryKind::WriteOffReversed),
        Action::Withdraw { amount } => wallet::withdraw(desk, *amount),
        Action::Adjust { amount } => wallet::adjust(desk, *amount),
        Action::SetCreditLimit { limit, allow_unusable } => wallet::set_credit_limit(desk, limit, *allow_unusable),
        Action::Suspend => wallet::suspend(desk),
        Action::Resume => wallet::resume(desk),
        Action::Close => wallet::close(desk),
        Action::Reopen => wallet::reopen(desk),
        Action::ClosePeriod => Ok(desk.write_due()),
        Action::Create(_) => Err(Refusal::AccountExists),
    }
}

/// Closes the bill if its period is over. For those who look at a stored account without a command.
#[must_use]
pub fn apply_due_close(mut account: Account, now: Millis) -> Account {
    if is_close_due(&account, now) {
        let cut = cut_bill(&mut account);
        account.sequence += 1 + u64::from(cut.rounding != 0) + u64::from(cut.due_rounding != 0);
    }
    account
}

/// Whether the account's period is over, and its close not written yet.
#[must_use]
pub fn is_close_due(account: &Account, now: Millis) -> bool {
    account.period_end != 0 && account.period_end <= now
}

/// What a cut moved.
#[derive(Clone, Copy)]
struct Cut {
    bill: u32,
    boundary: Millis,
    billed: i64,
    /// Of the bill's sum.
    rounding: i64,
    /// Of what is due after it.
    due_rounding: i64,
}

/// Cuts the open bill: what is unbilled moves to the balance. Its sum is rounded to the minor unit, and then, of a postpaid account, what
/// is due: money that is to be paid exists in minor units only. Each rounding has an entry of its own.
fn cut_bill(account: &mut Account) -> Cut {
    let rounded = |units: i64| round_half_up(units, account.decimals, account.minor_digits);
    let billed = account.unbilled;
    let rounding = billed - rounded(billed);
    let due = if account.mode == Mode::Postpaid { (billed - rounding - account.balance).max(0) } else { 0 };
    let due_rounding = due - rounded(due);
    let cut = Cut { bill: account.open_bill, boundary: account.period_end, billed, rounding, due_rounding };
    account.balance += rounding + due_rounding - billed;
    account.unbilled = 0;
    account.last_bill += 1;
    account.open_bill = account.last_bill;
    account.period_end = 0;
    cut
}

/// Where one command is worked on: the account as it is becoming, and what is recorded of it.
struct Desk<'a> {
    touched: &'a Touched<'a>,
    command: &'a Command,
    fingerprint: &'a Fingerprint,
    moment: &'a Moment,
    account: Account,
    entries: Vec<Entry>,
    /// The bill that was closed because it was due.
    closed: Option<Cut>,
    /// The number of the command's own first entry.
    sequence: u64,
}

impl<'a> Desk<'a> {
    /// Takes the account, with the events applied that are due.
    fn open(account: Account, touched: &'a Touched<'a>, command: &'a Command, fingerprint: &'a Fingerprint, moment: &'a Moment) -> Self {
        let mut desk = Self { touched, command, fingerprint, moment, account, entries: Vec::new(), closed: None, sequence: 0 };
        if is_close_due(&account, moment.now) {
            desk.close_period();
        }
        desk.sequence = touched.next_sequence + desk.entries.len() as u64;
        desk
    }

    fn now(&self) -> Millis {
        self.moment.now
    }

    fn usable(&self) -> i64 {
        self.account.usable_credit(self.moment.now)
    }

    fn units(&self, quote: Quote) -> Result<i64, Refusal> {
        units(quote, self.account.decimals)
    }

    /// An amount that must be a whole number of the currency's minor units: money that is paid in, paid out or given up.
    fn minor_units(&self, quote: Quote) -> Result<i64, Refusal> {
        let amount = self.units(quote)?;
        if amount % self.account.minor_unit() == 0 { Ok(amount) } else { Err(Refusal::NotInMinorUnits) }
    }

    fn refuse_closed(&self) -> Result<(), Refusal> {
        if self.account.status == Status::Closed { Err(Refusal::AccountClosed) } else { Ok(()) }
    }

    fn refuse_suspended(&self) -> Result<(), Refusal> {
        if self.account.status == Status::Suspended { Err(Refusal::AccountSuspended) } else { Ok(()) }
    }

    fn refuse_out_of_range(&self) -> Result<(), Refusal> {
        if self.account.is_within_range() { Ok(()) } else { Err(Refusal::BalanceOutOfRange) }
    }

    /// Records an entry of the command in the open bill. The account must already be as it is after it.
    fn record(&mut self, kind: EntryKind, amount: i64, details: [i64; 2]) {
        self.record_entry(Entry { kind, amount, details, ..self.blank() });
    }

    /// Records an entry in the open bill.
    fn record_entry(&mut self, entry: Entry) {
        if entry.kind.moves_money() && self.account.period_end == 0 {
            self.account.period_end = self.moment.period_end;
        }
        self.push(entry);
    }

    /// Numbers an entry, and appends it.
    fn push(&mut self, mut entry: Entry) {
        if entry.kind.moves_money() {
            self.account.sequence += 1;
            entry.account_sequence = self.account.sequence;
        }
        self.entries.push(entry);
    }

    /// An entry of the command, of the account as it is now.
    fn blank(&self) -> Entry {
        let action = &self.command.action;
        Entry {
            request_id: self.command.request_id.clone(),
            fingerprint: *self.fingerprint,
            note: Note { invoices: action.invoices().to_vec(), ..self.command.note.clone() },
            refers_to: action.refers_to().unwrap_or_default().to_owned(),
            settings: Settings::of(action),
            ..self.blank_of_boundary(self.moment.now)
        }
    }

    /// An entry that no command caused.
    fn blank_of_boundary(&self, time: Millis) -> Entry {
        Entry {
            kind: EntryKind::PeriodClosed,
            account: self.command.account.clone(),
            request_id: String::new(),
            account_sequence: 0,
            time,
            mode: self.account.mode,
            bill: self.account.open_bill,
            amount: 0,
            balance: self.account.balance,
            unbilled: self.account.unbilled,
            reserved: self.account.reserved,
            details: [0, 0],
            given_back: GivenBack::default(),
            fingerprint: Fingerprint::default(),
            note: Note::default(),
            refers_to: String::new(),
            settings: Settings::default(),
        }
    }

    /// Closes the bill whose period is over.
    fn close_period(&mut self) {
        let cut = cut_bill(&mut self.account);
        self.closed = Some(cut);
        let blank = self.blank_of_boundary(cut.boundary);
        self.record_cut(EntryKind::PeriodClosed, &cut, &blank);
    }

    /// Cuts the final bill, before a conversion to prepaid.
    fn cut_final_bill(&mut self) {
        let cut = cut_bill(&mut self.account);
        let blank = self.blank();
        self.record_cut(EntryKind::FinalBilled, &cut, &blank);
    }

    fn record_cut(&mut self, kind: EntryKind, cut: &Cut, blank: &Entry) {
        let rounded = self.account.balance - cut.due_rounding;
        self.push(Entry { kind, bill: cut.bill, amount: cut.billed, balance: rounded - cut.rounding, ..blank.clone() });
        if cut.rounding != 0 {
            self.push(Entry { kind: EntryKind::Rounded, bill: cut.bill, amount: cut.rounding, balance: rounded, ..blank.clone() });
        }
        if cut.due_rounding != 0 {
            self.push(Entry { kind: EntryKind::AmountDueRounded, bill: cut.bill, amount: cut.due_rounding, ..blank.clone() });
        }
    }

    /// Answers, and writes nothing.
    fn tell(self, decision: Option<Decision>, replayed: bool) -> Step {
        let outcome = Outcome { decision, replayed, account: self.account, now: self.moment.now };
        Step { answer: Ok(outcome), change: None }
    }

    fn decision(&self, verdict: Verdict, amount: i64) -> Decision {
        Decision {
            kind: self.command.action.kind(),
            verdict,
            amount,
            overdraft: 0,
            reservation: None,
            reserve: ReserveVerdict::NotAsked,
            credit_rounding: 0,
            charged: None,
            sequence: if verdict == Verdict::Done { self.sequence } else { 0 },
        }
    }

    /// Answers, and remembers the answer, but changes nothing: a decline, or nothing to do.
    fn leave(self, verdict: Verdict, amount: i64) -> Step {
        let decision = self.decision(verdict, amount);
        let mut step = self.tell(Some(decision), false);
        step.change = Some(Change {
            decision: Some(decision),
            account: None,
            profile: None,
            reservation: ReservationChange::Keep,
            refunds: Vec::new(),
            entries: Vec::new(),
        });
        step
    }

    /// Accepts: the account is written as it has become.
    fn accept(self, decision: Decision) -> Step {
        self.write(Some(decision))
    }

    /// Writes what is due, if anything is, and nothing else.
    fn write_due(self) -> Step {
        if self.entries.is_empty() { self.tell(None, false) } else { self.write(None) }
    }

    fn write(self, decision: Option<Decision>) -> Step {
        let outcome = Outcome { decision, replayed: false, account: self.account, now: self.moment.now };
        let change = Change {
            decision,
            account: Some(self.account),
            profile: None,
            reservation: ReservationChange::Keep,
            refunds: Vec::new(),
            entries: self.entries,
        };
        Step { answer: Ok(outcome), change: Some(change) }
    }
}

impl Step {
    fn with(mut self, edit: impl FnOnce(&mut Change)) -> Self {
        if let Some(change) = &mut self.change {
            edit(change);
        }
        self
    }
}
