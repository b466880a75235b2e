//! The pure rules, run one command at a time: what every engine must agree with.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::tz::TimeZone;
use tollgate::clock::Clock;
use tollgate::domain::account::{Account, Currency, Profile, Reservation};
use tollgate::domain::command::{
    Action, Command, Create, Debit, ExcessPolicy, Kind, LimitChange, Metadata, OriginalBill, OriginalEntry, RemainderPolicy, Reserve,
    Reversal, TemporaryChange, Until,
};
use tollgate::domain::entry::{Entry, EntryKind};
use tollgate::domain::ids::{AccountId, RequestId};
use tollgate::domain::money::{DecimalAmount, Units};
use tollgate::domain::outcome::{Answer, Refusal, ReserveVerdict, Verdict};
use tollgate::domain::rules::{IdempotencyRecord, RefundKey, Refunded, ReservationEnd, is_close_due, originals_of};
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::model::{BatchTime, PartitionState};
use tollgate::ledger::rebuild::Rebuild;
use tollgate::ledger::{Block, Engine, IdempotencyKey, PreparedCommand};

use super::WINDOW;
use super::commands::{Amount, Ask, COMMANDED, Event, LimitSpec, MAXIMUM, Next, ReserveSpec, START, Step, What};
use super::invariants;

pub const ACCOUNTS: [&str; 4] = ["alpha", "beta", "partner/1", "partner/2"];

/// Currency, minor digits, decimals.
const DENOMINATIONS: [(&str, u8, u8); 4] = [("USD", 2, 6), ("JPY", 0, 4), ("USD", 2, 2), ("KWD", 3, 6)];

/// What was asked at one instant, and what the rules answered.
pub struct Instant {
    pub now: UnixMillis,
    /// Whether what was due by itself happened before anything was asked.
    pub is_swept: bool,
    /// Below which entry the journal was trimmed before anything was asked.
    pub trimmed_below: Option<u64>,
    pub commands: Vec<PreparedCommand>,
    pub answers: Vec<Answer>,
    /// After the last instant only.
    pub snapshot: Option<Snapshot>,
}

impl Instant {
    fn at(now: UnixMillis) -> Self {
        Self { now, is_swept: false, trimmed_below: None, commands: Vec::new(), answers: Vec::new(), snapshot: None }
    }
}

/// Everything that an engine shows.
#[derive(Debug, PartialEq)]
pub struct Snapshot {
    accounts: Vec<Option<(Account, Profile)>>,
    reservations: Vec<Vec<(IdempotencyKey, Reservation)>>,
    names: Vec<String>,
    entries: Vec<Entry>,
}

impl Snapshot {
    fn of_book(partition_state: &PartitionState, entries: &[Entry]) -> Self {
        let ids: Vec<AccountId> = ACCOUNTS.iter().map(|id| AccountId::from(*id)).collect();
        Self {
            accounts: partition_state.load(&ids),
            reservations: ids.iter().map(|id| partition_state.reservations(id, None, 10_000)).collect(),
            names: partition_state
                .names("", None, 1_000)
                .into_iter()
                .map(|place| format!("{}|{}", place.folded_name, place.account))
                .collect(),
            entries: entries.to_vec(),
        }
    }

    /// Of an engine whose journal once began with the dropped blocks.
    pub async fn of(engine: &dyn Engine, dropped: &[Block]) -> Self {
        let ids: Vec<String> = ACCOUNTS.iter().map(ToString::to_string).collect();
        let mut reservations = Vec::new();
        for id in &ids {
            reservations.push(engine.reservations(0, id.clone().into(), None, 10_000).await.unwrap());
        }
        let mut blocks = engine.blocks_before(0, None, 1_000_000).await.unwrap();
        blocks.reverse();
        let mut sequence = 0;
        let mut previous = [0; 16];
        for block in dropped.iter().chain(&blocks) {
            assert_eq!(block.first_sequence, sequence + 1, "no sequence has a gap");
            assert_eq!(block.previous, previous, "each block names the one before");
            sequence += block.entries.len() as u64;
            previous = block.id;
        }
        journal_reads_alike_from_both_ends(engine, &blocks).await;
        due_pages_are_whole(engine, &ids).await;
        let mut names: Vec<_> = engine.names(0, String::new(), None, 1_000).await.unwrap();
        let middle = names.get(names.len() / 2).cloned();
        let after = engine.names(0, String::new(), middle, 1_000).await.unwrap();
        assert_eq!(after, names.get(names.len() / 2 + 1..).unwrap_or_default(), "a page begins after its token");
        let names = names.drain(..).map(|place| format!("{}|{}", place.folded_name, place.account)).collect();
        Self {
            accounts: engine.load(0, ids.into_iter().map(AccountId::from).collect()).await.unwrap(),
            reservations,
            names,
            entries: dropped.iter().cloned().chain(blocks).flat_map(|block| block.entries).collect(),
        }
    }
}

