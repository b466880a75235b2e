//! Convert to Postpaid, or to Prepaid: what it would change, with all advice; then the result, and how to undo it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::acts::{Suggested, is_about_the_form, worked_out};
use super::approvals::waits;
use super::organizations::path_of;
use super::wallet::Wallet;
use crate::Console;
use crate::acts::limit;
use crate::failure::Failure;
use crate::fields::{FieldError, FieldReader, Fields, FormRequest};
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;
use access::Permission;
use billing::MonthBill;
use billing::sending::mail_queries::DocumentSending;
use domain::account::Mode;
use domain::command::{Action, Command, LimitChange, Metadata};
use domain::ids::AccountId;
use domain::money::{DecimalAmount, Units};
use domain::outcome::Verdict;
use ledger::ListedAccount;
use service::advice::{Advised, Topic};
use service::credit::Unit;
use service::error::Error;

/// The last day of the month on which a conversion is said to be best done.
const FIRST_WEEK: i8 = 7;

/// The page, before and after.
#[derive(Template)]
#[template(path = "convert.html")]
struct Convert {
    page: Page,
    href: String,
    name: String,
    wallet: Wallet,
    /// The keys of the mode that it has, or had, and of the other one.
    from: &'static str,
    to: &'static str,
    fields: Fields,
    wrong: Vec<FieldError>,
    /// Why it would be, or was, refused; empty if it is not.
    refused: String,
    /// Whether a limit would help.
    needs_limit: bool,
    may_set_limit: bool,
    change: Option<Change>,
    suggestion: Option<Suggested>,
    is_done: bool,
    currency: String,
}

struct Change {
    /// The credit limit; the same twice if it stays.
    limit_before: String,
    limit_after: String,
    /// Whether there is one afterwards.
    has_limit: bool,
    usable_before: String,
    usable_after: String,
    is_less: bool,
    /// The final bill; empty if there is none.
    final_bill: String,
    balance_after: String,
    advice: Vec<String>,
}

impl Convert {
    fn is_to_prepaid(&self) -> bool {
        self.to == "prepaid"
    }

    /// What becomes of the limit if it was a mistake; empty where there is nothing to do.
    fn limit_if_mistaken(&self) -> String {
        let Some(change) = &self.change else { return String::new() };
        match (self.is_to_prepaid(), change.has_limit) {
            (false, true) => self.page.tn("undo-limit-kept", &change.limit_after),
            (true, false) => self.page.t("undo-limit-none"),
            (true, true) | (false, false) => String::new(),
        }
    }
}

fn other(mode: Mode) -> (Mode, &'static str, &'static str) {
    match mode {
        Mode::Prepaid => (Mode::Postpaid, "prepaid", "postpaid"),
        Mode::Postpaid => (Mode::Prepaid, "postpaid", "prepaid"),
    }
}

fn command(id: &AccountId, request: FormRequest, mode: Mode, limit: LimitChange, allow_unusable: bool, reason: String) -> Command {
    let action = Action::Convert { mode, limit, allow_unusable };
    let metadata = Metadata { reason, ..Metadata::default() };
    let FormRequest { id: request_id, first_sent_at } = request;
    Command { account: id.to_owned(), request_id: request_id.into(), first_sent_at, currency: None, action, metadata }
}

/// Shows what a conversion would change.
pub async fn show(State(console): State<Console>, visitor: Visitor, Path(id): Path<AccountId>) -> Result<Response, Failure> {
    let listed = account(&console, &visitor, &id).await?;
    let fields = Fields::default().with("request", console.new_request());
    before(&console, &visitor, listed, fields, Vec::new(), String::new(), StatusCode::OK).await
}

async fn account(console: &Console, visitor: &Visitor, id: &AccountId) -> Result<ListedAccount, Failure> {
    if !visitor.may_on(Permission::Convert, id) {
        return Err(Error::not_permitted(Permission::Convert).into());
    }
    let context = visitor.context();
    Ok(console.use_cases.handle(&context, console.use_cases.account(&context, id.to_owned())).await?)
}

