//! What happens: `(account, what the command touches, command, now) -> (answer, what to write)`.
//!
//! The order of checks is the same everywhere: replay or conflict, age, account, currency, amounts, state, reservation, credit, range.
//! A refusal or a decline changes no account; only an accepted command also writes the events that were due before it.
//!
//! [`charging`] holds what a transaction asks, [`wallet`] what an operator does.

mod amounts;
mod charging;
mod cut;
mod reversal;
mod wallet;

use super::account::{Account, Profile, Reservation, Status};
use super::command::{Action, Command, Metadata};
pub use super::entry::Fingerprint;
use super::entry::{Entry, EntryData};
use super::fold::EntryContext;
use super::money::DecimalAmount;
use super::outcome::{Answer, Decision, Outcome, Refusal, ReserveVerdict, Verdict};
use super::time::{Millis, UnixMillis};
use crate::ids::RequestId;
use crate::money::Units;

use amounts::{both, units};
pub use cut::Cut;
pub use reversal::{RefundKey, Refunded, originals_of, refund_keys};

/// How many reservations an account may have open.
pub const MAX_OPEN_RESERVATIONS: u32 = 10_000;

/// How far `first_sent_at` may be ahead of the ledger's time: clocks differ.
pub const MAX_SENT_AHEAD: Millis = 5_000;

/// When a step is, and what the calendar says of it.
#[derive(Clone, Copy, Debug)]
pub struct StepTime {
    /// The time of the step.
    pub now: UnixMillis,
    /// The end of the billing period that `now` lies in.
    pub period_end: UnixMillis,
    /// How long request ids are remembered at least.
    pub window: Millis,
}

/// What a command touches, loaded before the step.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadedState<'a> {
    pub account: Option<Account>,
    /// Its profile; needed by an update only.
    pub profile: Option<&'a Profile>,
    /// The idempotency record of the command's own request id.
    pub request: Option<&'a IdempotencyRecord>,
    /// The open reservation that it names; of an Authorize: one that bears its own name.
    pub reservation: Option<&'a Reservation>,
    /// The idempotency record of the command that it refers to.
    pub original: Option<&'a IdempotencyRecord>,
    /// What is kept of what was given back of the entry that it refers to.
    pub given_back: Option<Refunded>,
    /// What is kept of what was refunded of the bill that the charge fell into which it refers to.
    pub of_bill: Option<Refunded>,
    /// Sums that were given back may have been dropped if their last entry has at most this sequence.
    pub refunds_dropped_until: u64,
    /// The number that the partition's next entry will have.
    pub next_sequence: u64,
}

/// The idempotency record of a request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// What was sent.
    pub fingerprint: Fingerprint,
    pub decision: Decision,
    /// How the reservation of that name ended, if it did other than by expiring.
    pub ended: ReservationEnd,
}

/// How a reservation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ReservationEnd {
    /// It is open, or has expired, or there never was one.
    Not = 0,
    /// By a final debit.
    Settled = 1,
    Released = 2,
}

/// The result of a command, and the writes it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The result for the caller.
    pub answer: Answer,
    /// What is written. `None` for nothing at all.
    pub writes: Option<Writes>,
}

/// What an accepted or declined command writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writes {
    /// The decision, to be remembered under the request id. `None` if the command has none.
    pub decision: Option<Decision>,
    /// The account after it; `None` for a decline, or if nothing changes.
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
    End(ReservationEnd),
}

/// Decides on a command.
#[must_use]
pub fn decide(loaded: &LoadedState<'_>, command: &Command, fingerprint: &Fingerprint, step_time: &StepTime) -> Decided {
    match try_decide(loaded, command, fingerprint, step_time) {
        Ok(step) => step,
        Err(refusal) => Decided { answer: Err(refusal), writes: None },
    }
}