/// What is read from the oldest block on is what is read from the newest on back, wherever it begins.
async fn journal_reads_alike_from_both_ends(engine: &dyn Engine, blocks: &[Block]) {
    let span = engine.journal_span(0).await.unwrap();
    let next = blocks.last().map_or(1, Block::end);
    assert_eq!((span.first, span.next), (blocks.first().map_or(next, |block| block.first_sequence), next));
    assert_eq!(engine.blocks_after(0, 0, 1_000_000).await.unwrap(), blocks);
    let after = next / 2;
    let expected: Vec<_> = blocks.iter().filter(|block| block.first_sequence > after).take(3).cloned().collect();
    assert_eq!(engine.blocks_after(0, after, 3).await.unwrap(), expected);
}

/// Paged or not, the accounts that are due at the end of the next month are those that say so.
async fn due_pages_are_whole(engine: &dyn Engine, ids: &[String]) {
    let later = START + 500 * 86_400_000;
    let stored = engine.load(0, ids.iter().map(|id| AccountId::from(id.as_str())).collect()).await.unwrap();
    let is_due = |stored: &Option<(Account, Profile)>| stored.as_ref().is_some_and(|(account, _)| is_close_due(account, later));
    let expected: BTreeSet<_> = ids.iter().zip(&stored).filter(|(_, stored)| is_due(stored)).map(|(id, _)| id.clone()).collect();
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = engine.due_accounts(0, cursor, 2, later).await.unwrap();
        found.extend(page.accounts.into_iter().map(String::from));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

/// Entries do not tell whether a grant was the final unit, nor why a new reservation was refused; and so not that a late report, which
/// asked for one, has settled a reservation that had expired, or was released.
fn as_far_as_entries_tell(mut remembered: IdempotencyRecord, rebuilt: &IdempotencyRecord) -> IdempotencyRecord {
    if remembered.ended == ReservationEnd::Settled {
        remembered.ended = rebuilt.ended;
    }
    let decision = &mut remembered.decision;
    if let Some(grant) = &mut decision.reservation {
        grant.is_final_unit = false;
    }
    if decision.reserve != ReserveVerdict::Granted {
        decision.reserve = ReserveVerdict::NotAsked;
    }
    remembered
}

pub struct Reference {
    partition_state: PartitionState,
    entries: Vec<Entry>,
    clock: Clock,
    /// The last commands, the newest first: what a caller who lost an answer sends again.
    last_sent: VecDeque<Command>,
    /// What was accepted, in order: account, kind, request id.
    history: Vec<(String, Kind, String)>,
}

static COMMANDS: AtomicU64 = AtomicU64::new(0);
static ACCEPTED: AtomicU64 = AtomicU64::new(0);
static DECLINED: AtomicU64 = AtomicU64::new(0);
static REPLAYED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static REASONS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// Refusals that no sequence has met yet.
pub fn refusals_not_met() -> Vec<&'static str> {
    let reasons = REASONS.lock().unwrap();
    // Ten thousand open reservations, thousands that are due at once, damaged records and a full store are other tests'.
    let elsewhere = [Refusal::TooManyReservations, Refusal::Deferred, Refusal::StoreCorrupt, Refusal::StoreFull];
    let expected = Refusal::ALL.iter().filter(|refusal| !elsewhere.contains(refusal)).map(|refusal| refusal.reason());
    expected.filter(|reason| !reasons.contains_key(reason)).collect()
}

/// How many sums that were given back were dropped.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

