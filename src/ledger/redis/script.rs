//! The batch script, with its constants put in.
//!
//! The numbers of commands, refusals, entries and so on come from the Rust types, and formats, fields and places from the declarations of
//! the records, so that the script cannot disagree with them.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use crate::codec::journal::{ACCOUNT_ONLY, entry_flag};
use crate::codec::record::{Field, format, joined, offset};
use crate::codec::records::{
    BatchHeader, BlockHeader, Expiry, MetadataHeader, Moving, RareState, Remembered, RememberedCharge, StepState, StoredCommand,
    StoredEntry, StoredProfile, StoredRefund, StoredReservation, TEXT, TEXT_BYTES, Terms, account_fields, state_fields,
};
use crate::codec::{ACCOUNT_BYTES, flag};
use crate::model::{MAX_EXPIRIES, MAX_STEP_EXPIRIES};
use domain::account::{Category, Mode, NonUsageBilling, Status};
use domain::command::Kind;
use domain::entry::EntryKind;
use domain::money::{MAX_COMMANDED_UNITS, MAX_UNITS};
use domain::outcome::{Refusal, Verdict};
use domain::rules::{MAX_OPEN_RESERVATIONS, MAX_SENT_AHEAD, ReservationEnd};
use domain::time::UnixMillis;

/// The version of keys and records. A store of another version is refused.
pub const FORMAT_VERSION: u32 = 3;

/// The score of the sentinel among the expiries: later than any.
pub const NEVER: UnixMillis = UnixMillis::new((1 << 53) - 1);

/// The parts of the batch script, in their order.
const BATCH_FILES: &str = concat!(
    include_str!("lua/aliases.lua"),
    include_str!("lua/load.lua"),
    include_str!("lua/records.lua"),
    include_str!("lua/due.lua"),
    include_str!("lua/requests.lua"),
    include_str!("lua/fast_path.lua"),
    include_str!("lua/records.lua"),
    include_str!("lua/optional_state.lua"),
    include_str!("lua/formulas.lua"),
    include_str!("lua/charging.lua"),
    include_str!("lua/wallet.lua"),
    include_str!("lua/reversal.lua"),
    include_str!("lua/step.lua"),
    include_str!("lua/end_of_rules.lua"),
    include_str!("lua/write.lua"),
);

/// The parts of the sweep.
const SWEEP_FILES: &str = concat!(include_str!("lua/aliases.lua"), include_str!("lua/records.lua"), include_str!("lua/sweep.lua"));

/// A script as Redis gets it, hashed once.
pub struct Script {
    pub text: String,
    /// The SHA-1 of its text, as EVALSHA takes it.
    pub hash: String,
    /// The lines, counted from 1, that run behind the point of no return: an error there leaves a step half written, or only unanswered.
    late: Vec<RangeInclusive<usize>>,
}

impl Script {
    fn of(template: &str) -> Self {
        Self::flagged(template, None, false)
    }

    /// The flag says when Redis may run it. A script that only reads decides, too, but writes nothing.
    fn flagged(template: &str, flag: Option<&str>, is_reading: bool) -> Self {
        let shebang = flag.map_or_else(|| "#!lua".to_owned(), |flag| format!("#!lua flags={flag}"));
        let template = template.replacen("#!lua", &shebang, usize::from(flag.is_some())).replace("IS_READING", &is_reading.to_string());
        let text = put_in_constants(&template);
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash, late: late_lines(&template) }
    }

    /// Whether an error on that line comes before all writes of a step's commands.
    #[must_use]
    pub fn is_before_writes(&self, line: usize) -> bool {
        !self.late.iter().any(|lines| lines.contains(&line))
    }
}

/// What follows on "the point of no return: below", and functions that a comment says are called "behind the point of no return".
fn late_lines(template: &str) -> Vec<RangeInclusive<usize>> {
    let lines = || (1..).zip(template.lines());
    let is_comment = |line: &str| line.trim_start().starts_with("--");
    let mut late = Vec::new();
    for (number, line) in lines().filter(|(_, line)| is_comment(line)) {
        if line.contains("the point of no return: below") {
            late.push(number..=usize::MAX);
        } else if line.contains("behind the point of no return") && line.contains(":") {
            let end = lines().find(|(other, line)| *other > number && *line == "end").map_or(usize::MAX, |(end, _)| end);
            late.push(number..=end);
        }
    }
    late
}

/// Decides on a batch.
pub static BATCH: LazyLock<Script> = LazyLock::new(|| Script::of(BATCH_FILES));

