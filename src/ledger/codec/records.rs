//! The records that Redis stores, and what goes to the script: declared once, here, for [`crate::codec`] and the script.

use super::record::{
    Amount, Byte, Bytes8, Bytes16, Count, Field, Long, LongAmount, LongSequence, LongTime, Sequence, Short, Stored, Time, record,
};

record! {
    /// The state of a partition that every step reads.
    struct StepState {
        /// The version of keys and records.
        version: Count,
        /// The sequence of the last entry.
        sequence: LongSequence,
        /// The time of the last step.
        now: LongTime,
        /// When the clock was last compared with Redis's.
        checked_at: LongTime,
        /// When the first reservation expires.
        next_expiry: LongTime,
        /// When the generations of request ids changed their roles.
        rotated_at: LongTime,
        /// Whether there are ids of an older generation.
        has_older: Byte,
        /// Until when changes are announced.
        watched_until: LongTime,
        /// The id of the last block.
        last_block: Bytes16,
        /// How often the generations changed their roles.
        generation: Count,
    }
}

record! {
    /// The rest of it.
    struct RareState {
        /// Until when fingerprints of format version 2 are known.
        legacy_until: LongTime,
        /// Up to which entry nothing is known of what was given back.
        refunds_dropped_until: LongSequence,
        /// Until when a reservation that the younger generation remembers can be charged for.
        reserved_until: LongTime,
        /// The same of the older one.
        older_reserved_until: LongTime,
        /// The ledger that it is of.
        ledger: Bytes8,
        /// Whether a billing store reads the journal.
        is_read: Byte,
    }
}

record! {
    /// What charges move of an account, and an entry repeats.
    struct Moving {
        /// Its balance.
        balance: Amount,
        /// What is not yet billed.
        unbilled: Amount,
        /// The sum of open reservations.
        reserved: Amount,
        /// How many entries it has.
        sequence: Sequence,
    }
}

record! {
    /// What charges look at besides.
    struct Terms {
        /// The permanent credit limit.
        permanent_limit: Amount,
        /// The end of the temporary one.
        temporary_until: Time,
        /// The end of the billing period.
        period_end: Time,
        /// The number of the open bill.
        open_bill: Count,
        /// Whether it is active.
        status: Byte,
        /// Prepaid or postpaid.
        mode: Byte,
        /// How many decimals its amounts have.
        decimals: Byte,
    }
}

record! {
    /// What plain charges leave packed.
    struct RareTerms {
        /// Whether charges that are not usage have bills of their own.
        non_usage_billing: Byte,
        /// How many decimals its currency has.
        minor_digits: Byte,
        /// Its currency.
        currency: Count,
        /// The temporary credit limit.
        temporary_limit: Amount,
        /// The number of its last bill.
        last_bill: Count,
        /// How many reservations are open.
        open_reservations: Count,
    }
}

record! {
    /// Fields of an account that only the script uses.
    struct Expiry {
        /// From when on its reservations are counted in what is reserved. It may be earlier than that, for instance 0.
        next_expiry: Time,
    }
}

record! {
    /// A reservation. The account ([`TEXT`]) and the id follow.
    struct StoredReservation {
        /// The reserved amount.
        amount: Amount,
        /// By when what was consumed is to be reported.
        report_by: Time,
        /// When it expires.
        expires_at: Time,
    }
}

record! {
    /// A remembered decision.
    struct Remembered {
        /// The digest of what was asked.
        fingerprint: Bytes8,
        /// The kind of the command.
        kind: Byte,
        /// What was decided.
        verdict: Byte,
        /// What follows; see [`super::flag`].
        flags: Byte,
        /// How the reservation that it made ended.
        ended: Byte,
        /// The amount.
        amount: Amount,
        /// The sequence of its entry.
        sequence: Sequence,
    }
}

record! {
    /// How and into which bill a remembered charge was charged.
    struct RememberedCharge {
        /// The kind of its entry.
        kind: Byte,
        /// The bill.
        bill: Count,
    }
}

