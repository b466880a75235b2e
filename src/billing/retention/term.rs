//! The term in force, which the billing store keeps. A term that is new, that another process contradicts, or that a clock reaches by a leap
//! has to stand for a day before anything goes by it: a mistake is seen before it deletes.

use sqlx::Row;

use super::{ACTOR, RetainedKind, instant};
use crate::BillingError;
use crate::audit::{Act, SERVICE, write};
use crate::store::Columns;
use crate::store::Store;
use domain::origin::Origin;
use domain::time::{Millis, UnixMillis};

const HOUR: Millis = 3_600_000;

/// How long nothing goes after what makes a term doubtful.
const NOTICE: Millis = 24 * HOUR;

/// How far the clock may go on from one look to the next, which comes each hour.
const LEAP: Millis = 25 * HOUR;

/// How far it may go back: clocks are set by a little now and then, and those of several processes differ.
const STEP_BACK: Millis = 60_000;

/// How often it is written down that all is as it was.
const NOTE_EVERY: Millis = HOUR / 2;

/// Why nothing goes.
const CHANGED: &str = "changed";
const CLOCK: &str = "clock";
const DISPUTED: &str = "disputed";

/// The term of something, as the store has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredTerm {
    /// For people: '730 days'; empty for ever.
    pub term: String,
    /// The time by the clock of who looked last.
    seen_at: UnixMillis,
    /// Until then, nothing goes.
    waits_until: UnixMillis,
    /// Because of this.
    waits_for: String,
}

/// Whether something may go by a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may.
    Goes,
    /// All is kept for ever.
    Stays,
    /// Not yet, for a reason that people are told; and whether something is wrong.
    Waits(String, bool),
}

/// The term of something.
pub(crate) async fn in_force(store: &Store, what: RetainedKind) -> Result<StoredTerm, BillingError> {
    let sql = "SELECT term, seen_at, waits_until, waits_for FROM retention WHERE what = $1";
    let row = sqlx::query(sql).bind(what.name()).fetch_optional(store.pool()).await?;
    row.map_or_else(
        || Ok(StoredTerm::default()),
        |row| Ok(StoredTerm { term: row.try_get(0)?, seen_at: row.instant(1)?, waits_until: row.instant(2)?, waits_for: row.try_get(3)? }),
    )
}

/// Whether something may go by the term that a process was started with, which it sets where it may: at its start.
pub(crate) async fn judge(
    store: &Store,
    what: RetainedKind,
    given: Option<&str>,
    may_set: bool,
    now: UnixMillis,
) -> Result<Verdict, BillingError> {
    let before = in_force(store, what).await?;
    let after = before.seen(given, may_set, now);
    if after != before {
        keep(store, what, &before, &after, now).await?;
    }
    Ok(after.verdict(what, given, now))
}

/// Whether a term that something goes by still holds.
pub(crate) async fn still_holds(store: &Store, what: RetainedKind, given: Option<&str>, now: UnixMillis) -> Result<bool, BillingError> {
    Ok(in_force(store, what).await?.verdict(what, given, now) == Verdict::Goes)
}

impl StoredTerm {
    /// What it is after a look.
    fn seen(&self, given: Option<&str>, may_set: bool, now: UnixMillis) -> Self {
        let waiting = |term: &str, waits_for: &str| Self {
            term: term.to_owned(),
            seen_at: now,
            waits_until: now + NOTICE,
            waits_for: waits_for.to_owned(),
        };
        let is_noted = (now - self.seen_at).abs() < NOTE_EVERY;
        match given {
            Some(given) if given != self.term && may_set => waiting(given, CHANGED),
            _ if self.term.is_empty() => self.clone(),
            given if given != Some(&self.term) => match is_noted && self.waits_for == DISPUTED {
                true => self.clone(),
                false => waiting(&self.term, DISPUTED),
            },
            _ if now - self.seen_at > LEAP || self.seen_at - now > STEP_BACK => waiting(&self.term, CLOCK),
            _ if is_noted => self.clone(),
            _ => Self { seen_at: now, ..self.clone() },
        }
    }

    fn verdict(&self, what: RetainedKind, given: Option<&str>, now: UnixMillis) -> Verdict {
        if self.term.is_empty() && given.is_none_or(str::is_empty) {
            return Verdict::Stays;
        }
        let (what, term, until) = (what.name(), for_people(&self.term), instant(self.waits_until));
        if given != Some(&self.term) {
            let given = given.map_or("no term", for_people);
            return Verdict::Waits(format!("{what}: this process was started with {given}, and a later one with {term}"), true);
        }
        if now >= self.waits_until {
            return Verdict::Goes;
        }
        let (why, is_wrong) = match self.waits_for.as_str() {
            CHANGED => ("the term is new", false),
            DISPUTED => ("another process was started with another term, or with none", true),
            _ => ("the clock has gone back, or on by more than a day since the last look", true),
        };
        Verdict::Waits(format!("{what}, {term}: {why}; nothing goes before {until}"), is_wrong)
    }
}

fn for_people(term: &str) -> &str {
    if term.is_empty() { "for ever" } else { term }
}

