//! The transactions of an organization: all entries, newest first, with a filter, and as a file.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use domain::entry::{Entry, EntryKind};
use domain::ids::AccountId;
use domain::money::Units;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::organizations::path_of;
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list};
use crate::failure::Failure;
use crate::locale::Locale;
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use ledger::{EntryFilter, EntryPosition};
use service::credit::Unit;

/// How many rows a page has.
const ROWS: usize = 50;

/// Whether a kind belongs to a group.
type KindPredicate = fn(EntryKind) -> bool;

/// What can be chosen, by the key of its name.
const GROUPS: [(&str, KindPredicate); 4] = [
    ("charges", |kind| kind.is_charge() || kind.is_refund()),
    ("payments", |kind| kind.is_payment() || kind.is_write_off() || kind == EntryKind::PaymentReversed || kind == EntryKind::Withdrawn),
    ("reservations", |kind| matches!(kind, EntryKind::Reserved | EntryKind::ReservationExtended | EntryKind::Released)),
    ("changes", |kind| !kind.moves_money() && !matches!(kind, EntryKind::Reserved | EntryKind::ReservationExtended | EntryKind::Released)),
];

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
}

pub struct Row {
    /// When.
    pub at: String,
    /// The same for machines.
    pub machine: String,
    /// The key of its kind's name.
    pub kind: String,
    /// What it was for.
    pub text: String,
    /// What it did to the account's net position; empty for nothing.
    pub amount: String,
    /// Whether that was less.
    pub is_negative: bool,
    /// The balance after it.
    pub balance: String,
    /// Who did it, and why.
    pub actor: String,
    /// The charge that can be refunded; empty if it is none.
    pub charge: String,
}

/// The page.
#[derive(Template)]
#[template(path = "entries.html")]
struct Entries {
    page: Page,
    href: String,
    name: String,
    wanted: PageQuery,
    groups: Vec<&'static str>,
    rows: Vec<Row>,
    may_refund: bool,
    /// The address of the next page; empty if there is none.
    next: String,
    file: String,
}

impl PageQuery {
    fn filter(&self, console: &Console) -> EntryFilter {
        let clock = console.use_cases.clock();
        let day = |text: &str| text.parse::<Date>().ok();
        let group = GROUPS.iter().find(|(name, _)| *name == self.kind);
        EntryFilter {
            kinds: group.map(|(_, is_in)| EntryKind::ALL.into_iter().filter(|kind| is_in(*kind)).collect()).unwrap_or_default(),
            from: day(&self.from).and_then(|day| clock.start_of_day(day)),
            to: day(&self.to).and_then(|day| day.tomorrow().ok()).and_then(|day| clock.start_of_day(day)),
        }
    }

    fn query(&self) -> String {
        serde_urlencoded::to_string(self).unwrap_or_default()
    }
}

/// Entries as rows.
#[must_use]
pub fn rows(locale: &Locale, unit: Unit, entries: Vec<(EntryPosition, Entry)>) -> Vec<Row> {
    entries.into_iter().map(|(_, entry)| row(locale, unit, entry)).collect()
}

/// What an entry did to the account's net position. What a cut moves from unbilled to the balance changes nothing there.
fn net(entry: &Entry) -> Units {
    let movement = entry.data.movement();
    movement.balance.saturating_sub(movement.unbilled)
}

fn row(locale: &Locale, unit: Unit, entry: Entry) -> Row {
    let metadata = &entry.metadata;
    let texts = [metadata.item.as_str(), metadata.description.as_str(), metadata.reason.as_str()];
    let text = texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" · ");
    let net = net(&entry);
    // A reservation and a cut show the amount itself.
    let shown = if net.is_zero() { entry.amount() } else { net };
    Row {
        at: locale.instant(entry.time),
        machine: locale.machine(entry.time),
        kind: format!("entry-{}", entry.kind() as u8),
        text,
        amount: if shown.is_zero() { String::new() } else { locale.amount(unit, shown) },
        is_negative: net < Units::ZERO,
        balance: locale.amount(unit, entry.balance),
        actor: metadata.actor.clone(),
        charge: if entry.kind().is_charge() { entry.request_id.into() } else { String::new() },
    }
}

/// Shows the page.
pub async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    Query(wanted): Query<PageQuery>,
) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let filter = wanted.filter(&console);
    let read = async {
        let listed = use_cases.account(&context, id.clone()).await?;
        let found = use_cases.list_entries(&context, &id, &filter, wanted.before, ROWS).await?;
        Ok((listed, found))
    };
    let (listed, found) = use_cases.handle(&context, read).await?;
    let href = format!("{}/transactions", path_of(&id));
    let from_start = PageQuery { before: None, ..wanted.clone() };
    let behind = |before| format!("{href}?{}", PageQuery { before: Some(before), ..wanted.clone() }.query());
    render(&Entries {
        page: Page::new(&visitor, ORGANIZATIONS, locale.text("transactions")),
        name: listed.profile.name,
        groups: GROUPS.iter().map(|(name, _)| *name).collect(),
        rows: rows(locale, Unit::of(&listed.account), found.page.entries),
        may_refund: visitor.may_on(Permission::Refund, &id),
        next: found.page.next_before.map(behind).unwrap_or_default(),
        file: format!("{href}.csv?{}", from_start.query()),
        href: path_of(&id),
        wanted,
    })
}

/// Sends the entries as CSV, for machines.
pub async fn download(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    Query(wanted): Query<PageQuery>,
) -> Result<Response, Failure> {
    let header =
        ["time", "kind", "request_id", "item", "description", "net", "amount", "currency", "balance", "unbilled", "actor", "reason"];
    csv_list(&console, &visitor, "transactions.csv", &header, move |console, visitor, before| {
        let (id, filter) = (id.clone(), wanted.filter(&console));
        async move {
            let (context, use_cases) = (visitor.context(), &console.use_cases);
            let found = use_cases.handle(&context, use_cases.list_entries(&context, &id, &filter, before, ROWS_AT_ONCE)).await?;
            let unit = Unit::of(&found.account);
            let rows = found.page.entries.into_iter().map(|(_, entry)| record(&visitor.locale, unit, entry));
            Ok((rows.collect(), found.page.next_before))
        }
    })
    .await
}

fn record(locale: &Locale, unit: Unit, entry: Entry) -> Vec<String> {
    let (net, amount, kind) = (unit.amount(net(&entry)), unit.amount(entry.amount()), format!("{:?}", entry.kind()));
    let (balance, unbilled, currency) = (unit.amount(entry.balance), unit.amount(entry.unbilled), unit.currency.code().to_owned());
    let metadata = entry.metadata;
    let at = locale.machine(entry.time);
    vec![
        at,
        kind,
        entry.request_id.into(),
        metadata.item,
        metadata.description,
        net,
        amount,
        currency,
        balance,
        unbilled,
        metadata.actor,
        metadata.reason,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;

    #[test]
    fn every_kind_of_entry_has_a_name() {
        for (language, _) in Language::ALL {
            for kind in EntryKind::ALL {
                let key = format!("entry-{}", kind as u8);
                assert_ne!(language.text(&key, &[]), key, "{kind:?}");
            }
        }
    }
}