pub fn statistics() -> String {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "{} commands: {} accepted, {} declined, {} replayed, {} refused {:?}; {} sums that were given back dropped",
        count(&COMMANDS),
        count(&ACCEPTED),
        count(&DECLINED),
        count(&REPLAYED),
        count(&REFUSED),
        REASONS.lock().unwrap(),
        count(&DROPPED)
    )
}

impl Reference {
    pub async fn run(events: &[Event]) -> Vec<Instant> {
        let mut reference = Self {
            partition_state: PartitionState::default(),
            entries: Vec::new(),
            clock: Clock::manual(START, TimeZone::UTC),
            last_sent: VecDeque::new(),
            history: Vec::new(),
        };
        let mut instants = vec![Instant::at(START)];
        for event in events {
            match event {
                Event::Move(step) => {
                    let now = reference.clock.now();
                    let next = match step {
                        Step::By(difference) => now + *difference,
                        Step::MonthEnd(after) => reference.clock.period_ends(now)[0] + *after,
                    };
                    reference.clock.set(next);
                    instants.push(Instant::at(next));
                }
                Event::Sweep => {
                    reference.sweep();
                    let now = reference.clock.now();
                    instants.push(Instant { is_swept: true, ..Instant::at(now) });
                }
                Event::Trim(kept) => {
                    let below = reference.partition_state.next_sequence().saturating_sub(*kept);
                    reference.trim(below);
                    instants.push(Instant { trimmed_below: Some(below), ..Instant::at(reference.clock.now()) });
                }
                Event::Ask(ask) => {
                    if let Some(command) = reference.command(ask) {
                        let mut next = Some(command);
                        while let Some(command) = next {
                            let prepared = PreparedCommand::new(command);
                            let answer = reference.step(&prepared);
                            next = answer.as_ref().err().and_then(|needed| reference.look_up(&prepared.command, *needed));
                            let instant = instants.last_mut().unwrap();
                            instant.commands.push(prepared);
                            instant.answers.push(answer);
                        }
                    }
                }
            }
        }
        reference.sweep();
        instants.last_mut().unwrap().snapshot = Some(Snapshot::of_book(&reference.partition_state, &reference.entries));
        reference.the_journal_alone_rebuilds_the_book();
        instants
    }

    fn time(&self) -> BatchTime {
        BatchTime::of(&self.clock, WINDOW)
    }

    fn sweep(&mut self) {
        let (is_more, changes) = self.partition_state.sweep(&self.time());
        assert!(!is_more && changes.block.is_none());
    }

    fn trim(&mut self, below: u64) {
        let (mut cursor, before) = (None, self.partition_state.refunds().len());
        loop {
            self.partition_state.drop_refunds(below, WINDOW, &mut cursor);
            if cursor.is_none() {
                break;
            }
        }
        DROPPED.fetch_add((before - self.partition_state.refunds().len()) as u64, Ordering::Relaxed);
    }

    fn step(&mut self, prepared: &PreparedCommand) -> Answer {
        let before = invariants::Before::of(&self.partition_state, prepared, &self.time());
        let (answer, changes) = self.partition_state.apply(std::slice::from_ref(prepared), &self.time(), rand::random());
        let answer = answer.answers.read().unwrap().into_iter().next().unwrap();
        if changes.block.is_some() {
            let command = &prepared.command;
            self.history.push((command.account.clone().into(), command.action.kind(), command.request_id.clone().into()));
        }
        let entries = changes.block.map(|block| block.entries).unwrap_or_default();
        COMMANDS.fetch_add(1, Ordering::Relaxed);
        if let Err(refusal) = &answer {
            *REASONS.lock().unwrap().entry(refusal.reason()).or_default() += 1;
        }
        match &answer {
            Err(_) => &REFUSED,
            Ok(outcome) if outcome.replayed => &REPLAYED,
            Ok(outcome) if outcome.decision.is_some_and(|decision| decision.verdict == Verdict::Declined) => &DECLINED,
            Ok(_) => &ACCEPTED,
        }
        .fetch_add(1, Ordering::Relaxed);
        self.entries.extend(entries.iter().cloned());
        before.check(&self.partition_state, prepared, &answer, &entries, &self.entries);
        answer
    }

