//! A command with its digests: what an engine looks up and compares.

use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crc::{CRC_32_ISCSI, Crc};

use crate::codec::journal::{encode_asked, encode_legacy_rest, put_context, put_fingerprint};
use domain::command::{Action, Command, Debit, LimitChange, RemainderPolicy, Reserve, Reversal, TemporaryChange, Until};
use domain::money::DecimalAmount;
use domain::rules::Fingerprint;

/// The digest of (account, request id) under which a request, and a reservation, is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdempotencyKey(pub [u8; 16]);

impl AsRef<[u8]> for IdempotencyKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Hash for IdempotencyKey {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // A digest is as good a hash as any.
        hasher.write_u64(self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
    }
}

impl IdempotencyKey {
    /// The key of a request id of an account.
    #[must_use]
    pub fn of(account: &str, request_id: &str) -> Self {
        Self(digested(|digest| {
            digest.text(account);
            digest.0.extend_from_slice(request_id.as_bytes());
        }))
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A command, ready for an engine.
#[derive(Clone, Debug)]
pub struct PreparedCommand {
    /// The command; the caller that waits for its answer holds it too.
    pub command: Arc<Command>,
    /// Its own key.
    pub key: IdempotencyKey,
    /// What was asked, digested.
    pub fingerprint: Fingerprint,
    /// The key of the command that it refers to.
    pub original: Option<IdempotencyKey>,
    /// What its journal entries repeat of it: all that was sent and the rules do not look at.
    pub rest: Vec<u8>,
}

impl PreparedCommand {
    /// Digests a command.
    #[must_use]
    pub fn new(command: impl Into<Arc<Command>>) -> Self {
        let command = command.into();
        let key = IdempotencyKey::of(&command.account, &command.request_id);
        let original = command.action.refers_to().map(|id| IdempotencyKey::of(&command.account, id));
        let mut rest = encode_asked(&command);
        let fingerprint = fingerprint(&command, &command.action, &rest);
        put_context(&mut rest, &command.metadata);
        put_fingerprint(&mut rest, &fingerprint);
        Self { command, key, fingerprint, original, rest }
    }
}

impl PreparedCommand {
    /// The fingerprint that format version 2 made of the same command: remembered ones are compared with it until their window is over.
    #[must_use]
    pub fn legacy_fingerprint(&self) -> Fingerprint {
        // A write-off was an adjustment.
        let legacy = match self.command.action {
            Action::WriteOff { amount: Some(amount) } => &Action::Adjust { amount },
            ref action => action,
        };
        fingerprint(&self.command, legacy, &encode_legacy_rest(&self.command))
    }
}

/// What spreads accounts over partitions. It guards nothing and is taken of each command, so it need not be a strong digest.
const SPREAD: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The partition of an account.
#[must_use]
pub fn partition_of(account: &str, partitions: u16) -> u16 {
    if partitions <= 1 {
        return 0;
    }
    let owner = account.split('/').next().unwrap_or(account);
    u16::try_from(SPREAD.checksum(owner.as_bytes()) % u32::from(partitions)).unwrap_or(0)
}

/// Digests what was asked, and neither who asked and why nor what only guards the request: amounts normalized, relative times as sent.
fn fingerprint(command: &Command, action: &Action, asked: &[u8]) -> Fingerprint {
    digested(|digest| {
        digest.number(action.kind() as i64);
        digest.number(command.currency.map_or(0, |currency| i64::from(currency.to_number())));
        digest.action(action);
        digest.0.extend_from_slice(asked);
    })
}

thread_local! {
    /// Where is gathered what is to be hashed: two digests are made of each command.
    static GATHERED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The first bytes of the digest of what is gathered.
///
/// It is gathered first and hashed at once: BLAKE3 takes 64 bytes in the time of one.
fn digested<const COUNT: usize>(gather: impl FnOnce(&mut Digest)) -> [u8; COUNT] {
    let mut digest = Digest(GATHERED.take());
    digest.0.clear();
    gather(&mut digest);
    let hash = blake3::hash(&digest.0);
    GATHERED.set(digest.0);
    hash.as_bytes().first_chunk().copied().unwrap_or([0; COUNT])
}

/// What is to be hashed.
struct Digest(Vec<u8>);

impl Digest {
    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as i64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn decimal(&mut self, decimal: DecimalAmount) {
        self.number(decimal.mantissa());
        self.number(i64::from(decimal.scale()));
    }

    fn option<T>(&mut self, value: Option<T>, digest: impl FnOnce(&mut Self, T)) {
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
                    Until::Instant(instant) => (self.number(2), self.number(instant)),
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

    fn action(&mut self, action: &Action) {
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
            // The invoices that a payment names are in the ending.
            Action::TopUp { amount } | Action::RecordPayment { amount, .. } | Action::Withdraw { amount } | Action::Adjust { amount } => {
                self.decimal(*amount)
            }
            Action::SetCreditLimit { limit, allow_unusable } => {
                self.limit(limit);
                self.number(i64::from(*allow_unusable));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::command::Metadata;

    fn top_up(amount: DecimalAmount) -> Command {
        Command {
            account: "acme".into(),
            request_id: "r1".into(),
            first_sent_at: None,
            currency: None,
            action: Action::TopUp { amount },
            metadata: Metadata::default(),
        }
    }

    #[test]
    fn equal_amounts_have_equal_fingerprints_however_they_were_written() {
        let one = PreparedCommand::new(top_up(DecimalAmount::parse("1.50").unwrap()));
        let other = PreparedCommand::new(top_up(DecimalAmount::parse("1.5000").unwrap()));
        assert_eq!(one.fingerprint, other.fingerprint);
        assert_ne!(one.fingerprint, PreparedCommand::new(top_up(DecimalAmount::parse("1.51").unwrap())).fingerprint);
    }

    #[test]
    fn a_repetition_may_come_from_another_process_and_for_another_reason() {
        let metadata = |actor: &str, reason: &str| Metadata { actor: actor.into(), reason: reason.into(), ..Metadata::default() };
        let command = top_up(DecimalAmount::new(5, 0));
        let one = PreparedCommand::new(Command { metadata: metadata("pod-1", "paid"), ..command.clone() });
        let other = PreparedCommand::new(Command { metadata: metadata("pod-2", "paid by card"), ..command.clone() });
        assert_eq!(one.fingerprint, other.fingerprint);
        // Version 2 took them for two.
        assert_ne!(one.legacy_fingerprint(), other.legacy_fingerprint());
        let described = Metadata { description: "for May".into(), ..metadata("pod-1", "paid") };
        assert_ne!(one.fingerprint, PreparedCommand::new(Command { metadata: described, ..command }).fingerprint);
    }

    #[test]
    fn a_key_depends_on_where_the_account_id_ends() {
        assert_ne!(IdempotencyKey::of("ab", "c"), IdempotencyKey::of("a", "bc"));
    }

    #[test]
    fn a_partner_and_its_customers_share_a_partition() {
        for customer in 0..50 {
            assert_eq!(partition_of(&format!("partner/{customer}"), 64), partition_of("partner", 64));
        }
    }
}
