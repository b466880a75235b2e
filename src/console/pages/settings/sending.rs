//! How documents are sent, and when unpaid ones are reminded of; and how to go on where nothing is sent because the store may be a copy.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::super::you::Done;
use super::{Form, Tab, change, tabs_of_service, taken};
use crate::Console;
use crate::failure::Failure;
use crate::fields::{FieldReader, Fields};
use crate::navigation::SENDING;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::sending::MailState;
use billing::sending::settings::{
    FURTHEST_REMINDER, LONGEST_TEXT, MOST_ATTACHED, MOST_LINK_DAYS, MOST_LOW_CREDIT_HOURS, MOST_REMINDERS, SendingSettings, address_of,
    is_address,
};
use service::sending::SendingView;

/// What is still to be sent.
const UNDER_WAY: [MailState; 3] = [MailState::Waiting, MailState::Sending, MailState::Deferred];

/// In what sizes are typed.
const KILOBYTE: u32 = 1_000;

#[derive(Template)]
#[template(path = "settings/sending.html")]
struct Sending {
    page: Page,
    tabs: Vec<Tab>,
    form: Form,
    may_set: bool,
    /// Since when nothing is sent because the store may be a copy; empty if it goes on.
    held_since: String,
    may_go_on: bool,
    /// How many mails wait.
    waiting: String,
    most_attached: String,
    /// Whether this service makes links.
    has_links: bool,
}

/// Shows how documents are sent.
pub async fn show(State(console): State<Console>, visitor: Visitor, Query(Done { done }): Query<Done>) -> Result<Response, Failure> {
    let form = Form::new(&console);
    page(&console, &visitor, &done, form, true).await
}

async fn page(console: &Console, visitor: &Visitor, done: &str, form: Form, is_new: bool) -> Result<Response, Failure> {
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let SendingView { settings, held_since, tally } = use_cases.handle(&context, use_cases.sending(&context)).await?;
    let form = if is_new { filled(form, &settings) } else { form };
    let (status, may) = (form.status(), |permission| visitor.may_everywhere(permission));
    let waiting: i64 = tally.states.iter().filter(|(state, ..)| UNDER_WAY.contains(state)).map(|(_, count, _)| count).sum();
    let page = render(&Sending {
        page: Page::new(visitor, super::ISSUER, locale.text("sending")).after(done),
        tabs: tabs_of_service(SENDING),
        may_set: may(Permission::SetSettings),
        may_go_on: may(Permission::SendMail),
        held_since: if held_since.is_some() { locale.instant(held_since) } else { String::new() },
        waiting: locale.decimal(&waiting.to_string()),
        most_attached: locale.decimal(&(MOST_ATTACHED / KILOBYTE).to_string()),
        has_links: use_cases.has_links(&context),
        form,
    })?;
    Ok(Form::shown(status, page))
}

fn filled(form: Form, settings: &SendingSettings) -> Form {
    let ticked = |is: bool| if is { "yes".to_owned() } else { String::new() };
    let reminders: Vec<String> = settings.reminders.iter().map(ToString::to_string).collect();
    let fields = [
        ("on", ticked(settings.is_enabled)),
        ("from", settings.from.clone()),
        ("reply-to", settings.reply_to.clone()),
        ("contact", settings.contact.clone()),
        ("zero", ticked(settings.zero_documents)),
        ("receipts", ticked(settings.receipts)),
        ("resend", ticked(settings.resend_unknown)),
        ("attached", (settings.attachment_limit / KILOBYTE).to_string()),
        ("low-credit", ticked(settings.low_credit)),
        ("low-credit-hours", settings.low_credit_hours.to_string()),
        ("links", ticked(settings.links)),
        ("link-days", settings.link_days.to_string()),
        ("reminders", reminders.join(", ")),
    ];
    fields.into_iter().fold(form, |form, (name, value)| form.with(name, value))
}