/// Decides on a batch as far as that can be done without writing: what only looks, and what was decided before. It runs, too, where Redis
/// has no memory left.
pub static READ: LazyLock<Script> = LazyLock::new(|| Script::flagged(BATCH_FILES, Some("no-writes"), true));

/// Processes some of the due events. It runs, too, where Redis has no memory left: then it frees some.
pub static SWEEP: LazyLock<Script> = LazyLock::new(|| Script::flagged(SWEEP_FILES, Some("allow-oom"), false));

/// Makes the keys of a partition, if there are none.
pub static INITIALIZE: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/initialize.lua")));

/// Returns the rights that the user lacks for what tollgate does.
pub static RIGHTS: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/rights.lua")));

/// Drops what is to be kept no longer of the journal, and of what was given back.
pub static TRIM: LazyLock<Script> = LazyLock::new(|| Script::flagged(include_str!("lua/trim.lua"), Some("allow-oom"), false));

/// Records the ledger of a partition.
pub static OWN: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/own.lua")));

/// Puts one text in the place of another.
pub static SWAP: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/swap.lua")));

/// Empties a partition for a restoration.
pub static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/claim.lua")));

/// Puts records into a partition that is being restored.
pub static PUT: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/put.lua")));

/// Sets whether somebody reads a partition's journal.
pub static READERS: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/readers.lua")));

/// Writes the state of a partition as it is.
pub static TOUCH: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/touch.lua")));

/// Brings a partition from format version 2 to this one.
pub static MIGRATE: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/migrate.lua")));

/// Returns which keys of a partition are missing, or hold something else than they must.
pub static KEY_TYPES: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/keys.lua")));

/// Finds a step that was torn.
pub static TORN: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/torn.lua")));

/// Finishes one.
pub static FINISH: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/finish.lua")));

/// Returns which part of its journal a partition still has.
pub static SPAN: LazyLock<Script> = LazyLock::new(|| Script::of(include_str!("lua/journal_range.lua")));

/// Keys, by their place in `KEYS`; see [`super::keys`].
const KEYS: [&str; 10] =
    ["ACCOUNTS", "PROFILES", "RESERVATIONS", "EXPIRIES", "BY_ACCOUNT", "REQUESTS_0", "REQUESTS_1", "REFUNDS", "JOURNAL", "NAMES"];

/// The formats of records, and of parts of them.
fn formats() -> Vec<(&'static str, String)> {
    let (entry, remembered) = (StoredEntry::FIELDS, Remembered::FIELDS);
    // Fields as one number, and those behind them.
    let as_one = |fields: &[Field], first: usize, end: usize| {
        let bytes: usize = fields.iter().take(end).skip(first).map(|field| field.bytes).sum();
        format!("I{bytes}{}", joined(fields.iter().skip(end)))
    };
    vec![
        ("STATE_FORMAT", format(&state_fields())),
        // What every step looks at, and the rest of it, as it is.
        ("STEP_STATE_FORMAT", format!("{}c{}", format(StepState::FIELDS), RareState::BYTES)),
        ("RARE_STATE_FORMAT", format(RareState::FIELDS)),
        ("ACCOUNT_FORMAT", format(&account_fields())),
        ("MOVING_FORMAT", format(Moving::FIELDS)),
        ("TERMS_FORMAT", format(Terms::FIELDS)),
        ("RESERVATION_FORMAT", format(StoredReservation::FIELDS)),
        ("RESERVATION_ID_FORMAT", format(StoredReservation::FIELDS) + TEXT),
        ("REMEMBERED_FORMAT", format(remembered)),
        // What is remembered of a plain debit, as few numbers: the halves of the fingerprint, all up to the amount, amount, sequence, charge.
        ("PLAIN_FORMAT", format!("<I4I4{}i{}", as_one(remembered, 1, 5), RememberedCharge::BYTES)),
        ("BLOCK_FORMAT", format(BlockHeader::FIELDS)),
        ("ENTRY_FORMAT", format(entry)),
        // Kind, mode and metadata place as one number.
        ("PLAIN_ENTRY_FORMAT", format!("<{}", as_one(entry, 0, 3))),
        ("METADATA_FORMAT", format(MetadataHeader::FIELDS) + "c0"),
        ("BATCH_FORMAT", format(BatchHeader::FIELDS)),
        ("COMMAND_FORMAT", format(StoredCommand::FIELDS)),
        ("FINGERPRINT_FORMAT", "<I4I4".to_owned()),
        ("REFUNDED_FORMAT", format(StoredRefund::FIELDS)),
        ("PROFILE_FORMAT", format(StoredProfile::FIELDS) + TEXT),
    ]
}

