//! Mail to customers: the list of what was sent, or is to be; one mail, and what can be decided of it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::acts::is_about_the_form;
use super::invoices::change_of;
use super::organizations::path_of;
use super::you::Done;
use crate::Console;
use crate::downloads::{ROWS_AT_ONCE, csv_list};
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields};
use crate::locale::Locale;
use crate::navigation::{INVOICES, MAILS};
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::sending::by_hand::Decision;
use billing::sending::mail_queries::{MailCursor, MailFilter};
use billing::sending::{Mail, MailKind, MailState};
use domain::ids::AccountId;
use domain::time::UnixMillis;
use service::sending::{LATE_MAIL, MailQuery};

/// How many rows a page has.
const ROWS: usize = 50;

/// The query string of the page.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PageQuery {
    /// A state, by its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    state: String,
    /// The id of an organization.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    account: String,
    /// Behind which mail the page begins: when it was made, and its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after: String,
}

/// The list.
#[derive(Template)]
#[template(path = "mails.html")]
struct Mails {
    page: Page,
    wanted: PageQuery,
    /// The states: the key of the name, the address, whether it is the one that is shown.
    states: Vec<(&'static str, String, bool)>,
    rows: Vec<Row>,
    next: String,
    file: String,
    /// The key of what keeps all mail from being sent; empty for nothing.
    stopped: &'static str,
    may_see_settings: bool,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct OneMail {
    page: Page,
    row: Row,
    particulars: Vec<(&'static str, String)>,
    /// What can be decided: the value and the key of the button.
    decisions: Vec<&'static str>,
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
}

/// A mail, as a row.
pub struct Row {
    /// The address of its page.
    pub href: String,
    /// The key of what it is.
    pub kind: &'static str,
    /// The number of its document; empty if it is about none.
    pub number: String,
    pub account: String,
    /// The address of its organization's page.
    pub organization: String,
    /// To whom; empty for nobody.
    pub recipient: String,
    /// The key of its state.
    pub state: &'static str,
    /// How that is coloured.
    pub colour: &'static str,
    /// When that became of it.
    pub at: String,
    /// Why, as far as there is something to say.
    pub detail: String,
}

/// The key of a state's name.
fn state_key(state: MailState) -> &'static str {
    match state {
        MailState::Waiting => "mail-waiting",
        MailState::Sending => "mail-sending",
        MailState::Sent => "mail-sent",
        MailState::Deferred => "mail-deferred",
        MailState::Failed => "mail-failed",
        MailState::Bounced => "mail-bounced",
        MailState::Unknown => "mail-unknown",
        MailState::Off => "mail-off",
    }
}

impl Row {
    /// That of a mail.
    #[must_use]
    pub fn new(locale: &Locale, mail: &Mail) -> Self {
        // What the service itself says is said in the reader's language; a server's words are its own.
        let detail = match mail.state {
            MailState::Failed if mail.recipient.is_empty() => locale.text("mail-no-address"),
            MailState::Off if mail.detail.starts_with("it comes to nothing") => locale.text("mail-off-zero"),
            MailState::Off if mail.detail.starts_with("switched off") => locale.text("mail-off-account"),
            MailState::Off if mail.detail.starts_with("the credit was no longer low") => locale.text("mail-off-not-low"),
            MailState::Deferred => {
                let next = locale.text_with("mail-next", &[("value", &locale.instant(mail.next_at))]);
                format!("{} {next}", mail.detail)
            }
            _ => mail.detail.clone(),
        };
        Self {
            href: format!("{MAILS}/{}", mail.id),
            kind: match mail.kind {
                MailKind::Document => "mail-document",
                MailKind::Receipt => "receipt",
                MailKind::Reminder => "mail-reminder",
                MailKind::LowCredit => "mail-low-credit",
            },
            number: mail.number.clone(),
            account: mail.account.to_string(),
            organization: path_of(&mail.account),
            recipient: mail.recipient.clone(),
            state: state_key(mail.state),
            colour: match mail.state {
                MailState::Sent => "good",
                MailState::Waiting | MailState::Sending => "postpaid",
                MailState::Deferred => "warn",
                MailState::Failed | MailState::Bounced | MailState::Unknown => "bad",
                MailState::Off => "",
            },
            at: locale.instant(mail.changed_at),
            detail,
        }
    }
}

/// The mails of a document or an organization, the newest first; none while the billing store is away.
pub async fn few(console: &Console, visitor: &Visitor, query: MailQuery, count: usize) -> Vec<Row> {
    let found = console.use_cases.mails(&visitor.context(), query, None, count).await;
    found.map(|(mails, _)| mails.iter().map(|mail| Row::new(&visitor.locale, mail)).collect()).unwrap_or_default()
}

impl PageQuery {
    fn query(&self) -> MailQuery {
        let account = Some(self.account.trim().to_owned()).filter(|account| !account.is_empty());
        let state = MailState::of_name(&self.state);
        MailQuery { filter: MailFilter { account: account.map(AccountId::from), state, ..MailFilter::default() }, number: String::new() }
    }

    fn after(&self) -> Option<MailCursor> {
        Some((self.made?, self.after.clone()))
    }

    fn address(&self) -> String {
        format!("{MAILS}?{}", serde_urlencoded::to_string(self).unwrap_or_default())
    }

    /// Whether anything is left out.
    pub fn is_narrow(&self) -> bool {
        !self.state.is_empty() || !self.account.trim().is_empty()
    }
}

/// Shows the list.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let context = visitor.context();
    let after = wanted.after();
    let listing = console.use_cases.mails(&context, wanted.query(), after.as_ref(), ROWS);
    let (mails, next) = console.use_cases.handle(&context, listing).await?;
    let from_start = PageQuery { made: None, after: String::new(), ..wanted.clone() };
    let at = |state: &str| PageQuery { state: state.to_owned(), ..from_start.clone() }.address();
    let of_state = |state: &MailState| (state_key(*state), at(state.name()), state.name() == wanted.state);
    let all = ("mail-all", at(""), wanted.state.is_empty());
    render(&Mails {
        page: Page::new(&visitor, MAILS, visitor.locale.text("mails")),
        states: std::iter::once(all).chain(MailState::ALL.iter().map(of_state)).collect(),
        rows: mails.iter().map(|mail| Row::new(&visitor.locale, mail)).collect(),
        next: next.map(|(made, after)| PageQuery { made: Some(made), after, ..from_start.clone() }.address()).unwrap_or_default(),
        file: from_start.address().replacen('?', ".csv?", 1),
        stopped: stopped(&console, &visitor).await,
        may_see_settings: visitor.may_everywhere(Permission::ReadSettings),
        wanted,
    })
}

/// What keeps all mail from being sent, or seems to.
pub(super) async fn stopped(console: &Console, visitor: &Visitor) -> &'static str {
    match console.use_cases.sending(&visitor.context()).await {
        Ok(view) if !view.settings.is_enabled => "mails-switched-off",
        Ok(view) if view.held_since.is_some() => "mails-held",
        Ok(view) if view.tally.late(console.use_cases.clock().now() - LATE_MAIL) > 0 => "mails-late",
        _ => "",
    }
}

