//! The invariants of the design, checked after every step of the reference.

use std::collections::HashMap;

use tollgate::domain::account::{Account, Mode, Status};
use tollgate::domain::command::{Action, ExcessPolicy};
use tollgate::domain::entry::{Entry, EntryKind};
use tollgate::domain::ids::AccountId;
use tollgate::domain::money::Units;
use tollgate::domain::outcome::{Answer, Verdict};
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::PreparedCommand;
use tollgate::ledger::model::{BatchTime, PartitionState};

/// What was so before a step, with everything due applied.
pub struct Before {
    now: UnixMillis,
    stored: Option<Account>,
    account: Option<Account>,
}

impl Before {
    /// Looks at a copy.
    pub fn of(partition_state: &PartitionState, prepared: &PreparedCommand, time: &BatchTime) -> Self {
        let mut copy = partition_state.clone();
        // All that is due taken off. Engines do it in the command's own step, as far as its account has it.
        while copy.sweep(time).0 {}
        let stored = account_of(&copy, &prepared.command.account);
        let now = time.now.max(partition_state.last_written_at());
        Self { now, stored, account: stored.map(|account| tollgate::domain::rules::apply_due_close(account, now)) }
    }

    pub fn check(
        &self,
        partition_state: &PartitionState,
        prepared: &PreparedCommand,
        answer: &Answer,
        entries: &[Entry],
        all_entries: &[Entry],
    ) {
        let id = &prepared.command.account;
        let after = account_of(partition_state, id);
        if let (Some(before), Some(after)) = (self.account, after) {
            let after = tollgate::domain::rules::apply_due_close(after, self.now);
            self.credit_was_not_exceeded(&before, &after, prepared, answer);
            self.nothing_was_lost_or_made(&before, &after, prepared, answer, entries);
        }
        if let Some(account) = after {
            reserved_is_the_sum_of_open_reservations(partition_state, id, &account, self.now);
            entries_add_up(id, &account, all_entries);
            entries.iter().for_each(|entry| a_refund_credits_minor_units_and_never_more_than_the_bill(entry, &account, all_entries));
            assert!(account.unbilled >= Units::ZERO, "unbilled is never negative");
            write_offs_are_of_debts_only(id, all_entries);
            if account.status == Status::Closed {
                assert_eq!(
                    (account.balance, account.unbilled, account.open_reservations),
                    (Units::ZERO, Units::ZERO, 0),
                    "what is closed is empty"
                );
            }
        }
        if prepared.command.action == Action::ClosePeriod && answer.is_ok() {
            assert_eq!(after, self.account, "closing the period writes what is due, and nothing else");
            assert!(entries.iter().all(|entry| IS_OF_CLOSE.contains(&entry.kind())));
        } else if !matches!(answer, Ok(outcome) if !outcome.replayed && outcome.decision.is_some_and(|decision| decision.verdict == Verdict::Done))
        {
            assert!(entries.is_empty(), "what was not accepted is not journaled");
            assert_eq!(after, self.stored, "what was not accepted changes nothing");
        }
        if let Ok(outcome) = answer
            && let Some(account) = after
        {
            assert_eq!(
                outcome.account,
                tollgate::domain::rules::apply_due_close(account, self.now),
                "the answer shows the account as it is"
            );
        }
    }

    /// 1. No authorization, debit or withdrawal leaves usable credit below min(0, what it was before).
    fn credit_was_not_exceeded(&self, before: &Account, after: &Account, prepared: &PreparedCommand, answer: &Answer) {
        let is_checked = match &prepared.command.action {
            Action::Authorize(_) | Action::Withdraw { .. } => true,
            Action::Debit(debit) => debit.excess == ExcessPolicy::WithinUsableCredit,
            _ => false,
        };
        let accepted = matches!(answer, Ok(outcome) if !outcome.replayed);
        if is_checked && accepted {
            let (was, is) = (before.usable_credit(self.now), after.usable_credit(self.now));
            assert!(is >= was.min(Units::ZERO), "usable credit fell from {was} to {is} by {:?}", prepared.command.action);
        }
    }