/// What is said of a step that was torn, by all that meets it.
const TORN_BEFORE: &str = "BADSTORE a step was torn: the journal has entry %.0f already; tollgate reconcile finishes it";

/// Everything that is a plain number.
fn numbers() -> Vec<(&'static str, i64)> {
    let mut numbers = vec![
        ("FORMAT_VERSION", i64::from(FORMAT_VERSION)),
        ("NEVER", NEVER.get()),
        ("MAX_UNITS", MAX_UNITS.get()),
        ("MAX_COMMANDED_UNITS", MAX_COMMANDED_UNITS.get()),
        ("MAX_EXPIRIES", MAX_EXPIRIES as i64),
        ("MAX_STEP_EXPIRIES", MAX_STEP_EXPIRIES as i64),
        ("STATE_FIELDS", state_fields().len() as i64),
        ("ACCOUNT_BYTES", (ACCOUNT_BYTES + Expiry::BYTES) as i64),
        // Places in strings count from 1 on.
        ("NEXT_EXPIRY_AT", ACCOUNT_BYTES as i64 + 1),
        ("STATUS_AT", (Moving::BYTES + offset(Terms::FIELDS, "status")) as i64 + 1),
        ("RESERVATION_BYTES", (StoredReservation::BYTES + TEXT_BYTES) as i64),
        ("PROFILE_BYTES", (StoredProfile::BYTES + TEXT_BYTES) as i64),
        ("KINDS", Kind::ALL.len() as i64),
        ("REMEMBERED_BYTES", Remembered::BYTES as i64),
        ("MAX_OPEN_RESERVATIONS", i64::from(MAX_OPEN_RESERVATIONS)),
        ("MAX_SENT_AHEAD", MAX_SENT_AHEAD),
        ("ACCOUNT_FIELDS", account_fields().len() as i64),
        ("MOVING_BYTES", Moving::BYTES as i64),
        // How much of the terms comes before it.
        ("PERIOD_END_AT", offset(Terms::FIELDS, "period_end") as i64),
        ("FAR", MAX_COMMANDED_UNITS.get() / 2),
        ("WATCH_LEASE", super::batch::WATCH_LEASE_MILLIS),
        ("PLAIN_DEBIT", i64::from(super::batch::PLAIN_DEBIT)),
        ("HAS_EXTRA", i64::from(super::batch::HAS_EXTRA)),
        // What is remembered of a plain debit between fingerprint and amount, as one number of four bytes.
        ("PLAIN_HEAD", Kind::Debit as i64 + 256 * Verdict::Done as i64 + 65_536 * i64::from(flag::CHARGED)),
        // Kind and mode of an entry, as one number of two bytes.
        ("PREPAID_CHARGE", EntryKind::ChargedBalance as i64 + 256 * Mode::Prepaid as i64),
        ("POSTPAID_CHARGE", EntryKind::ChargedUnbilled as i64 + 256 * Mode::Postpaid as i64),
        ("ACCOUNT_ONLY", i64::from(ACCOUNT_ONLY)),
        ("OWN_TIME", i64::from(entry_flag::OWN_TIME)),
        ("DETAILS", i64::from(entry_flag::DETAILS)),
        ("GIVEN_BACK", i64::from(entry_flag::GIVEN_BACK)),
        ("REFUNDED_BYTES", StoredRefund::BYTES as i64),
        ("ACTIVE", Status::Active as i64),
        ("SUSPENDED", Status::Suspended as i64),
        ("CLOSED", Status::Closed as i64),
        ("PREPAID", Mode::Prepaid as i64),
        ("POSTPAID", Mode::Postpaid as i64),
        ("ONE_BY_ONE", NonUsageBilling::OneByOne as i64),
        ("USAGE", Category::Usage as i64),
        ("DONE", Verdict::Done as i64),
        ("DECLINED", Verdict::Declined as i64),
        ("UNCHANGED", Verdict::Unchanged as i64),
        ("HAS_RESERVATION", i64::from(flag::RESERVATION)),
        ("FINAL_UNIT", i64::from(flag::FINAL_UNIT)),
        ("RESERVE_GRANTED", i64::from(flag::RESERVE_GRANTED)),
        ("RESERVE_DECLINED", i64::from(flag::RESERVE_DECLINED)),
        ("SECOND_AMOUNT", i64::from(flag::SECOND_AMOUNT)),
        ("HAS_CHARGED", i64::from(flag::CHARGED)),
        ("RESERVE_SUSPENDED", i64::from(flag::RESERVE_SUSPENDED)),
        ("RESERVE_TOO_MANY", i64::from(flag::RESERVE_TOO_MANY)),
        ("SETTLED", ReservationEnd::Settled as i64),
        ("RELEASED", ReservationEnd::Released as i64),
        ("OBSERVE", Kind::Observe as i64),
        ("AUTHORIZE", Kind::Authorize as i64),
        ("DEBIT", Kind::Debit as i64),
        ("RELEASE", Kind::Release as i64),
        ("REFUND", Kind::Refund as i64),
        ("CONVERT", Kind::Convert as i64),
        ("CREATE", Kind::Create as i64),
        ("UPDATE", Kind::Update as i64),
        ("TOP_UP", Kind::TopUp as i64),
        ("REVERSE_PAYMENT", Kind::ReversePayment as i64),
        ("WITHDRAW", Kind::Withdraw as i64),
        ("ADJUST", Kind::Adjust as i64),
        ("SET_CREDIT_LIMIT", Kind::SetCreditLimit as i64),
        ("SUSPEND", Kind::Suspend as i64),
        ("RESUME", Kind::Resume as i64),
        ("CLOSE", Kind::Close as i64),
        ("RECORD_PAYMENT", Kind::RecordPayment as i64),
        ("CLOSE_PERIOD", Kind::ClosePeriod as i64),
        ("WRITE_OFF", Kind::WriteOff as i64),
        ("REVERSE_WRITE_OFF", Kind::ReverseWriteOff as i64),
        ("REOPEN", Kind::Reopen as i64),
        ("CREATED", EntryKind::Created as i64),
        ("UPDATED", EntryKind::Updated as i64),
        ("CHARGED_BALANCE", EntryKind::ChargedBalance as i64),
        ("CHARGED_UNBILLED", EntryKind::ChargedUnbilled as i64),
        ("CHARGED_OWN_BILL", EntryKind::ChargedOwnBill as i64),
        ("REFUNDED_BALANCE", EntryKind::RefundedBalance as i64),
        ("REFUNDED_UNBILLED", EntryKind::RefundedUnbilled as i64),
        ("TOPPED_UP", EntryKind::ToppedUp as i64),
        ("PAYMENT_RECORDED", EntryKind::PaymentRecorded as i64),
        ("PAYMENT_REVERSED", EntryKind::PaymentReversed as i64),
        ("WITHDRAWN", EntryKind::Withdrawn as i64),
        ("ADJUSTED", EntryKind::Adjusted as i64),
        ("LIMIT_SET", EntryKind::LimitSet as i64),
        ("CONVERTED", EntryKind::Converted as i64),
        ("PERIOD_CLOSED", EntryKind::PeriodClosed as i64),
        ("FINAL_BILLED", EntryKind::FinalBilled as i64),
        ("ROUNDED", EntryKind::Rounded as i64),
        ("AMOUNT_DUE_ROUNDED", EntryKind::AmountDueRounded as i64),
        ("WAS_SUSPENDED", EntryKind::Suspended as i64),
        ("WAS_RESUMED", EntryKind::Resumed as i64),
        ("WAS_CLOSED", EntryKind::Closed as i64),
        ("WAS_RESERVED", EntryKind::Reserved as i64),
        ("EXTENDED", EntryKind::ReservationExtended as i64),
        ("WAS_RELEASED", EntryKind::Released as i64),
        ("WRITTEN_OFF", EntryKind::WrittenOff as i64),
        ("WRITE_OFF_REVERSED", EntryKind::WriteOffReversed as i64),
        ("WAS_REOPENED", EntryKind::Reopened as i64),
    ];
    numbers.extend(Refusal::ALL.iter().map(|refusal| (refusal.reason(), *refusal as i64)));
    numbers
}