/// Handles the submitted form.
pub async fn set(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let (from, reply_to) = (mailbox(&mut reader, "from"), mailbox(&mut reader, "reply-to"));
    let is_enabled = reader.is_ticked("on");
    if is_enabled && from.is_empty() {
        reader.refuse("from", "wrong-missing");
    }
    let attached = reader.optional_number("attached", 0, (MOST_ATTACHED / KILOBYTE).into());
    if fields.get("attached").is_empty() {
        reader.refuse("attached", "wrong-missing");
    }
    let link_days = reader.optional_number("link-days", 1, MOST_LINK_DAYS.into());
    if fields.get("link-days").is_empty() {
        reader.refuse("link-days", "wrong-missing");
    }
    let hours = reader.optional_number("low-credit-hours", 1, MOST_LOW_CREDIT_HOURS.into());
    if fields.get("low-credit-hours").is_empty() {
        reader.refuse("low-credit-hours", "wrong-missing");
    }
    let days: Vec<_> = fields.get("reminders").split([',', ' ', ';']).filter(|day| !day.is_empty()).map(day).collect();
    if days.len() > MOST_REMINDERS || days.iter().any(Option::is_none) {
        reader.refuse("reminders", "wrong-reminders");
    }
    let settings = SendingSettings {
        is_enabled,
        from,
        reply_to,
        contact: reader.short_text("contact", LONGEST_TEXT),
        zero_documents: reader.is_ticked("zero"),
        attachment_limit: attached.and_then(|size| u32::try_from(size).ok()).unwrap_or(0) * KILOBYTE,
        links: reader.is_ticked("links"),
        link_days: link_days.and_then(|days| u16::try_from(days).ok()).unwrap_or(0),
        receipts: reader.is_ticked("receipts"),
        low_credit: reader.is_ticked("low-credit"),
        low_credit_hours: hours.and_then(|hours| u16::try_from(hours).ok()).unwrap_or(0),
        resend_unknown: reader.is_ticked("resend"),
        reminders: days.into_iter().flatten().collect(),
    };
    if let Err(wrong) = reader.finish() {
        return page(&console, &visitor, "", Form { wrong, ..Form::of(fields) }, false).await;
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let result = use_cases.handle(&context, use_cases.set_sending(&context, &settings.into(), &asked)).await;
    match taken(&visitor, fields, result)? {
        Ok(_) => Ok(Redirect::to(&format!("{SENDING}?done=setting")).into_response()),
        Err(form) => page(&console, &visitor, "", form, false).await,
    }
}

fn mailbox(reader: &mut FieldReader, field: &'static str) -> String {
    let text = reader.short_text(field, LONGEST_TEXT);
    if !text.is_empty() && !is_address(address_of(&text)) {
        reader.refuse(field, "wrong-mailbox");
    }
    text
}

/// A day of a reminder: after the due date, or before it.
fn day(text: &str) -> Option<i16> {
    let day: i16 = text.replace('−', "-").parse().ok()?;
    (day.unsigned_abs() <= FURTHEST_REMINDER.unsigned_abs()).then_some(day)
}

/// Resumes mail from a store that may have been a copy.
pub async fn go_on(State(console): State<Console>, visitor: Visitor, fields: Fields) -> Result<Response, Failure> {
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let asked = change(&console, &visitor, &mut reader);
    let with_waiting = match fields.get("waiting") {
        "send" => true,
        "drop" => false,
        _ => {
            reader.refuse("waiting", "wrong-none-chosen");
            false
        }
    };
    if let Err(wrong) = reader.finish() {
        let shown = Form::new(&console);
        return page(&console, &visitor, "", Form { wrong, ..shown }, true).await;
    }
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let going_on = use_cases.go_on_sending(&context, with_waiting, &asked);
    use_cases.handle(&context, going_on).await?;
    Ok(Redirect::to(&format!("{SENDING}?done=goes-on")).into_response())
}