    /// 4. Convert and period close leave the current balance as it was, but for the rounding; a close never lowers usable credit.
    fn nothing_was_lost_or_made(&self, before: &Account, after: &Account, prepared: &PreparedCommand, answer: &Answer, entries: &[Entry]) {
        let Some(stored) = self.stored else { return };
        let rounding = |entries: &[Entry]| -> Units {
            entries.iter().filter(|entry| IS_ROUNDING.contains(&entry.kind())).map(|entry| entry.amount()).sum()
        };
        if stored != *before {
            let difference = before.current_balance() - stored.current_balance();
            let minor_unit = minor_unit(&stored);
            assert!(difference.abs() <= minor_unit, "a close rounds twice, each time to the minor unit");
            assert!(stored.mode == Mode::Postpaid || difference == Units::ZERO, "a prepaid close rounds nothing");
            assert_eq!(before.amount_due() % minor_unit, Units::ZERO, "an amount due is in minor units after a close");
            assert!(
                before.usable_credit(self.now) - difference.min(Units::ZERO) >= stored.usable_credit(self.now),
                "a close never lowers usable credit"
            );
            let growth_of_due = before.amount_due() - stored.amount_due();
            let growth_of_usable = before.usable_credit(self.now) - stored.usable_credit(self.now);
            assert!(
                (growth_of_due - growth_of_usable).abs() <= difference.abs(),
                "a close raises usable credit by the growth of the amount due"
            );
        }
        if matches!(prepared.command.action, Action::Convert { .. }) && matches!(answer, Ok(outcome) if !outcome.replayed) {
            let of_conversion =
                entries.iter().position(|entry| entry.kind() != EntryKind::PeriodClosed && entry.request_id == prepared.command.request_id);
            let own = of_conversion.map_or(&[][..], |first| &entries[first..]);
            assert_eq!(after.current_balance() - Units::new(rounding(own).get()), before.current_balance(), "a conversion moves no money");
            assert_eq!(after.reserved, before.reserved, "a conversion touches no reservation");
        }
    }
}

/// What was refunded of a bill's postpaid charges since it was cut, measured by the charges, and what was credited for it.
pub fn refunded_of_bill(all_entries: &[Entry], account: &str, bill: u32) -> (Units, Units) {
    let of_bill = |entry: &&Entry| {
        let original = original_of(entry, all_entries);
        let is_billed = original.is_some_and(|charge| charge.bill == bill && charge.kind() != EntryKind::ChargedBalance);
        entry.account == account && entry.kind() == EntryKind::RefundedBalance && is_billed
    };
    let refunds = all_entries.iter().filter(of_bill);
    refunds.fold((Units::ZERO, Units::ZERO), |(refunded, credited), entry| (refunded + entry.data.taken_off(), credited + entry.amount()))
}

/// The entry that a refund or a reversal gives back.
fn original_of<'a>(entry: &Entry, all_entries: &'a [Entry]) -> Option<&'a Entry> {
    let sequence = entry.data.given_back()?.original?;
    all_entries.get(usize::try_from(sequence).ok()?.checked_sub(1)?)
}