/// The places of fields in unpacked records, from 1 on: of an account by their names, of the state with its own name before.
fn places() -> Vec<(String, i64)> {
    let capitals = |before: &'static str, fields: Vec<Field>| {
        (1..).zip(fields).map(move |(place, field)| (format!("{before}{}", field.name.to_uppercase()), place))
    };
    capitals("", account_fields()).chain(capitals("STATE_", state_fields())).collect()
}

/// What each name in capitals stands for.
static CONSTANTS: LazyLock<HashMap<String, String>> = LazyLock::new(|| all_constants().collect());

fn all_constants() -> impl Iterator<Item = (String, String)> {
    let keys = (1..).zip(KEYS).map(|(place, name)| (name.to_owned(), format!("KEYS[{place}]")));
    let formats = formats().into_iter().map(|(name, format)| (name.to_owned(), format!("'{format}'")));
    let numbers = numbers().into_iter().map(|(name, number)| (name.to_owned(), number.to_string()));
    let places = places().into_iter().map(|(name, place)| (name, place.to_string()));
    let texts = [("TORN_BEFORE".to_owned(), format!("'{TORN_BEFORE}'"))];
    keys.chain(formats).chain(numbers).chain(places).chain(texts)
}

/// Replaces each constant's name outside of quotes and comments.
fn put_in_constants(template: &str) -> String {
    let mut script = String::with_capacity(template.len());
    for line in template.lines() {
        let code = line.split("--").next().unwrap_or(line);
        // Every other part stands between quotes.
        for (part, text) in code.trim_end().split('\'').enumerate() {
            if part > 0 {
                script.push('\'');
            }
            if part % 2 == 1 {
                script.push_str(text);
            } else {
                put_in(text, &mut script);
            }
        }
        script.push('\n');
    }
    script
}