/// The page before: the preview is decided by the rules on the account as it is now.
async fn before(
    console: &Console,
    visitor: &Visitor,
    listed: ListedAccount,
    mut fields: Fields,
    wrong: Vec<FieldError>,
    mut refused: String,
    status: StatusCode,
) -> Result<Response, Failure> {
    let locale = &visitor.locale;
    let (mode, from, to) = other(listed.account.mode);
    let may_set_limit = visitor.may_on(Permission::SetCreditLimit, &listed.id);
    let mut wanted = if may_set_limit { wanted_limit(&fields, visitor) } else { LimitChange::default() };
    let (mut preview, mut needs_limit) = preview(console, visitor, &listed.id, mode, wanted).await;
    // An account without a limit is offered the suggested one, before anybody has filled in another: what is filled in is what is shown.
    let is_filled_in = !fields.get("mode").is_empty();
    let offered = match &preview {
        Ok(advised) if mode == Mode::Postpaid && may_set_limit && !is_filled_in => {
            let limit = advised.known.suggestion.as_ref().and_then(|suggestion| suggestion.limit);
            limit.filter(|_| listed.account.credit_limit(listed.now).is_zero())
        }
        _ => None,
    };
    if let Some(limit) = offered {
        fields = fields.with("limit", locale.typed(Unit::of(&listed.account), limit));
        wanted = wanted_limit(&fields, visitor);
        let (with_limit, still_needed) = self::preview(console, visitor, &listed.id, mode, wanted).await;
        if with_limit.is_ok() {
            (preview, needs_limit) = (with_limit, still_needed);
        }
    }
    let (change, suggestion) = match &preview {
        Ok(advised) => {
            // Of what cannot be read, nobody knows what it would lead to.
            let change = wrong.is_empty().then(|| changed(visitor, advised, listed.account.credit_limit(listed.now)));
            (change, advised.known.suggestion.as_ref())
        }
        Err(error) if is_about_the_form(error) => {
            if refused.is_empty() {
                refused = locale.refusal(error);
            }
            (None, None)
        }
        Err(error) => return Err(error.clone().into()),
    };
    let suggestion = suggestion.map(|suggestion| worked_out(visitor, &listed.account, suggestion));
    let title = locale.text(if mode == Mode::Postpaid { "convert-to-postpaid" } else { "convert-to-prepaid" });
    let page = Page::new(visitor, ORGANIZATIONS, title);
    let response = render(&Convert {
        page,
        href: path_of(&listed.id),
        wallet: Wallet::new(locale, &listed),
        from,
        to,
        fields,
        wrong,
        refused,
        needs_limit,
        may_set_limit,
        change,
        suggestion,
        is_done: false,
        currency: listed.account.currency.code().to_owned(),
        name: listed.profile.name,
    })?;
    Ok((status, response).into_response())
}

/// The limit that the form has so far, as far as it can be read.
fn wanted_limit(fields: &Fields, visitor: &Visitor) -> LimitChange {
    let mut reader = FieldReader::new(fields, &visitor.locale);
    let wanted = limit_of(&mut reader);
    reader.finish().map_or_else(|_| LimitChange::default(), |()| wanted)
}

/// A change of the limit, or its removal, as the form has it.
fn limit_of(reader: &mut FieldReader) -> LimitChange {
    let change = limit(reader);
    let removed = reader.is_ticked("remove-limit").then_some(DecimalAmount::ZERO);
    LimitChange { permanent: removed.or(change.permanent), ..change }
}

/// What the conversion would lead to; and whether it needs a limit, or that the account may be left without usable credit.
async fn preview(console: &Console, visitor: &Visitor, id: &AccountId, mode: Mode, limit: LimitChange) -> (Result<Advised, Error>, bool) {
    let (context, use_cases) = (visitor.context(), &console.use_cases);
    let preview = async |allow_unusable| {
        let request = FormRequest { id: "preview".to_owned(), first_sent_at: None };
        let command = command(id, request, mode, limit, allow_unusable, String::new());
        use_cases.handle(&context, use_cases.preview_conversion(&context, command)).await
    };
    match preview(false).await {
        Err(error) if error.reason == "WOULD_BE_UNUSABLE" => (preview(true).await, true),
        other => (other, false),
    }
}