    /// What `verify` and `restore` rest on.
    fn the_journal_alone_rebuilds_the_book(&mut self) {
        let mut rebuild = Rebuild::new(self.clock.clone(), WINDOW);
        for (sequence, entry) in (1..).zip(&self.entries) {
            assert_eq!(rebuild.replay(sequence, entry), [], "the journal contradicts itself");
        }
        let rebuilt = rebuild.finish(self.clock.now(), [0; 16]);
        assert_eq!(Snapshot::of_book(&rebuilt, &self.entries), Snapshot::of_book(&self.partition_state, &self.entries));
        // Entries do not tell what was billed; that is asked for again.
        let sums = |partition_state: &PartitionState| -> BTreeMap<RefundKey, Refunded> {
            partition_state.refunds().iter().map(|(key, refunded)| (key.clone(), Refunded { billed: None, ..*refunded })).collect()
        };
        let (mut rebuilt_sums, kept) = (sums(&rebuilt), sums(&self.partition_state));
        // What was dropped is old, and the ledger says up to where it did.
        rebuilt_sums.retain(|key, refunded| {
            let is_old = refunded.time <= self.partition_state.last_written_at() - 2 * WINDOW;
            kept.contains_key(key) || refunded.sequence > self.partition_state.refunds_dropped_until() || !is_old
        });
        assert_eq!(rebuilt_sums, kept);
        for (account, _, request_id) in &self.history {
            let key = IdempotencyKey::of(&AccountId::from(account.as_str()), &RequestId::from(request_id.as_str()));
            // An id that was forgotten and used again for something that left no entry is known here only.
            if let (Some(rebuilt), Some(remembered)) = (rebuilt.remembered(key), self.partition_state.remembered(key))
                && remembered.decision.verdict == Verdict::Done
            {
                assert_eq!(rebuilt, as_far_as_entries_tell(remembered, &rebuilt), "{account} {request_id}");
            }
        }
    }

    fn account(&self, id: &str) -> Option<Account> {
        self.partition_state.load(&[id.into()]).into_iter().next().flatten().map(|(account, _)| account)
    }

    fn decimal(&self, id: &str, amount: &Amount) -> DecimalAmount {
        let account = self.account(id);
        let decimals = account.map_or(2, |account| account.decimals);
        let now = self.clock.now();
        match amount {
            Amount::Units(units) => DecimalAmount::new(*units, decimals),
            Amount::Usable(above) => {
                DecimalAmount::new((account.map_or(0, |account| account.usable_credit(now).get()) + above).clamp(0, MAXIMUM), decimals)
            }
            Amount::Balance(above) => {
                DecimalAmount::new((account.map_or(0, |account| account.balance.get()) + above).clamp(0, MAXIMUM), decimals)
            }
            Amount::Due(above) => {
                let (due, minor_unit) = account.map_or((0, 1), |account| (account.debt().get(), account.minor_unit().get()));
                DecimalAmount::new((due / minor_unit + above).max(0) * minor_unit, decimals)
            }
            Amount::Fine(units) => DecimalAmount::new(*units, 6),
            Amount::NearMaximum(below) => DecimalAmount::new(MAXIMUM - below, decimals),
            Amount::NearCommanded(below) => DecimalAmount::new(COMMANDED - below, decimals),
            Amount::Huge => DecimalAmount::new(MAXIMUM, 0),
        }
    }

    /// As the edge would let it pass: above zero.
    fn positive(&self, id: &str, amount: &Amount) -> DecimalAmount {
        let decimal = self.decimal(id, amount);
        if decimal.is_zero() { DecimalAmount::new(1, 0) } else { decimal }
    }

    fn reserve(&self, id: &str, spec: &ReserveSpec) -> Reserve {
        let amount = self.positive(id, &spec.amount);
        let minimum = spec.minimum.as_ref().map(|minimum| self.positive(id, minimum)).filter(|minimum| !minimum.exceeds(amount));
        Reserve { amount, minimum, validity: spec.validity, grace: spec.grace }
    }

