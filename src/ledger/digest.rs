//! Digests of what is asked: the key of a request, and its fingerprint.

use std::cell::Cell;

use domain::command::{Action, Debit, LimitChange, RemainderPolicy, Reserve, Reversal, TemporaryChange, Until};
use domain::money::DecimalAmount;

thread_local! {
    /// Where is gathered what is to be hashed: two digests are made of each command.
    static GATHERED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The first bytes of the digest of what is gathered.
///
/// It is gathered first and hashed at once: BLAKE3 takes 64 bytes in the time of one.
pub(crate) fn digested<const COUNT: usize>(gather: impl FnOnce(&mut Digest)) -> [u8; COUNT] {
    let mut digest = Digest(GATHERED.take());
    digest.0.clear();
    gather(&mut digest);
    let hash = blake3::hash(&digest.0);
    GATHERED.set(digest.0);
    hash.as_bytes().first_chunk().copied().unwrap_or([0; COUNT])
}

/// The input of a digest.
pub(crate) struct Digest(Vec<u8>);

impl Digest {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as i64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn decimal(&mut self, decimal: DecimalAmount) {
        self.number(decimal.mantissa());
        self.number(i64::from(decimal.scale()));
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, digest: impl FnOnce(&mut Self, T)) {
        self.number(i64::from(value.is_some()));
        if let Some(value) = value {
            digest(self, value);
        }
    }

    fn reserve(&mut self, reserve: &Reserve) {
        self.decimal(reserve.amount);
        self.option(reserve.minimum, Self::decimal);
        self.number(reserve.validity);
        self.number(reserve.grace);
    }

    fn reversal(&mut self, reversal: &Reversal) {
        self.text(&reversal.original);
        self.option(reversal.amount, Self::decimal);
    }

    fn limit(&mut self, change: &LimitChange) {
        self.option(change.permanent, Self::decimal);
        match change.temporary {
            TemporaryChange::Keep => self.number(0),
            TemporaryChange::Remove => self.number(1),
            TemporaryChange::Set { amount, until } => {
                match until {
                    Until::Instant(instant) => (self.number(2), self.number(instant.get())),
                    Until::After(duration) => (self.number(3), self.number(duration)),
                };
                self.decimal(amount);
            }
        }
    }

    fn debit(&mut self, debit: &Debit) {
        self.decimal(debit.amount);
        self.number(debit.category as i64);
        self.text(debit.reservation.as_deref().unwrap_or_default());
        match &debit.then {
            RemainderPolicy::Settle => self.number(0),
            RemainderPolicy::Keep => self.number(1),
            RemainderPolicy::Reserve(reserve) => {
                self.number(2);
                self.reserve(reserve);
            }
        }
        self.number(debit.excess as i64);
    }

    pub(crate) fn action(&mut self, action: &Action) {
        match action {
            Action::Observe { .. } | Action::Suspend | Action::Resume | Action::Close | Action::Reopen | Action::ClosePeriod => {}
            Action::Authorize(reserve) => self.reserve(reserve),
            Action::Debit(debit) => self.debit(debit),
            Action::Release { reservation } => self.text(reservation),
            Action::Refund(reversal) | Action::ReversePayment(reversal) | Action::ReverseWriteOff(reversal) => self.reversal(reversal),
            Action::WriteOff { amount } => self.option(*amount, Self::decimal),
            Action::Convert { mode, limit, allow_unusable } => {
                self.number(*mode as i64);
                self.limit(limit);
                self.number(i64::from(*allow_unusable));
            }
            Action::Create(create) => {
                self.text(&create.name);
                self.text(create.currency.code());
                self.number(i64::from(create.decimals));
                self.number(create.mode as i64);
                self.limit(&create.limit);
                self.option(create.low_credit_threshold, Self::decimal);
                self.number(create.non_usage_billing as i64);
                self.number(i64::from(create.allow_unusable));
            }
            Action::Update { name, low_credit_threshold, non_usage_billing } => {
                self.option(name.as_deref(), Self::text);
                self.option(*low_credit_threshold, |digest, threshold| digest.option(threshold, Self::decimal));
                self.number(non_usage_billing.map_or(0, |billing| billing as i64));
            }
            // Told from a rename to the same name.
            Action::EraseName => self.number(1),
            // The invoices that a payment names are in the metadata.
            Action::TopUp { amount }
            | Action::RecordPayment { amount, .. }
            | Action::Withdraw { amount, .. }
            | Action::Adjust { amount } => self.decimal(*amount),
            Action::SetCreditLimit { limit, allow_unusable } => {
                self.limit(limit);
                self.number(i64::from(*allow_unusable));
            }
        }
    }
}