fn try_decide(loaded: &LoadedState<'_>, command: &Command, fingerprint: &Fingerprint, step_time: &StepTime) -> Result<Decided, Refusal> {
    if let Some(remembered) = loaded.request
        && command.action.has_request_id()
    {
        if remembered.fingerprint != *fingerprint {
            return Err(Refusal::RequestIdReused);
        }
        let transition = Transition::open(loaded.account.ok_or(Refusal::AccountNotFound)?, loaded, command, fingerprint, step_time);
        return Ok(transition.tell(Some(remembered.decision), true));
    }
    if matches!(command.action, Action::Authorize(_)) && loaded.reservation.is_some() {
        return Err(Refusal::RequestIdReused);
    }
    if command.first_sent_at.is_some_and(|sent| step_time.now.since(sent) > step_time.window) {
        return Err(Refusal::RequestTooOld);
    }
    if command.first_sent_at.is_some_and(|sent| sent.since(step_time.now) > MAX_SENT_AHEAD) {
        return Err(Refusal::SentInFuture);
    }
    if let Action::Create(create) = &command.action {
        return if loaded.account.is_some() {
            Err(Refusal::AccountExists)
        } else {
            wallet::create(create, loaded, command, fingerprint, step_time)
        };
    }
    let account = loaded.account.ok_or(Refusal::AccountNotFound)?;
    if command.currency.is_some_and(|currency| currency != account.currency) {
        return Err(Refusal::CurrencyMismatch);
    }
    let transition = Transition::open(account, loaded, command, fingerprint, step_time);
    match &command.action {
        Action::Observe { .. } => Ok(transition.tell(None, false)),
        Action::Authorize(reserve) => charging::authorize(transition, reserve),
        Action::Debit(debit) => charging::debit(transition, debit),
        Action::Release { .. } => charging::release(transition),
        Action::Refund(reversal) => reversal::refund(transition, reversal),
        Action::Convert { mode, limit, allow_unusable } => wallet::convert(transition, *mode, limit, *allow_unusable),
        Action::Update { .. } | Action::EraseName => wallet::update(transition),
        Action::TopUp { amount } => wallet::top_up(transition, *amount),
        Action::RecordPayment { amount, .. } => wallet::record_payment(transition, *amount),
        Action::ReversePayment(_) => reversal::reverse(transition, |amount, given_back| EntryData::PaymentReversed { amount, given_back }),
        Action::WriteOff { amount } => wallet::write_off(transition, *amount),
        Action::ReverseWriteOff(_) => {
            reversal::reverse(transition, |amount, given_back| EntryData::WriteOffReversed { amount, given_back })
        }
        Action::Withdraw { amount, is_paid_out } => wallet::withdraw(transition, *amount, *is_paid_out),
        Action::Adjust { amount } => wallet::adjust(transition, *amount),
        Action::SetCreditLimit { limit, allow_unusable } => wallet::set_credit_limit(transition, limit, *allow_unusable),
        Action::Suspend => wallet::suspend(transition),
        Action::Resume => wallet::resume(transition),
        Action::Close => wallet::close(transition),
        Action::Reopen => wallet::reopen(transition),
        Action::ClosePeriod => Ok(transition.write_due()),
        Action::Create(_) => Err(Refusal::AccountExists),
    }
}

/// Closes the bill if its period is over. For a look at a stored account without a command.
#[must_use]
pub fn apply_due_close(mut account: Account, now: UnixMillis) -> Account {
    if is_close_due(&account, now) {
        let cut = Cut::of(&account);
        let context = EntryContext { bill: cut.bill, ..EntryContext::default() };
        cut.entries(false).for_each(|data| account.apply(&data, &context));
    }
    account
}

/// Whether the account's period is over, and its close not written yet.
#[must_use]
pub fn is_close_due(account: &Account, now: UnixMillis) -> bool {
    account.period_end.is_some() && account.period_end <= now
}

/// Where one command is worked on: the account as it is becoming, and what is recorded of it. The account changes by [`Account::apply`]
/// alone, with the entry that says so.
struct Transition<'a> {
    loaded: &'a LoadedState<'a>,
    command: &'a Command,
    fingerprint: &'a Fingerprint,
    step_time: &'a StepTime,
    account: Account,
    entries: Vec<Entry>,
    /// The bill that was closed because it was due.
    closed: Option<Cut>,
    /// The number of the command's own first entry.
    sequence: u64,
}

impl<'a> Transition<'a> {
    /// Takes the account, with the events applied that are due.
    fn open(
        account: Account,
        loaded: &'a LoadedState<'a>,
        command: &'a Command,
        fingerprint: &'a Fingerprint,
        step_time: &'a StepTime,
    ) -> Self {
        let mut transition = Self { loaded, command, fingerprint, step_time, account, entries: Vec::new(), closed: None, sequence: 0 };
        if is_close_due(&account, step_time.now) {
            transition.close_period();
        }
        transition.sequence = loaded.next_sequence + transition.entries.len() as u64;
        transition
    }

    fn now(&self) -> UnixMillis {
        self.step_time.now
    }

    fn usable(&self) -> Units {
        self.account.usable_credit(self.step_time.now)
    }

    fn units(&self, decimal: DecimalAmount) -> Result<Units, Refusal> {
        units(decimal, self.account.decimals)
    }

    /// An amount that must be a whole number of the currency's minor units: money that is paid in, paid out or given up.
    fn minor_units(&self, decimal: DecimalAmount) -> Result<Units, Refusal> {
        let amount = self.units(decimal)?;
        if amount.is_multiple_of(self.account.minor_unit()) { Ok(amount) } else { Err(Refusal::NotInMinorUnits) }
    }

    fn refuse_closed(&self) -> Result<(), Refusal> {
        if self.account.status == Status::Closed { Err(Refusal::AccountClosed) } else { Ok(()) }
    }