/// 7. What is credited for a bill is in minor units, never more than the bill, and exactly the bill once all of it is refunded.
fn a_refund_credits_minor_units_and_never_more_than_the_bill(entry: &Entry, account: &Account, all_entries: &[Entry]) {
    let Some(charge) = original_of(entry, all_entries) else { return };
    if entry.kind() != EntryKind::RefundedBalance || charge.kind() == EntryKind::ChargedBalance {
        assert_eq!(entry.data.taken_off(), entry.amount(), "all else is exact");
        return;
    }
    let of_bill = |kinds: &[EntryKind]| -> Units {
        let found = all_entries.iter().filter(|one| one.account == entry.account && one.bill == charge.bill && kinds.contains(&one.kind()));
        found.map(|one| one.amount()).sum()
    };
    let billed = of_bill(&[EntryKind::PeriodClosed, EntryKind::FinalBilled, EntryKind::ChargedOwnBill]);
    let total = billed - of_bill(&[EntryKind::Rounded]);
    let (refunded, credited) = refunded_of_bill(all_entries, &entry.account, charge.bill);
    assert_eq!(
        entry.amount() % minor_unit(account),
        Units::ZERO,
        "what is credited is in minor units, and so is what is open of an invoice"
    );
    assert_eq!(total % minor_unit(account), Units::ZERO, "so is a bill");
    assert!((Units::ZERO..=total).contains(&credited) && entry.amount() >= Units::ZERO, "{credited} is credited of {total}");
    assert!(refunded <= billed);
    if refunded == billed {
        assert_eq!(credited, total, "a full refund credits exactly the bill");
    }
}

/// What a close writes.
const IS_OF_CLOSE: [EntryKind; 3] = [EntryKind::PeriodClosed, EntryKind::Rounded, EntryKind::AmountDueRounded];

const IS_ROUNDING: [EntryKind; 2] = [EntryKind::Rounded, EntryKind::AmountDueRounded];

/// How many units the currency's minor unit is.
pub fn minor_unit(account: &Account) -> Units {
    Units::new(10_i64.pow(u32::from(account.decimals - account.minor_digits)))
}

fn account_of(partition_state: &PartitionState, id: &str) -> Option<Account> {
    partition_state.load(&[id.into()]).into_iter().next().flatten().map(|(account, _)| account)
}

/// 2. `reserved` equals the sum of open reservations; none outlives its expiry.
fn reserved_is_the_sum_of_open_reservations(partition_state: &PartitionState, id: &str, account: &Account, now: UnixMillis) {
    let open = partition_state.reservations(&AccountId::from(id), None, usize::MAX);
    assert_eq!(account.reserved, open.iter().map(|(_, reservation)| reservation.amount).sum::<Units>());
    assert_eq!(account.open_reservations as usize, open.len());
    assert!(open.iter().all(|(_, reservation)| reservation.expires_at > now));
}

/// 3. The sums of an account's entries equal its balance and its unbilled amount; no sequence has a gap.
fn entries_add_up(id: &str, account: &Account, all_entries: &[Entry]) {
    let (mut balance, mut unbilled, mut sequence) = (Units::ZERO, Units::ZERO, 0);
    for entry in all_entries.iter().filter(|entry| entry.account == id) {
        let moved = entry.data.movement();
        balance += moved.balance;
        unbilled += moved.unbilled;
        assert_eq!((entry.balance, entry.unbilled), (balance, unbilled), "an entry shows the account after it: {entry:?}");
        if entry.kind().moves_money() {
            sequence += 1;
            assert_eq!(entry.account_sequence, sequence);
        } else {
            assert_eq!(entry.account_sequence, 0);
        }
    }
    assert_eq!((account.balance, account.unbilled, account.sequence), (balance, unbilled, sequence));
}

/// No write-off gives up more than is due, and no more of one is taken back than it gave up.
fn write_offs_are_of_debts_only(id: &str, all_entries: &[Entry]) {
    let mut left = HashMap::new();
    for entry in all_entries.iter().filter(|entry| entry.account == id) {
        match entry.kind() {
            EntryKind::WrittenOff => {
                assert!(entry.amount() > Units::ZERO && entry.balance <= Units::ZERO, "more was given up than was due: {entry:?}");
                left.insert(entry.request_id.clone(), entry.amount());
            }
            EntryKind::WriteOffReversed => {
                let left = left.get_mut(&entry.refers_to).unwrap();
                *left -= entry.amount();
                assert!(entry.amount() > Units::ZERO && *left >= Units::ZERO, "more was taken back than was given up: {entry:?}");
            }
            _ => {}
        }
    }
}
