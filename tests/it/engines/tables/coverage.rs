//! Nothing that a rule can lead to is without an example, and the order of precedence is the tables' order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tollgate::domain::command::Kind;
use tollgate::domain::entry::EntryKind;
use tollgate::domain::money::Units;
use tollgate::domain::outcome::{Refusal, ReserveVerdict, Verdict};
use tollgate::domain::time::UnixMillis;

use super::RULES;
use super::outcome::kind_words;
use super::request::action;
use crate::table::{About, Step, Table};

/// Refusals that no table can lead to, and the test that has an example of each.
const ELSEWHERE: [(Refusal, &str); 3] = [
    (Refusal::StoreCorrupt, "tests/it/grpc_store_failures.rs"),
    (Refusal::StoreFull, "tests/process/step/memory.rs"),
    (Refusal::Deferred, "tests/it/engines/bounds.rs"),
];

/// What a caller is told of [`Refusal::ChargeNotFound`], by what was to be given back.
const NOT_FOUND: [&str; 3] = ["CHARGE_NOT_FOUND", "PAYMENT_NOT_FOUND", "WRITE_OFF_NOT_FOUND"];

/// Stands in the order of precedence where the credit is checked.
const DECLINED: &str = "DECLINED";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_table_is_run() {
    let names: Vec<String> = Table::all().into_iter().map(|table| table.name).collect();
    assert_eq!(names, RULES);
}

#[test]
fn every_rule_has_a_table_of_its_name() {
    let mut missing = Vec::new();
    for file in std::fs::read_dir(root().join("src/domain/rules")).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let functions = source.split("\npub(super) fn ").skip(1).filter_map(|function| function.split_once('{'));
        let rules = functions.filter(|(signature, _)| signature.contains("-> Result<Decided, Refusal>"));
        let rules = rules.filter_map(|(signature, _)| signature.split('(').next());
        missing.extend(rules.filter(|rule| !RULES.iter().any(|table| table.starts_with(rule))).map(str::to_owned));
    }
    assert!(missing.is_empty(), "these rules of src/domain/rules have no table in tests/tables: {missing:?}");
}

#[test]
fn every_refusal_has_an_example() {
    let tables = Table::all();
    let steps = || tables.iter().flat_map(Table::steps);
    let met: BTreeSet<_> = steps().filter_map(|(_, step)| Some(step.refusal()?.0)).collect();
    let looked_up: BTreeSet<_> = steps().flat_map(|(_, step)| &step.then).filter_map(looked_up).flatten().collect();
    let mut missing = Vec::new();
    for refusal in Refusal::ALL {
        let has_example = match refusal {
            Refusal::OriginalNeeded => looked_up.contains("the original"),
            Refusal::BillNeeded => looked_up.contains("the bill"),
            Refusal::ChargeNotFound => NOT_FOUND.iter().all(|reason| met.contains(reason)),
            _ => match ELSEWHERE.iter().find(|(known, _)| *known == refusal) {
                Some((_, file)) => mentions(file, refusal),
                None => met.contains(refusal.reason()),
            },
        };
        if !has_example {
            missing.push(refusal.reason());
        }
    }
    assert!(missing.is_empty(), "no table has a step that is refused for these reasons: {missing:?}");
}

fn looked_up(claim: &crate::table::Claim) -> Option<Vec<&'static str>> {
    match &claim.about {
        About::LooksUp(words) => Some(words.clone()),
        _ => None,
    }
}

fn mentions(file: &str, refusal: Refusal) -> bool {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    text.contains(refusal.reason()) || text.contains(&format!("Refusal::{refusal:?}"))
}