    fn limit(&self, id: &str, spec: &LimitSpec) -> LimitChange {
        LimitChange {
            permanent: spec.permanent.as_ref().map(|amount| self.decimal(id, amount)),
            temporary: match &spec.temporary {
                None => TemporaryChange::Keep,
                Some(None) => TemporaryChange::Remove,
                Some(Some((amount, end, is_instant))) => TemporaryChange::Set {
                    amount: self.decimal(id, amount),
                    until: if *is_instant { Until::Instant(self.clock.now() + *end) } else { Until::After((*end).max(1)) },
                },
            },
        }
    }

    /// The same command with what the step asks for; `None` if it asks for nothing, or there is nothing.
    fn look_up(&self, command: &Command, needed: Refusal) -> Option<Command> {
        let mut command = command.clone();
        let (undo, is_wanted) = originals_of(&command.action)?;
        let (undo, numbered) = (undo.clone(), (1..).zip(&self.entries).filter(|(_, entry)| entry.account == command.account));
        let known_until = self.entries.len() as u64;
        let original = numbered.clone().filter(|(_, entry)| entry.request_id == undo.original && is_wanted(entry.kind())).last();
        let undo = match needed {
            Refusal::OriginalNeeded => {
                let (sequence, entry) = original?;
                let given_back = numbered
                    .filter(|(_, later)| later.data.given_back().is_some_and(|given_back| given_back.original == Some(sequence)))
                    .map(|(_, later)| later.data.taken_off())
                    .sum();
                let (kind, amount, bill) = (entry.kind(), entry.amount(), entry.bill);
                Reversal { facts: Some(OriginalEntry { sequence, kind, amount, bill, given_back, known_until }), ..undo }
            }
            Refusal::BillNeeded => {
                let bill = original?.1.bill;
                let is_cut = |entry: &Entry| matches!(entry.kind(), EntryKind::PeriodClosed | EntryKind::FinalBilled) && entry.bill == bill;
                let billed = numbered.clone().find(|(_, entry)| is_cut(entry))?.1.amount();
                let refunded = invariants::refunded_of_bill(&self.entries, &command.account, bill).0;
                Reversal { bill: Some(OriginalBill { bill, billed, refunded, known_until }), ..undo }
            }
            _ => return None,
        };
        if let Action::Refund(given) | Action::ReversePayment(given) | Action::ReverseWriteOff(given) = &mut command.action {
            *given = undo;
        }
        Some(command)
    }

    /// A reference to an earlier command: mostly one of the last of that kind, sometimes any request id.
    fn earlier(&self, account: &str, reference: usize, kind: Kind) -> String {
        let recent: Vec<&String> = self
            .history
            .iter()
            .rev()
            .filter(|(owner, sent, _)| owner == account && *sent == kind)
            .map(|(_, _, name)| name)
            .take(5)
            .collect();
        match recent.len() {
            count if count > 0 && !reference.is_multiple_of(10) => recent[reference % count].clone(),
            _ => format!("request-{reference}"),
        }
    }

