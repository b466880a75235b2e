//! A command with its digests: what an engine looks up and compares.

use std::sync::Arc;

use crc::{CRC_32_ISCSI, Crc};

use crate::codec::journal::{encode_asked, encode_legacy_rest, put_context, put_fingerprint};
use crate::digest::digested;
use crate::idempotency_key::IdempotencyKey;
use domain::command::{Action, Command};
use domain::rules::Fingerprint;

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
    pub payload: Vec<u8>,
}

impl PreparedCommand {
    /// Digests a command.
    #[must_use]
    pub fn new(command: impl Into<Arc<Command>>) -> Self {
        Self::prepare(command.into(), None)
    }

    /// A command that does again what was done and lost. It has the fingerprint of what was asked first, which may have been put otherwise:
    /// so a repetition of that is known as one.
    #[must_use]
    pub fn again(command: Command, fingerprint: Fingerprint) -> Self {
        Self::prepare(command.into(), Some(fingerprint).filter(|fingerprint| *fingerprint != Fingerprint::default()))
    }

    fn prepare(command: Arc<Command>, asked_first: Option<Fingerprint>) -> Self {
        let key = IdempotencyKey::of(&command.account, &command.request_id);
        let original = command.action.refers_to().map(|id| IdempotencyKey::of(&command.account, id));
        let mut payload = encode_asked(&command);
        let fingerprint = asked_first.unwrap_or_else(|| fingerprint(&command, &command.action, &payload));
        put_context(&mut payload, &command.metadata);
        put_fingerprint(&mut payload, &fingerprint);
        Self { command, key, fingerprint, original, payload }
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
        digest.bytes(asked);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::command::Metadata;
    use domain::money::DecimalAmount;

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
    fn a_partner_and_its_customers_share_a_partition() {
        for customer in 0..50 {
            assert_eq!(partition_of(&format!("partner/{customer}"), 64), partition_of("partner", 64));
        }
    }
}