#[test]
fn every_outcome_has_an_example() {
    let tables = Table::all();
    let outcomes: Vec<_> = tables.iter().flat_map(Table::steps).filter_map(|(_, step)| step.outcome).collect();
    let verdict = |verdict: Verdict| match verdict {
        Verdict::Done => "done",
        Verdict::Declined => "declined INSUFFICIENT_CREDIT, short by ",
        Verdict::Unchanged => "unchanged",
    };
    let reserve = |verdict: ReserveVerdict| match verdict {
        ReserveVerdict::NotAsked => "charged ",
        ReserveVerdict::Granted => " reserved",
        ReserveVerdict::Declined { .. } => ", not reserved: INSUFFICIENT_CREDIT, short by ",
        ReserveVerdict::Suspended => ", not reserved: suspended",
        ReserveVerdict::TooMany => ", not reserved: too many",
    };
    let mut wanted = vec!["declined INSUFFICIENT_FUNDS, short by ", ", final unit", ", overdraft ", ", replayed", ", credited "];
    wanted.extend([Verdict::Done, Verdict::Declined, Verdict::Unchanged].map(verdict));
    let declined = ReserveVerdict::Declined { shortfall: Units::new(1) };
    let verdicts = [ReserveVerdict::NotAsked, ReserveVerdict::Granted, declined, ReserveVerdict::Suspended, ReserveVerdict::TooMany];
    wanted.extend(verdicts.map(reserve));
    wanted.retain(|words| !outcomes.iter().any(|outcome| outcome.contains(words)));
    assert!(wanted.is_empty(), "no table has a step with these outcomes: {wanted:?}");
}

#[test]
fn every_kind_of_command_and_of_entry_has_an_example() {
    let tables = Table::all();
    let steps = || tables.iter().flat_map(Table::steps);
    let mut kinds: BTreeSet<Kind> = steps().filter_map(|(_, step)| kind(step)).collect();
    // A claim looks at the account, and the end of a month closes its period.
    kinds.extend([Kind::Observe, Kind::ClosePeriod]);
    assert_eq!(kinds, Kind::ALL.into_iter().collect());

    let claims = || steps().flat_map(|(_, step)| &step.then);
    let written: Vec<&str> = claims()
        .filter_map(|claim| if let About::Writes(entries) = &claim.about { Some(entries) } else { None })
        .flatten()
        .copied()
        .collect();
    let missing: Vec<String> = EntryKind::ALL
        .into_iter()
        .filter(|kind| !kind.is_of_gap())
        .map(|kind| kind_words(&format!("{kind:?}")))
        .filter(|words| !written.iter().any(|entry| entry.trim_end_matches(|letter: char| "-.0123456789 ".contains(letter)) == words))
        .collect();
    assert!(missing.is_empty(), "no table has a step that writes these entries: {missing:?}");
}

fn kind(step: &Step) -> Option<Kind> {
    Some(action(&step.request.what, UnixMillis::NONE)?.kind())
}

/// The place of a reason in the order of precedence.
fn precedence(reason: &str) -> usize {
    let of = |refusal: Refusal| Refusal::ALL.into_iter().position(|known| known == refusal).unwrap();
    if NOT_FOUND.contains(&reason) {
        return of(Refusal::ChargeNotFound);
    }
    if reason == DECLINED {
        // Credit comes after the reservation, and before the range.
        return of(Refusal::TooManyReservations);
    }
    Refusal::ALL.into_iter().position(|refusal| refusal.reason() == reason).unwrap_or_else(|| panic!("there is no refusal {reason}"))
}

#[test]
fn where_two_reasons_are_met_the_first_in_the_order_of_precedence_is_given() {
    for table in Table::all() {
        for (_, step) in table.steps() {
            if let Some((given, Some(next))) = step.refusal() {
                assert!(precedence(given) < precedence(next) || next == DECLINED, "{}: {}", table.place(step.line), step.sentence);
            }
        }
    }
}

#[test]
fn every_command_shows_the_precedence_of_all_that_it_is_refused_for() {
    let tables = Table::all();
    let (mut met, mut ordered) = (BTreeMap::<Kind, BTreeSet<&str>>::new(), BTreeMap::<Kind, BTreeSet<&str>>::new());
    for (_, step) in tables.iter().flat_map(Table::steps) {
        let (Some(kind), Some((given, next))) = (kind(step), step.refusal()) else { continue };
        met.entry(kind).or_default().insert(given);
        if let Some(next) = next {
            ordered.entry(kind).or_default().extend([given, next]);
        }
    }
    let mut missing = Vec::new();
    for (kind, reasons) in met {
        let ordered = ordered.get(&kind);
        // The range is checked last: what is declined for credit is shown as such, beside it.
        let unordered = reasons.into_iter().filter(|reason| *reason != Refusal::BalanceOutOfRange.reason());
        missing.extend(unordered.filter(|reason| !ordered.is_some_and(|known| known.contains(reason))).map(|reason| (kind.name(), reason)));
    }
    assert!(missing.is_empty(), "no step with `refused …, not …` shows the precedence of these: {missing:?}");
}