/// Sends the list as CSV, for machines.
pub async fn download(State(console): State<Console>, visitor: Visitor, Query(wanted): Query<PageQuery>) -> Result<Response, Failure> {
    let header = ["id", "kind", "number", "account", "recipient", "state", "attempts", "created_at", "changed_at", "sent_at", "detail"];
    csv_list(&console, &visitor, "mails.csv", &header, move |console, visitor, after| {
        let query = wanted.query();
        async move {
            let (context, use_cases) = (visitor.context(), &console.use_cases);
            let (mails, next) = use_cases.handle(&context, use_cases.mails(&context, query, after.as_ref(), ROWS_AT_ONCE)).await?;
            Ok((mails.into_iter().map(|mail| record(&visitor.locale, mail)).collect(), next))
        }
    })
    .await
}

fn record(locale: &Locale, mail: Mail) -> Vec<String> {
    let instant = |at: UnixMillis| if at.is_some() { locale.machine(at) } else { String::new() };
    let (created, changed, sent) = (instant(mail.created_at), instant(mail.changed_at), instant(mail.sent_at));
    let (kind, state, attempts) = (mail.kind.name().to_owned(), mail.state.name().to_owned(), mail.attempts.to_string());
    vec![mail.id, kind, mail.number, mail.account.into(), mail.recipient, state, attempts, created, changed, sent, mail.detail]
}

