//! Undoes what a step did to a partition in memory, when its store did not take it.
//!
//! Each change keeps what it replaced. So a step is undone at the cost of what it changed, however much the partition holds.

use std::hash::{BuildHasher, Hash};

use super::{Changes, DigestMap, IdempotencyKey, KeptRecord, NamePlace, PartitionState, ReservationPlace, SplitMap, State, fold_name};
use domain::account::{Account, Profile, Reservation};
use domain::ids::AccountId;
use domain::money::Units;
use domain::rules::{RefundKey, Refunded};
use domain::time::UnixMillis;

/// The values that a change replaced; `None` if there was nothing.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    State(State),
    Account(AccountId, Option<Account>),
    Profile(AccountId, Option<Profile>),
    Reservation(IdempotencyKey, Option<Reservation>),
    /// Of the younger requests.
    Request(IdempotencyKey, Option<KeptRecord>),
    Refunded(RefundKey, Option<Refunded>),
    /// The older requests that a swap of the generations dropped.
    Rotated(DigestMap<IdempotencyKey, KeptRecord>),
}

impl PartitionState {
    /// Takes back what a step changed. Of several steps, the last comes first.
    pub(crate) fn undo(&mut self, changes: Changes) {
        for before in changes.before.into_iter().rev() {
            match before {
                Before::State(state) => self.state = state,
                Before::Account(id, account) => put_back(&mut self.accounts, id, account),
                Before::Profile(id, profile) => self.put_back_profile(id, profile),
                Before::Reservation(key, reservation) => self.put_back_reservation(key, reservation),
                Before::Request(key, remembered) => put_back(&mut self.requests, key, remembered),
                Before::Refunded(key, Some(refunded)) => drop(self.refunds.insert(key, refunded)),
                Before::Refunded(key, None) => drop(self.refunds.remove(&key)),
                Before::Rotated(older) => self.requests = std::mem::replace(&mut self.older_requests, older),
            }
        }
    }

    /// Takes all reservations off, as if there had never been one: for a rebuild that does not know them.
    pub(crate) fn forget_reservations(&mut self) {
        self.reservations.clear();
        self.expiries.clear();
        self.by_account.clear();
        for account in self.accounts.values_mut() {
            (account.reserved, account.open_reservations) = (Units::ZERO, 0);
        }
    }

    /// Returns when an account was created.
    pub(crate) fn set_created_at(&mut self, id: &str, created_at: UnixMillis) {
        if let Some(profile) = self.profiles.get_mut(id) {
            profile.created_at = created_at;
        }
    }

    fn put_back_profile(&mut self, id: AccountId, before: Option<Profile>) {
        let place = |profile: &Profile| NamePlace { folded_name: fold_name(&profile.name), account: id.clone() };
        if let Some(place) = self.profiles.get(&id).map(place) {
            self.names.remove(&place);
        }
        if let Some(place) = before.as_ref().map(place) {
            self.names.insert(place);
        }
        put_back(&mut self.profiles, id, before);
    }

    fn put_back_reservation(&mut self, key: IdempotencyKey, before: Option<Reservation>) {
        self.remove_reservation(key);
        if let Some(reservation) = before {
            self.expiries.insert((reservation.expires_at, key));
            self.by_account.insert((reservation.account.clone(), ReservationPlace::of(key, &reservation)));
            self.reservations.insert(key, reservation);
        }
    }
}

fn put_back<K: Hash + Eq, V, S: BuildHasher>(map: &mut SplitMap<K, V, S>, key: K, before: Option<V>) {
    match before {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::PreparedCommand;
    use crate::model::{BatchTime, MAX_EXPIRIES};
    use domain::account::{Category, Currency, Mode, NonUsageBilling};
    use domain::command::{Action, Command, Create, Debit, ExcessPolicy, LimitChange, RemainderPolicy, Reserve, Reversal};
    use domain::ids::RequestId;
    use domain::money::DecimalAmount;

    fn prepared(request_id: &str, action: Action) -> PreparedCommand {
        PreparedCommand::new(Arc::new(Command::new("acme", request_id, action)))
    }

    fn debit(amount: i64, reservation: Option<&str>) -> Action {
        let reservation = reservation.map(str::to_owned);
        Action::Debit(Debit {
            amount: DecimalAmount::new(amount, 0),
            category: Category::Usage,
            reservation: reservation.map(RequestId::from),
            then: RemainderPolicy::Settle,
            excess: ExcessPolicy::WithinUsableCredit,
        })
    }

    #[test]
    fn a_step_that_is_undone_leaves_nothing_whatever_it_did() {
        let create = Action::Create(Create {
            name: "Acme".into(),
            currency: Currency::parse("EUR").unwrap(),
            minor_digits: 2,
            decimals: 4,
            mode: Mode::Prepaid,
            limit: LimitChange::default(),
            low_credit_threshold: None,
            non_usage_billing: NonUsageBilling::Consolidated,
            allow_unusable: false,
        });
        let reserve = Reserve { amount: DecimalAmount::new(5, 0), minimum: None, validity: 1_000, grace: 1_000 };
        let refund = Reversal::of("charge".into(), Some(DecimalAmount::new(1, 0)));
        let rename = |name: &str| Action::Update { name: Some(name.into()), low_credit_threshold: None, non_usage_billing: None };
        let steps = [
            (0, vec![prepared("create", create)]),
            (
                1,
                vec![
                    prepared("top-up", Action::TopUp { amount: DecimalAmount::new(100, 0) }),
                    prepared("hold", Action::Authorize(reserve)),
                ],
            ),
            (
                2,
                vec![prepared("charge", debit(3, None)), prepared("other", Action::Authorize(reserve)), prepared("name", rename("Zenith"))],
            ),
            (3, vec![prepared("refund", Action::Refund(refund.clone())), prepared("again", Action::Refund(refund))]),
            (4, vec![prepared("settle", debit(2, Some("hold"))), prepared("name-2", rename("acme"))]),
            // The other reservation expires.
            (10_000, vec![prepared("late", debit(1, None))]),
            // A due event: a reservation expires, or the generations swap.
            (100_000, vec![]),
            (100_001, vec![prepared("top-up", Action::TopUp { amount: DecimalAmount::new(100, 0) }), prepared("close", Action::Close)]),
            (200_000, vec![]),
        ];
        let mut partition_state = PartitionState::default();
        let mut has_changed = 0;
        for (now, commands) in steps {
            let before = partition_state.clone();
            let time = BatchTime { now: UnixMillis::new(now + 1), period_ends: [1 << 40, 1 << 41].map(UnixMillis::new), window: 60_000 };
            let changes =
                if commands.is_empty() { partition_state.sweep(&time).1 } else { partition_state.apply(&commands, &time, [7; 16]).1 };
            let after = partition_state.clone();
            has_changed += usize::from(after != before);
            partition_state.undo(changes);
            assert_eq!(partition_state, before, "undone at {now}");
            partition_state = after;
        }
        assert!(has_changed >= 8 && partition_state.sizes().reservations < MAX_EXPIRIES as u64);
    }
}