/// Converts, and shows the result; or shows anew what the form, as it is filled in, would change.
pub async fn submit(
    State(console): State<Console>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    fields: Fields,
) -> Result<Response, Failure> {
    let listed = account(&console, &visitor, &id).await?;
    let mut reader = FieldReader::new(&fields, &visitor.locale);
    let (request, reason) = (reader.request(), reader.optional_text("reason"));
    let limit = limit_of(&mut reader);
    // The mode that the page spoke of, whatever the account has by now.
    let mode = if fields.get("mode") == "postpaid" { Mode::Postpaid } else { Mode::Prepaid };
    let allow_unusable = reader.is_ticked("allow-unusable");
    if fields.is_ticked("preview") {
        let wrong = reader.finish().err().unwrap_or_default();
        return before(&console, &visitor, listed, fields, wrong, String::new(), StatusCode::OK).await;
    }
    if let Err(wrong) = reader.finish() {
        return before(&console, &visitor, listed, fields, wrong, String::new(), StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    let (context, use_cases, locale) = (visitor.context(), &console.use_cases, &visitor.locale);
    let command = command(&id, request, mode, limit, allow_unusable, reason);
    let converted = use_cases.handle(&context, use_cases.convert(&context, command)).await;
    if let Err(error) = &converted
        && let Some(waiting) = waits(error)
    {
        return Ok(waiting);
    }
    let advised = match converted {
        Ok(advised) => advised,
        Err(error) if is_about_the_form(&error) => {
            error.log();
            return before(&console, &visitor, listed, fields, Vec::new(), locale.refusal(&error), StatusCode::CONFLICT).await;
        }
        Err(error) => return Err(error.into()),
    };
    let limit_before = listed.account.credit_limit(listed.now);
    let listed = account(&console, &visitor, &id).await?;
    let (_, to, from) = other(mode);
    let is_changed = advised.decided.decision.verdict == Verdict::Done;
    let title = locale.text(match (is_changed, mode) {
        (false, _) => "conversion-unchanged",
        (true, Mode::Postpaid) => "converted-to-postpaid",
        (true, Mode::Prepaid) => "converted-to-prepaid",
    });
    render(&Convert {
        page: Page::new(&visitor, ORGANIZATIONS, title),
        href: path_of(&id),
        wallet: Wallet::new(locale, &listed),
        from,
        to,
        fields,
        wrong: Vec::new(),
        refused: String::new(),
        needs_limit: false,
        may_set_limit: visitor.may_on(Permission::SetCreditLimit, &id),
        change: Some(changed(&visitor, &advised, limit_before)),
        suggestion: None,
        is_done: true,
        currency: listed.account.currency.code().to_owned(),
        name: listed.profile.name,
    })
}

/// What a conversion changes, or has changed.
fn changed(visitor: &Visitor, advised: &Advised, limit_before: Units) -> Change {
    let (locale, decided) = (&visitor.locale, &advised.decided);
    let after = &decided.outcome.account;
    let unit = Unit::of(after);
    let usable = after.usable_credit(decided.outcome.now);
    let before = if decided.decision.verdict == Verdict::Done { decided.decision.amount } else { usable };
    let final_bill = advised.known.final_bill.filter(|billed| *billed != Units::ZERO);
    let limit = after.credit_limit(decided.outcome.now);
    Change {
        limit_before: locale.money(unit, limit_before),
        limit_after: locale.money(unit, limit),
        has_limit: !limit.is_zero(),
        usable_before: locale.money(unit, before),
        usable_after: locale.money(unit, usable),
        is_less: usable < before,
        final_bill: final_bill.map(|billed| locale.money(unit, billed)).unwrap_or_default(),
        balance_after: locale.money(unit, after.balance),
        advice: advised.advice.iter().map(|advice| said(visitor, advised, advice.topic)).collect(),
    }
}

/// A piece of advice in the reader's language, made of what the use case knows.
fn said(visitor: &Visitor, advised: &Advised, topic: Topic) -> String {
    let (locale, known, account) = (&visitor.locale, &advised.known, &advised.decided.outcome.account);
    let money = |units| locale.money(Unit::of(account), units);
    let limit = account.credit_limit(advised.decided.outcome.now);
    let suggested = known.suggestion.as_ref().and_then(|suggestion| suggestion.limit);
    let (key, value) = match topic {
        Topic::LowLimit if limit.is_zero() => ("advice-no-limit", String::new()),
        Topic::LowLimit if suggested.is_some() => ("advice-low-limit", money(suggested.unwrap_or_default())),
        Topic::LowLimit => ("advice-low-limit-balance", money(account.balance)),
        Topic::Timing => (timing(known.last_month, known.day <= FIRST_WEEK), String::new()),
        Topic::EstimatedLimit => ("advice-estimated", money(suggested.unwrap_or_default())),
        Topic::AmountDue => ("advice-amount-due", money(account.debt())),
        Topic::FinalBill => ("advice-final-bill", money(known.final_bill.unwrap_or_default())),
        Topic::RemoveLimit => ("advice-remove-limit", money(limit)),
        Topic::RenewedLimit => ("advice-renewed-limit", String::new()),
        Topic::WrittenOff => ("advice-written-off", String::new()),
    };
    let said = locale.text_with(key, &[("value", &value)]);
    match (topic, known.last_month) {
        (Topic::Timing, Some(MonthBill::Generated(sending))) => format!("{said} {}", sent(visitor, sending, &known.contact)),
        _ => said,
    }
}

/// The state of the mail of last month's invoice. Where it is not sent from here, it is unknown, and the text says whom to ask.
fn sent(visitor: &Visitor, sending: Option<DocumentSending>, contact: &str) -> String {
    let key = match sending {
        Some(DocumentSending::Sent) => "sending-sent",
        Some(DocumentSending::Waiting) => "sending-waiting",
        Some(DocumentSending::Failed | DocumentSending::Bounced) => "sending-failed",
        Some(DocumentSending::Unknown) => "sending-unknown",
        Some(DocumentSending::Off) | None if contact.is_empty() => "sending-off-nobody",
        Some(DocumentSending::Off) | None => "sending-off",
    };
    visitor.locale.text_with(key, &[("value", contact)])
}

fn timing(last_month: Option<MonthBill>, is_first_week: bool) -> &'static str {
    match (last_month, is_first_week) {
        (Some(MonthBill::Generated(_)), true) => "advice-timing-good",
        (Some(MonthBill::Generated(_)), false) => "advice-timing-late",
        (Some(MonthBill::NotYetGenerated), _) => "advice-timing-not-generated",
        (Some(MonthBill::NothingToBill), true) => "advice-timing-nothing",
        (Some(MonthBill::NothingToBill), false) => "advice-timing-nothing-late",
        (None, true) => "advice-timing-unknown",
        (None, false) => "advice-timing-unknown-late",
    }
}
