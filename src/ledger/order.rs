//! A command with its digests: what an engine looks up and compares.

use std::fmt;

use crate::domain::command::{Action, Command, Debit, LimitChange, Reserve, TemporaryChange, Then, Undo, Until};
use crate::domain::money::Quote;
use crate::domain::rules::Fingerprint;

/// The digest of (account, request id) under which a request, and a reservation, is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKey(pub [u8; 16]);

impl RequestKey {
    /// The key of a request id of an account.
    #[must_use]
    pub fn of(account: &str, request_id: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(account.len() as u64).to_le_bytes());
        hasher.update(account.as_bytes());
        hasher.update(request_id.as_bytes());
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        Self(key)
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A command, ready for an engine.
#[derive(Clone, Debug)]
pub struct Order {
    /// The command.
    pub command: Command,
    /// Its own key.
    pub key: RequestKey,
    /// What the caller sent, digested.
    pub fingerprint: Fingerprint,
    /// The key of the command that it refers to.
    pub original: Option<RequestKey>,
}

impl Order {
    /// Digests a command.
    #[must_use]
    pub fn new(command: Command) -> Self {
        let key = RequestKey::of(&command.account, &command.request_id);
        let original = command.action.refers_to().map(|id| RequestKey::of(&command.account, id));
        let fingerprint = fingerprint(&command);
        Self { command, key, fingerprint, original }
    }
}

/// The partition of an account.
#[must_use]
pub fn partition_of(account: &str, partitions: u16) -> u16 {
    if partitions <= 1 {
        return 0;
    }
    let owner = account.split('/').next().unwrap_or(account);
    let digest = blake3::hash(owner.as_bytes());
    let [a, b, c, d, ..] = *digest.as_bytes();
    u16::try_from(u32::from_le_bytes([a, b, c, d]) % u32::from(partitions)).unwrap_or(0)
}

/// Digests all that was sent but what only guards or names the request: amounts normalized, relative times as sent.
fn fingerprint(command: &Command) -> Fingerprint {
    let mut digest = Digest(blake3::Hasher::new());
    digest.number(command.action.kind() as i64);
    digest.text(command.currency.as_ref().map_or("", |currency| currency.code()));
    digest.action(&command.action);
    let note = &command.note;
    digest.number(note.category.map_or(0, |category| category as i64));
    for text in [&note.item, &note.description, &note.quantity, &note.unit, &note.actor, &note.reason] {
        digest.text(text);
    }
    digest.number(note.occurred_at.unwrap_or(i64::MIN));
    digest.number(note.attributes.len() as i64);
    for (key, value) in &note.attributes {
        digest.text(key);
        digest.text(value);
    }
    let mut fingerprint = [0; 8];
    digest.0.finalize_xof().fill(&mut fingerprint);
    fingerprint
}

struct Digest(blake3::Hasher);

impl Digest {
    fn number(&mut self, number: i64) {
        self.0.update(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as i64);
        self.0.update(text.as_bytes());
    }

    fn quote(&mut self, quote: Quote) {
        self.number(quote.mantissa());
        self.number(i64::from(quote.scale()));
    }

    fn option<T>(&mut self, value: Option<T>, digest: impl FnOnce(&mut Self, T)) {
        self.number(i64::from(value.is_some()));
        if let Some(value) = value {
            digest(self, value);
        }
    }

    fn reserve(&mut self, reserve: &Reserve) {
        self.quote(reserve.amount);
        self.option(reserve.minimum, Self::quote);
        self.number(reserve.validity);
        self.number(reserve.grace);
    }

    fn undo(&mut self, undo: &Undo) {
        self.text(&undo.original);
        self.option(undo.amount, Self::quote);
    }

    fn limit(&mut self, change: &LimitChange) {
        self.option(change.permanent, Self::quote);
        match change.temporary {
            TemporaryChange::Keep => self.number(0),
            TemporaryChange::Remove => self.number(1),
            TemporaryChange::Set { amount, until } => {
                match until {
                    Until::Instant(instant) => (self.number(2), self.number(instant)),
                    Until::After(duration) => (self.number(3), self.number(duration)),
                };
                self.quote(amount);
            }
        }
    }

    fn debit(&mut self, debit: &Debit) {
        self.quote(debit.amount);
        self.number(debit.category as i64);
        self.text(debit.reservation.as_deref().unwrap_or_default());
        match &debit.then {
            Then::Settle => self.number(0),
            Then::Keep => self.number(1),
            Then::Reserve(reserve) => {
                self.number(2);
                self.reserve(reserve);
            }
        }
        self.number(debit.excess as i64);
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Observe { .. } | Action::Suspend | Action::Resume | Action::Close => {}
            Action::Authorize(reserve) => self.reserve(reserve),
            Action::Debit(debit) => self.debit(debit),
            Action::Release { reservation } => self.text(reservation),
            Action::Refund(undo) | Action::ReversePayment(undo) => self.undo(undo),
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
                self.option(create.low_credit_threshold, Self::quote);
                self.number(create.non_usage_billing as i64);
                self.number(i64::from(create.allow_unusable));
            }
            Action::Update { name, low_credit_threshold, non_usage_billing } => {
                self.option(name.as_deref(), Self::text);
                self.option(*low_credit_threshold, |digest, threshold| digest.option(threshold, Self::quote));
                self.number(non_usage_billing.map_or(0, |billing| billing as i64));
            }
            Action::TopUp { amount } | Action::Withdraw { amount } | Action::Adjust { amount } => self.quote(*amount),
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
    use crate::domain::command::Note;

    fn top_up(amount: Quote) -> Command {
        Command {
            account: "acme".into(),
            request_id: "r1".into(),
            first_sent_at: None,
            currency: None,
            action: Action::TopUp { amount },
            note: Note::default(),
        }
    }

    #[test]
    fn equal_amounts_have_equal_fingerprints_however_they_were_written() {
        let one = Order::new(top_up(Quote::parse("1.50").unwrap()));
        let other = Order::new(top_up(Quote::parse("1.5000").unwrap()));
        assert_eq!(one.fingerprint, other.fingerprint);
        assert_ne!(one.fingerprint, Order::new(top_up(Quote::parse("1.51").unwrap())).fingerprint);
    }

    #[test]
    fn a_key_depends_on_where_the_account_id_ends() {
        assert_ne!(RequestKey::of("ab", "c"), RequestKey::of("a", "bc"));
    }

    #[test]
    fn a_partner_and_its_customers_share_a_partition() {
        for customer in 0..50 {
            assert_eq!(partition_of(&format!("partner/{customer}"), 64), partition_of("partner", 64));
        }
    }
}