record! {
    /// What is kept of what was given back.
    struct StoredRefund {
        /// The sum.
        sum: Amount,
        /// What was billed; -1: not known, or not of a bill.
        billed: Amount,
        /// The sequence of the last entry that gave back.
        sequence: Sequence,
        /// Its time.
        time: Time,
    }
}

record! {
    /// A profile. The place in the list of names ([`TEXT`]) and the name follow.
    struct StoredProfile {
        /// From which usable credit on an alarm is raised; -1: there is none.
        low_credit_threshold: LongAmount,
        /// When the account was created.
        created_at: LongTime,
    }
}

record! {
    /// The start of a block of the journal. The ids of the accounts, the metadata and the entries follow.
    struct BlockHeader {
        /// The sequence of its first entry.
        first_sequence: LongSequence,
        /// How many entries it has.
        count: Count,
        /// Their time.
        time: LongTime,
        /// Its id.
        id: Bytes16,
        /// The id of the block before.
        previous: Bytes16,
        /// How many accounts it names.
        accounts: Short,
        /// How many metadata records it has.
        metadata: Short,
    }
}

record! {
    /// The start of what a command's entries have in common. A protobuf message of what the caller sent follows.
    struct MetadataHeader {
        /// The place of its account in the block, from 1 on.
        account: Short,
        /// The length of the message.
        length: Count,
    }
}

record! {
    /// An entry. If it has a time other than the block's, [`super::record::Number`] follows; if it has details, two; and if it says what it gives back,
    /// three. Flags in the bytes of kind and mode say what is there.
    struct StoredEntry {
        /// Its kind, and flags.
        kind: Byte,
        /// The account's mode, and a flag.
        mode: Byte,
        /// The place of its metadata.
        metadata_place: Short,
        /// The bill that it falls into.
        bill: Count,
        /// Its amount.
        amount: Amount,
        /// What the account had after it.
        balance: Amount,
        /// The same of what was not yet billed.
        unbilled: Amount,
        /// The same of what was reserved.
        reserved: Amount,
        /// Its sequence among the account's.
        account_sequence: Sequence,
    }
}

record! {
    /// The start of a batch on its way to the script; see `src/ledger/redis/batch.rs` for what follows.
    struct BatchHeader {
        /// The sender's time.
        now: LongTime,
        /// How far ahead of Redis's it may be; negative: it is not looked at.
        max_ahead: Long,
        /// The end of the billing period that it is in.
        this_period_end: LongTime,
        /// The end of the next.
        next_period_end: LongTime,
        /// For how long request ids are remembered.
        window: Long,
        /// The id that its block will have.
        block: Bytes16,
        /// The ledger that it is for.
        ledger: Bytes8,
        /// How many accounts it touches.
        accounts: Short,
        /// How many requests it touches.
        requests: Short,
        /// How many commands it has.
        commands: Short,
        /// How many of the requests may have a reservation.
        reservations: Short,
        /// How many of the accounts need their profile.
        profiles: Short,
    }
}

record! {
    /// A command of a batch.
    struct StoredCommand {
        /// What it is: the scale of its amount and 1, its kind, its option.
        form: Count,
        /// The place of its account.
        account: Short,
        /// The place of its request.
        request: Short,
        /// The first half of its fingerprint: the script makes a string in the time of four numbers.
        first_half: Count,
        /// The second.
        second_half: Count,
        /// The mantissa of its amount.
        mantissa: Long,
    }
}

/// What a text with its length before it is to `struct`.
pub const TEXT: &str = "I2c0";

/// The bytes of its length.
pub const TEXT_BYTES: usize = Short::BYTES;

/// All fields of an account's record.
#[must_use]
pub fn account_fields() -> Vec<Field> {
    [Moving::FIELDS, Terms::FIELDS, RareTerms::FIELDS, Expiry::FIELDS].concat()
}

/// All fields of a partition's state.
#[must_use]
pub fn state_fields() -> Vec<Field> {
    [StepState::FIELDS, RareState::FIELDS].concat()
}
