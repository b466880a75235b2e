//! The form of each act on an organization, and what takes it. The form holds the request id of its command: what is sent twice is done
//! once.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::approvals::waits;
use super::organizations::path_of;
use super::wallet::Wallet;
use crate::Console;
use crate::acts::Act;
use crate::failure::Failure;
use crate::fields::{FieldError, Fields};
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::DocumentFilter;
use billing::document::DocumentKind;
use domain::account::Account;
use domain::ids::AccountId;
use domain::outcome::Verdict;
use domain::time::UnixMillis;
use ledger::ListedAccount;
use service::commands::Decided;
use service::credit::Unit;
use service::error::{Error, Kind};

/// How many open invoices can be chosen.
const INVOICES: usize = 50;

/// What an act is about, beside the organization.
#[derive(Default, Deserialize)]
pub struct ActQuery {
    /// The charge, or the reservation.
    #[serde(default)]
    of: String,
}

#[derive(Template)]
#[template(path = "act.html")]
struct ActPage {
    page: Page,
    act: Act,
    href: String,
    name: String,
    currency: String,
    wallet: Wallet,
    fields: Fields,
    wrong: Vec<FieldError>,
    /// Why it was refused; empty if it was not, or nothing was sent.
    refused: String,
    /// The most at once, if that is bounded; empty if it is not.
    most: String,
    suggestion: Option<Suggested>,
    invoices: Vec<(String, String, bool)>,
    is_postpaid: bool,
}

/// The suggested limit, and how it was worked out.
pub struct Suggested {
    /// The limit as it is typed; empty if there is no history.
    pub typed: String,
    pub limit: String,
    /// The months, and what counted of each.
    pub months: Vec<(String, String)>,
    /// The key of what counted.
    pub basis: &'static str,
}

/// Shows the form.
pub async fn show(
    State(console): State<Console>,
    Extension(act): Extension<Act>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    Query(ActQuery { of }): Query<ActQuery>,
) -> Result<Response, Failure> {
    refuse(&visitor, act, &id)?;
    let fields = Fields::default().with("request", console.new_request()).with("of", of);
    form(&console, &visitor, act, &id, fields, Vec::new(), String::new()).await
}

/// Who may do it on another organization learns nothing of this one.
fn refuse(visitor: &Visitor, act: Act, id: &AccountId) -> Result<(), Failure> {
    match visitor.may_on(act.permission(), id) {
        true => Ok(()),
        false => Err(Error::not_permitted(act.permission()).into()),
    }
}

async fn form(
    console: &Console,
    visitor: &Visitor,
    act: Act,
    id: &AccountId,
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
) -> Result<Response, Failure> {
    let (context, locale) = (visitor.context(), &visitor.locale);
    let listed = console.use_cases.handle(&context, console.use_cases.account(&context, id.to_owned())).await?;
    let unit = Unit::of(&listed.account);
    let most = visitor.most(act.permission(), id, listed.account.currency);
    let suggestion = if act == Act::SetLimit { suggested(console, visitor, id).await } else { None };
    let invoices = if act == Act::RecordPayment { open_invoices(console, visitor, &listed, &fields).await } else { Vec::new() };
    render(&ActPage {
        page: Page::new(visitor, ORGANIZATIONS, locale.text(&format!("act-{}", act.name()))),
        act,
        href: path_of(id),
        currency: unit.currency.code().to_owned(),
        wallet: Wallet::new(locale, &listed),
        name: listed.profile.name,
        fields,
        wrong,
        refused,
        most: most.map(|most| format!("{} {}", locale.decimal(&most.to_string()), unit.currency.code())).unwrap_or_default(),
        suggestion,
        invoices,
        is_postpaid: listed.account.mode == domain::account::Mode::Postpaid,
    })
}

/// The limit that the account's history suggests; `None` while the billing store does not say.
pub async fn suggested(console: &Console, visitor: &Visitor, id: &AccountId) -> Option<Suggested> {
    if !console.has_billing {
        return None;
    }
    let (seen, suggestion) = console.use_cases.suggest_limit(&visitor.context(), id).await.ok()?;
    Some(worked_out(visitor, &seen.account, &suggestion))
}