/// Shows a mail.
pub async fn one(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Failure> {
    let fields = Fields::default().with("request", console.new_request());
    mail(&console, &visitor, &id, &done, fields, Vec::new(), String::new()).await
}

async fn mail(
    console: &Console,
    visitor: &Visitor,
    id: &str,
    done: &str,
    fields: Fields,
    wrong: Vec<FieldError>,
    refused: String,
) -> Result<Response, Failure> {
    let (context, locale) = (visitor.context(), &visitor.locale);
    let mail = console.use_cases.handle(&context, console.use_cases.mail(&context, id)).await?;
    let row = Row::new(locale, &mail);
    let instant = |at: UnixMillis| if at.is_some() { locale.instant(at) } else { String::new() };
    let particulars = [
        ("mail-recipient", mail.recipient.clone()),
        ("mail-made", instant(mail.created_at)),
        ("mail-sent-at", instant(mail.sent_at)),
        ("mail-changed", instant(mail.changed_at)),
        ("mail-attempts", locale.decimal(&mail.attempts.to_string())),
        ("mail-next-at", instant(mail.next_at)),
    ];
    let decisions: &[&str] = match mail.state {
        _ if !visitor.may_on(Permission::SendMail, &mail.account) => &[],
        MailState::Unknown => &["sent", "again", "drop"],
        MailState::Failed if mail.recipient.is_empty() => &["drop"],
        MailState::Failed | MailState::Deferred => &["again", "drop"],
        MailState::Waiting => &["drop"],
        _ => &[],
    };
    render(&OneMail {
        page: Page::new(visitor, MAILS, format!("{} {}", locale.text(row.kind), row.number).trim()).after(done),
        particulars: particulars.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
        decisions: decisions.to_vec(),
        row,
        fields,
        wrong,
        refused,
    })
}

/// Takes what is decided of a mail.
pub async fn decide(State(console): State<Console>, visitor: Visitor, Path(id): Path<String>, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let (request, reason) = (reader.request(), reader.optional_text("reason"));
    let decision = match fields.get("decision") {
        "sent" => Decision::Sent,
        "again" => Decision::Again,
        "drop" => Decision::Drop,
        _ => {
            reader.refuse("request", "wrong-id");
            Decision::Drop
        }
    };
    if let Err(wrong) = reader.finish() {
        return Ok(
            (StatusCode::UNPROCESSABLE_ENTITY, mail(&console, &visitor, &id, "", fields, wrong, String::new()).await?).into_response()
        );
    }
    let (context, change) = (visitor.context(), change_of(&console, &visitor, request, reason));
    match console.use_cases.handle(&context, console.use_cases.decide_mail(&context, &id, decision, &change)).await {
        Ok(_) => Ok(Redirect::to(&format!("{MAILS}/{id}?done=decided")).into_response()),
        Err(error) if is_about_the_form(&error) => {
            error.log();
            let refused = visitor.locale.refusal(&error);
            Ok((StatusCode::CONFLICT, mail(&console, &visitor, &id, "", fields, Vec::new(), refused).await?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// The address of the page that sends a document.
#[must_use]
pub fn path_to_send(document: &str) -> String {
    format!("{INVOICES}/{document}/send")
}