    /// The command that is asked for, as the edge would build it; `None` if the edge would not let it pass.
    fn command(&mut self, ask: &Ask) -> Option<Command> {
        let id = ACCOUNTS[ask.account];
        let name = |request: usize| format!("request-{request}");
        if ask.repeat
            && let Some(sent) = self.last_sent.get(ask.request % 12)
        {
            // Another process, with another reason, repeats the same.
            let mut repeated = sent.clone();
            (repeated.metadata.actor, repeated.metadata.reason) = ("another".into(), "repeated".into());
            return Some(repeated);
        }
        let mut metadata = Metadata { actor: "tester".into(), ..Metadata::default() };
        let action = match &ask.what {
            What::Observe => Action::Observe { watch: false },
            What::Authorize(spec) => Action::Authorize(self.reserve(id, spec)),
            What::Debit { amount, reservation, category, consumed, then } => {
                metadata.item = "call".into();
                metadata.category = Some(*category);
                metadata.attributes = vec![("cell".into(), "17".into())];
                Action::Debit(Debit {
                    amount: self.decimal(id, amount),
                    category: *category,
                    reservation: reservation.map(|reference| self.earlier(id, reference, Kind::Authorize)).map(RequestId::from),
                    then: match then {
                        Next::Keep if reservation.is_some() => RemainderPolicy::Keep,
                        Next::Reserve(spec) if reservation.is_some() => RemainderPolicy::Reserve(self.reserve(id, spec)),
                        _ => RemainderPolicy::Settle,
                    },
                    excess: if *consumed { ExcessPolicy::AlreadyConsumed } else { ExcessPolicy::WithinUsableCredit },
                })
            }
            What::Release { reservation } => Action::Release { reservation: self.earlier(id, *reservation, Kind::Authorize).into() },
            What::Refund { charge, amount } => {
                let original = self.earlier(id, *charge, Kind::Debit);
                Action::Refund(Reversal::of(original.into(), amount.as_ref().map(|amount| self.positive(id, amount))))
            }
            What::ReversePayment { payment, amount } => {
                let kind = if payment.is_multiple_of(2) { Kind::TopUp } else { Kind::RecordPayment };
                let original = self.earlier(id, *payment, kind);
                Action::ReversePayment(Reversal::of(original.into(), amount.as_ref().map(|amount| self.positive(id, amount))))
            }
            What::WriteOff(amount) => Action::WriteOff { amount: amount.as_ref().map(|amount| self.positive(id, amount)) },
            What::ReverseWriteOff { write_off, amount } => {
                let original = self.earlier(id, *write_off, Kind::WriteOff);
                Action::ReverseWriteOff(Reversal::of(original.into(), amount.as_ref().map(|amount| self.positive(id, amount))))
            }
            What::Convert { mode, limit, allow } => Action::Convert { mode: *mode, limit: self.limit(id, limit), allow_unusable: *allow },
            What::Create { mode, limit, allow, billing, denomination, threshold } => {
                let (currency, minor_digits, decimals) = DENOMINATIONS[*denomination];
                Action::Create(Create {
                    name: format!("Customer {denomination}"),
                    currency: Currency::parse(currency).unwrap(),
                    minor_digits,
                    decimals,
                    mode: *mode,
                    limit: self.limit(id, limit),
                    low_credit_threshold: threshold.as_ref().map(|amount| self.decimal(id, amount)),
                    non_usage_billing: *billing,
                    allow_unusable: *allow,
                })
            }
            What::Update { name, threshold, billing } => Action::Update {
                name: name.clone(),
                low_credit_threshold: threshold.as_ref().map(|threshold| threshold.as_ref().map(|amount| self.decimal(id, amount))),
                non_usage_billing: *billing,
            },
            What::TopUp(amount) => Action::TopUp { amount: self.positive(id, amount) },
            What::RecordPayment { amount, invoices } => Action::RecordPayment {
                amount: self.positive(id, amount),
                invoices: (0..*invoices).map(|number| format!("INV-{number}")).collect(),
            },
            What::ClosePeriod => Action::ClosePeriod,
            What::Withdraw(amount) => Action::Withdraw { amount: self.positive(id, amount), is_paid_out: false },
            What::Adjust { amount, down } => {
                let amount = self.positive(id, amount);
                Action::Adjust { amount: if *down { DecimalAmount::new(-amount.mantissa(), amount.scale()) } else { amount } }
            }
            What::SetCreditLimit { limit, allow } => {
                let limit = self.limit(id, limit);
                if limit.is_none() {
                    return None;
                }
                Action::SetCreditLimit { limit, allow_unusable: *allow }
            }
            What::Suspend => Action::Suspend,
            What::Resume => Action::Resume,
            What::Empty { keep_fraction } => {
                let account = self.account(id)?;
                let fraction = if *keep_fraction { account.balance % account.minor_unit() } else { Units::ZERO };
                if account.balance == fraction || account.unbilled != Units::ZERO {
                    return None;
                }
                Action::Adjust { amount: DecimalAmount::new((fraction - account.balance).get(), account.decimals) }
            }
            What::Close => Action::Close,
            What::Reopen => Action::Reopen,
            What::EraseName => Action::EraseName,
        };
        let has_request_id = action.has_request_id();
        let command = Command {
            account: id.into(),
            request_id: if has_request_id { name(ask.request).into() } else { RequestId::default() },
            first_sent_at: ask.first_sent_ago.filter(|_| has_request_id).map(|ago| self.clock.now() - ago),
            currency: ask.currency.filter(|_| has_request_id),
            action,
            metadata,
        };
        if has_request_id {
            self.last_sent.push_front(command.clone());
            self.last_sent.truncate(12);
        }
        Some(command)
    }
}