/// Keeps what a look came to, with a record where the term changed. What another process wrote meanwhile stands: the next look takes it in.
async fn keep(store: &Store, what: RetainedKind, before: &StoredTerm, after: &StoredTerm, now: UnixMillis) -> Result<(), BillingError> {
    let mut transaction = store.begin().await?;
    let connection = &mut *transaction;
    let sql =
        "INSERT INTO retention (what, term, kept_since, dropped, last_dropped_at) VALUES ($1, '', 0, 0, 0) ON CONFLICT (what) DO NOTHING";
    sqlx::query(sql).bind(what.name()).execute(&mut *connection).await?;
    let sql = "UPDATE retention SET term = $1, seen_at = $2, waits_until = $3, waits_for = $4, \
               kept_since = CASE WHEN term = $1 THEN kept_since ELSE 0 END \
               WHERE what = $5 AND term = $6 AND seen_at = $7 AND waits_until = $8";
    let query =
        sqlx::query(sql).bind(after.term.clone()).bind(after.seen_at.get()).bind(after.waits_until.get()).bind(after.waits_for.clone());
    let query = query.bind(what.name()).bind(before.term.clone()).bind(before.seen_at.get()).bind(before.waits_until.get());
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        return Err(BillingError::unavailable("another process noted a term at the same time"));
    }
    if after.term != before.term {
        let action = "retention.term_changed".to_owned();
        let act = Act { at: now, actor: ACTOR.to_owned(), action, origin: Origin::local(), ..Act::default() };
        let act = act.with("what", what.name()).with("before", for_people(&before.term)).with("after", for_people(&after.term));
        let act = act.with("from", instant(after.waits_until));
        write(connection, store.dialect(), SERVICE, &[act]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = 24 * HOUR;
    const YEAR: Millis = 365 * DAY;

    /// A term that has been in force since the day before.
    fn old(term: &str) -> StoredTerm {
        StoredTerm::default().seen(Some(term), true, UnixMillis::new(YEAR - DAY)).seen(Some(term), true, UnixMillis::new(YEAR))
    }

    fn goes(state: &StoredTerm, given: &str, now: UnixMillis) -> bool {
        state.verdict(RetainedKind::Documents, Some(given), now) == Verdict::Goes
    }

    #[test]
    fn a_term_is_in_force_a_day_after_it_was_noted_and_so_is_one_that_is_changed() {
        let new = StoredTerm::default().seen(Some("10 years"), true, UnixMillis::new(YEAR));
        assert!(!goes(&new, "10 years", UnixMillis::new(YEAR + DAY - 1)) && goes(&new, "10 years", UnixMillis::new(YEAR + DAY)));
        let shorter = new.seen(Some("5 years"), true, UnixMillis::new(YEAR + 2 * DAY));
        assert!(
            !goes(&shorter, "5 years", UnixMillis::new(YEAR + 3 * DAY - 1)) && goes(&shorter, "5 years", UnixMillis::new(YEAR + 3 * DAY))
        );
        assert!(!goes(&shorter, "10 years", UnixMillis::new(YEAR + 4 * DAY)), "who was started before drops nothing");
        let taken_back = shorter.seen(Some(""), true, UnixMillis::new(YEAR + 2 * DAY));
        assert_eq!(taken_back.verdict(RetainedKind::Documents, Some(""), UnixMillis::new(YEAR + 9 * DAY)), Verdict::Stays);
    }

    #[test]
    fn nothing_goes_while_processes_disagree_and_only_one_that_starts_sets_a_term() {
        for other in [Some("8 years"), None] {
            let disputed = old("10 years").seen(other, false, UnixMillis::new(YEAR + HOUR));
            assert_eq!(disputed.term, "10 years");
            assert!(matches!(disputed.verdict(RetainedKind::Documents, other, UnixMillis::new(YEAR + 9 * DAY)), Verdict::Waits(_, true)));
            assert!(
                !goes(&disputed, "10 years", UnixMillis::new(YEAR + HOUR + DAY - 1))
                    && goes(&disputed, "10 years", UnixMillis::new(YEAR + HOUR + DAY))
            );
        }
        assert_eq!(
            old("10 years").seen(None, true, UnixMillis::new(YEAR + HOUR)).term,
            "10 years",
            "one without a term does not take it back"
        );
    }

    #[test]
    fn nothing_goes_for_a_day_after_a_clock_has_leapt() {
        let state = old("10 years");
        assert!(
            goes(&state, "10 years", UnixMillis::new(YEAR))
                && goes(&state.seen(Some("10 years"), false, UnixMillis::new(YEAR + LEAP)), "10 years", UnixMillis::new(YEAR + LEAP))
        );
        for leapt in [YEAR + LEAP + 1, 30 * YEAR, YEAR - STEP_BACK - 1] {
            let seen = state.seen(Some("10 years"), true, UnixMillis::new(leapt));
            assert!(
                !goes(&seen, "10 years", UnixMillis::new(leapt + DAY - 1)) && goes(&seen, "10 years", UnixMillis::new(leapt + DAY)),
                "{leapt}"
            );
            let back = seen.seen(Some("10 years"), true, UnixMillis::new(YEAR - 2 * STEP_BACK));
            assert!(!goes(&back, "10 years", UnixMillis::new(YEAR)), "{leapt}, and back");
        }
    }
}