fn put_in(text: &str, script: &mut String) {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let (before, from) = rest.split_at(start);
        let (name, after) = from.split_at(from.find(|character| !is_name(character)).unwrap_or(from.len()));
        script.push_str(before);
        script.push_str(CONSTANTS.get(name).map_or(name, String::as_str));
        rest = after;
    }
    script.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_capitals_is_a_constant() {
        let scripts =
            [&BATCH, &READ, &SWEEP, &INITIALIZE, &MIGRATE, &SPAN, &RIGHTS, &TRIM, &OWN, &READERS, &TOUCH, &KEY_TYPES, &TORN, &FINISH];
        let script = scripts.map(|script| script.text.as_str()).concat();
        let code: String = script.split('\'').step_by(2).collect();
        for name in code.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_')) {
            let is_capital = name.len() > 1 && name.starts_with(|first: char| first.is_ascii_uppercase()) && name == name.to_uppercase();
            assert!(!is_capital || ["KEYS", "ARGV"].contains(&name), "{name} has no value");
        }
    }

    #[test]
    fn an_error_at_a_write_is_not_taken_for_one_before_it() {
        let is_late = |part: &str| {
            let (line, _) = (1..).zip(BATCH_FILES.lines()).find(|(_, line)| line.contains(part)).unwrap();
            !BATCH.is_before_writes(line)
        };
        let writes = ["'HSET', RESERVATIONS", "'HSET', REFUNDS", "'ZREM', NAMES", "'HSET', younger_requests", "'XADD'", "'SPUBLISH'"];
        assert!(writes.into_iter().all(is_late));
        assert!(!["'HMGET', ACCOUNTS", "'HMGET', RESERVATIONS, unpack(keys)", "step = function(n)"].into_iter().any(is_late));
    }

    /// The formats as they are stored: none may change without a new version.
    #[test]
    fn the_formats_of_what_is_stored_are_those_of_its_version() {
        let stored = [
            ("STATE_FORMAT", "<I4i8i8i8i8i8Bi8c16I4i8i8i8i8c8B"),
            ("STEP_STATE_FORMAT", "<I4i8i8i8i8i8Bi8c16I4c41"),
            ("ACCOUNT_FORMAT", "<i7i7i7i7i7i7i7I4BBBBBI4i7I4I4i7"),
            ("TERMS_FORMAT", "<i7i7i7I4BBB"),
            ("RESERVATION_ID_FORMAT", "<i7i7i7I2c0"),
            ("REMEMBERED_FORMAT", "<c8BBBBi7i7"),
            ("PLAIN_FORMAT", "<I4I4I4i7i7i5"),
            ("BLOCK_FORMAT", "<i8I4i8c16c16I2I2"),
            ("ENTRY_FORMAT", "<BBI2I4i7i7i7i7i7"),
            ("PLAIN_ENTRY_FORMAT", "<I4I4i7i7i7i7i7"),
            ("METADATA_FORMAT", "<I2I4c0"),
            ("REFUNDED_FORMAT", "<i7i7i7i7"),
            ("PROFILE_FORMAT", "<i8i8I2c0"),
        ];
        assert_eq!(FORMAT_VERSION, 3);
        for (name, format) in stored {
            assert_eq!(CONSTANTS[name], format!("'{format}'"), "{name}");
        }
        for (name, value) in [("STATUS_AT", "54"), ("PERIOD_END_AT", "14"), ("STATE_IS_READ", "16"), ("NEXT_EXPIRY", "18")] {
            assert_eq!(CONSTANTS[name], value, "{name}");
        }
    }

    #[test]
    fn no_name_stands_for_two_things() {
        let mut names: Vec<_> = all_constants().map(|(name, _)| name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