    fn refuse_not_closed(&self) -> Result<(), Refusal> {
        if self.account.status == Status::Closed { Ok(()) } else { Err(Refusal::AccountNotClosed) }
    }

    fn refuse_suspended(&self) -> Result<(), Refusal> {
        if self.account.status == Status::Suspended { Err(Refusal::AccountSuspended) } else { Ok(()) }
    }

    fn refuse_out_of_range(&self) -> Result<(), Refusal> {
        if self.account.is_within_range() { Ok(()) } else { Err(Refusal::BalanceOutOfRange) }
    }

    /// Records an entry of the command in the open bill.
    fn record(&mut self, data: EntryData) {
        self.record_against(None, data);
    }

    /// Records an entry of the command in the open bill. It refers to a reservation of that amount, if to one that is open.
    fn record_against(&mut self, reservation: Option<Units>, data: EntryData) {
        self.record_in(self.account.open_bill, reservation, data);
    }

    /// Records an entry of the command in a bill.
    fn record_in(&mut self, bill: u32, reservation: Option<Units>, data: EntryData) {
        let mut entry = self.apply(self.step_time.now, bill, reservation, data);
        let Command { request_id, action, metadata, .. } = self.command;
        entry.request_id.clone_from(request_id);
        entry.fingerprint = *self.fingerprint;
        entry.metadata.clone_from(metadata);
        entry.metadata.invoices = action.invoices().to_vec();
        if let Some(original) = action.refers_to() {
            entry.refers_to.clone_from(original);
        }
        self.entries.push(entry);
    }

    /// Applies an entry to the account; returns the entry, as one that no command caused.
    fn apply(&mut self, time: UnixMillis, bill: u32, reservation: Option<Units>, data: EntryData) -> Entry {
        self.account.apply(&data, &EntryContext { bill, reservation, period_end: self.step_time.period_end });
        let Account { mode, balance, unbilled, reserved, sequence, .. } = self.account;
        Entry {
            account: self.command.account.clone(),
            request_id: RequestId::default(),
            account_sequence: if data.kind().moves_money() { sequence } else { 0 },
            data,
            time,
            mode,
            bill,
            balance,
            unbilled,
            reserved,
            fingerprint: Fingerprint::default(),
            metadata: Metadata::default(),
            refers_to: RequestId::default(),
        }
    }

    /// Closes the bill whose period is over.
    fn close_period(&mut self) {
        let cut = Cut::of(&self.account);
        self.closed = Some(cut);
        for data in cut.entries(false) {
            let entry = self.apply(cut.boundary, cut.bill, None, data);
            self.entries.push(entry);
        }
    }

    /// Cuts the final bill, before a conversion to prepaid.
    fn cut_final_bill(&mut self) {
        let cut = Cut::of(&self.account);
        cut.entries(true).for_each(|data| self.record_in(cut.bill, None, data));
    }

    /// Returns the decision, and writes nothing.
    fn tell(self, decision: Option<Decision>, replayed: bool) -> Decided {
        let outcome = Outcome { decision, replayed, account: self.account, now: self.step_time.now };
        Decided { answer: Ok(outcome), writes: None }
    }

    fn decision(&self, verdict: Verdict, amount: Units) -> Decision {
        Decision {
            kind: self.command.action.kind(),
            verdict,
            amount,
            overdraft: Units::ZERO,
            reservation: None,
            reserve: ReserveVerdict::NotAsked,
            credit_rounding: Units::ZERO,
            charged: None,
            sequence: if verdict == Verdict::Done { self.sequence } else { 0 },
        }
    }

    /// Returns and remembers the decision, but changes nothing: a decline, or nothing to do.
    fn leave(self, verdict: Verdict, amount: Units) -> Decided {
        let decision = self.decision(verdict, amount);
        let mut step = self.tell(Some(decision), false);
        step.writes = Some(Writes {
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
    fn accept(self, decision: Decision) -> Decided {
        self.write(Some(decision))
    }

    /// Writes what is due, if anything is, and nothing else.
    fn write_due(self) -> Decided {
        if self.entries.is_empty() { self.tell(None, false) } else { self.write(None) }
    }

    fn write(self, decision: Option<Decision>) -> Decided {
        let outcome = Outcome { decision, replayed: false, account: self.account, now: self.step_time.now };
        let writes = Writes {
            decision,
            account: Some(self.account),
            profile: None,
            reservation: ReservationChange::Keep,
            refunds: Vec::new(),
            entries: self.entries,
        };
        Decided { answer: Ok(outcome), writes: Some(writes) }
    }
}

impl Decided {
    fn with(mut self, edit: impl FnOnce(&mut Writes)) -> Self {
        if let Some(writes) = &mut self.writes {
            edit(writes);
        }
        self
    }
}