/// A suggestion, as it is shown.
#[must_use]
pub fn worked_out(visitor: &Visitor, account: &Account, suggestion: &billing::suggestion::Suggestion) -> Suggested {
    let (locale, unit) = (&visitor.locale, Unit::of(account));
    let months = suggestion.months.iter().map(|(month, counted)| (locale.day(month.from), locale.money(unit, *counted)));
    Suggested {
        typed: suggestion.limit.map(|limit| locale.typed(unit, limit)).unwrap_or_default(),
        limit: suggestion.limit.map(|limit| locale.money(unit, limit)).unwrap_or_default(),
        months: months.collect(),
        basis: match suggestion.basis {
            billing::suggestion::Basis::Usage => "basis-usage",
            billing::suggestion::Basis::AllTransactions => "basis-all",
        },
    }
}

/// The open invoices: number, what is open with the due date, and whether it is ticked.
async fn open_invoices(console: &Console, visitor: &Visitor, listed: &ListedAccount, fields: &Fields) -> Vec<(String, String, bool)> {
    if !console.has_billing || !visitor.may_on(Permission::ReadDocuments, &listed.id) {
        return Vec::new();
    }
    let account = Some(listed.id.clone());
    let filter = DocumentFilter { account, kind: Some(DocumentKind::Invoice), unpaid_only: true, ..DocumentFilter::default() };
    let Ok((page, _)) = console.use_cases.list_documents(&visitor.context(), filter, None, INVOICES).await else { return Vec::new() };
    let (locale, unit) = (&visitor.locale, Unit::of(&listed.account));
    let due = |at: Option<UnixMillis>| at.map(|at| locale.day(at)).unwrap_or_default();
    let shown = page.documents.into_iter().filter(|stored| !stored.document.number.is_empty()).map(|stored| {
        let open = locale.money(unit, stored.open_amount);
        let args = [("open", open.as_str()), ("due", &due(stored.document.due_at))];
        let text = locale.text_with("open-until", &args);
        let is_ticked = fields.all("invoice").any(|number| number == stored.document.number);
        (stored.document.number, text, is_ticked)
    });
    shown.collect()
}

/// Handles the submitted form.
pub async fn act(
    State(console): State<Console>,
    Extension(act): Extension<Act>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    mut fields: Fields,
) -> Result<Response, Failure> {
    refuse(&visitor, act, &id)?;
    let command = match act.command(&id, &fields, &visitor.locale) {
        Ok(command) => command,
        Err(wrong) => {
            return Ok(
                (StatusCode::UNPROCESSABLE_ENTITY, form(&console, &visitor, act, &id, fields, wrong, String::new()).await?).into_response()
            );
        }
    };
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let decided: Result<Decided, Error> = match act {
        Act::RecordPayment => {
            use_cases.handle(&context, use_cases.record_payment(&context, command)).await.map(|recorded| recorded.decided)
        }
        Act::Refund => use_cases.handle(&context, use_cases.refund(&context, command)).await.map(|refunded| refunded.decided),
        _ => use_cases.handle(&context, use_cases.decide(&context, command)).await,
    };
    if let Err(error) = &decided
        && let Some(waiting) = waits(error)
    {
        return Ok(waiting);
    }
    let (status, refused) = match decided {
        Ok(decided) => match decided.decision.verdict {
            Verdict::Done => return Ok(done(&id, act)),
            Verdict::Unchanged => return Ok(Redirect::to(&format!("{}?done=unchanged", path_of(&id))).into_response()),
            Verdict::Declined => {
                // The decision is remembered under its id: what is sent next is another request.
                fields = fields.with("request", console.new_request());
                let unit = Unit::of(&decided.outcome.account);
                let short = visitor.locale.money(unit, decided.decision.amount);
                (StatusCode::CONFLICT, visitor.locale.text_with("declined", &[("value", &short)]))
            }
        },
        Err(error) if is_about_the_form(&error) => {
            error.log();
            (StatusCode::CONFLICT, visitor.locale.refusal(&error))
        }
        Err(error) => return Err(error.into()),
    };
    Ok((status, form(&console, &visitor, act, &id, fields, Vec::new(), refused).await?).into_response())
}

fn done(id: &AccountId, act: Act) -> Response {
    Redirect::to(&format!("{}?done={}", path_of(id), act.name())).into_response()
}

/// Whether another form might not be refused. The account itself is there.
#[must_use]
pub fn is_about_the_form(error: &Error) -> bool {
    matches!(error.kind, Kind::Invalid | Kind::Precondition | Kind::AlreadyExists) || error.reason == "AMOUNT_NOT_PERMITTED"
}
