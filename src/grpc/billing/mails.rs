//! Mail to customers: reads requests, writes responses.

use super::super::call::read as taken;
use super::read;
use super::settings::{change, issuer_id};
use crate::billing::change::Applied;
use crate::billing::sending::by_hand::Decision;
use crate::billing::sending::mail_queries::{DocumentSending, MailCursor, MailFilter};
use crate::billing::sending::settings::{AccountSending, SendingChange, SendingSettings};
use crate::billing::sending::{Mail, MailKind, MailState};
use crate::domain::time::UnixMillis;
use crate::grpc::wire::reader::FieldReader;
use crate::grpc::wire::render::instant;
use crate::grpc::{page_token, pages, v1};
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;
use crate::service::sending::{MailQuery, SendByHand, SendingView};

/// The largest mail that can come back, in bytes.
const LARGEST_BOUNCE: usize = 2 * 1024 * 1024;

/// How mail is sent, and what waits.
pub async fn get_sending(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::GetSendingRequest,
) -> Result<v1::GetSendingResponse, Error> {
    taken(use_cases, request.issuer_id, issuer_id)?;
    let SendingView { settings, held_since, tally } = use_cases.sending(context).await?;
    let count =
        |(of, count, since): (MailState, i64, UnixMillis)| v1::MailCount { state: state(of).into(), count, since: Some(instant(since)) };
    Ok(v1::GetSendingResponse {
        settings: Some(v1::SendingSettings {
            enabled: settings.is_enabled,
            from: settings.from,
            reply_to: settings.reply_to,
            contact: settings.contact,
            send_zero_documents: settings.zero_documents,
            attachment_limit_bytes: i32::try_from(settings.attachment_limit).unwrap_or(i32::MAX),
            send_receipts: settings.receipts,
            resend_unknown: settings.resend_unknown,
            reminder_days: settings.reminders.into_iter().map(i32::from).collect(),
            send_links: Some(settings.links),
            link_days: Some(settings.link_days.into()),
            send_low_credit: Some(settings.low_credit),
            low_credit_hours: Some(settings.low_credit_hours.into()),
        }),
        held_since: held_since.known().map(instant),
        counts: tally.states.into_iter().map(count).collect(),
    })
}

/// Sets how mail is sent.
pub async fn set_sending(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::SetSendingRequest,
) -> Result<v1::SetSendingResponse, Error> {
    let (settings, change) = taken(use_cases, request, |reader, request| {
        let v1::SetSendingRequest { issuer_id: id, request_id, settings, operator, first_sent_at } = request;
        issuer_id(reader, id);
        if settings.is_none() {
            reader.refuse("settings", "must be given");
        }
        let settings = reader.within("settings", |reader| read_settings(reader, settings.unwrap_or_default()));
        (settings, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.set_sending(context, &settings, &change).await?;
    Ok(v1::SetSendingResponse { replayed: applied == Applied::Before })
}

fn read_settings(reader: &mut FieldReader, settings: v1::SendingSettings) -> SendingChange {
    let usual = SendingSettings::default();
    let mut number = |field: &str, value: i32| {
        u32::try_from(value).unwrap_or_else(|_| {
            reader.refuse(field, "must not be below zero");
            0
        })
    };
    let attachment_limit = match number("attachment_limit_bytes", settings.attachment_limit_bytes) {
        0 => usual.attachment_limit,
        limit => limit,
    };
    let mut given = |field: &str, value: Option<i32>, usual: u16| {
        value.map(|value| match number(field, value) {
            0 => usual,
            value => u16::try_from(value).unwrap_or(u16::MAX),
        })
    };
    let link_days = given("link_days", settings.link_days, usual.link_days);
    let low_credit_hours = given("low_credit_hours", settings.low_credit_hours, usual.low_credit_hours);
    let (links, low_credit) = (settings.send_links, settings.send_low_credit);
    let settings = SendingSettings {
        is_enabled: settings.enabled,
        from: settings.from,
        reply_to: settings.reply_to,
        contact: settings.contact,
        zero_documents: settings.send_zero_documents,
        attachment_limit,
        receipts: settings.send_receipts,
        resend_unknown: settings.resend_unknown,
        reminders: settings.reminder_days.into_iter().map(|day| i16::try_from(day).unwrap_or(i16::MAX)).collect(),
        ..usual
    };
    SendingChange { settings, links, link_days, low_credit, low_credit_hours }
}

/// Settings that an account overrides.
pub async fn get_account_sending(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::GetAccountSendingRequest,
) -> Result<v1::GetAccountSendingResponse, Error> {
    let account = taken(use_cases, request.account_id, FieldReader::account_id)?;
    let AccountSending { is_off, recipients, off } = use_cases.account_sending(context, &account).await?;
    Ok(v1::GetAccountSendingResponse { sending: Some(v1::AccountSending { off: is_off, recipients, off_for: off }) })
}

/// Sets what differs for an account.
pub async fn set_account_sending(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::SetAccountSendingRequest,
) -> Result<v1::SetAccountSendingResponse, Error> {
    let (account, sending, change) = taken(use_cases, request, |reader, request| {
        let v1::SetAccountSendingRequest { account_id, request_id, sending, operator, first_sent_at } = request;
        if sending.is_none() {
            reader.refuse("sending", "must be given");
        }
        let v1::AccountSending { off, recipients, off_for } = sending.unwrap_or_default();
        let sending = AccountSending { is_off: off, recipients, off: off_for };
        (reader.account_id(account_id), sending, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.set_account_sending(context, &account, &sending, &change).await?;
    Ok(v1::SetAccountSendingResponse { replayed: applied == Applied::Before })
}

/// Mails, in pages.
pub async fn list(use_cases: &UseCases, context: &RequestContext, request: v1::ListMailsRequest) -> Result<v1::ListMailsResponse, Error> {
    let words = |request: &v1::ListMailsRequest| {
        let v1::ListMailsRequest { account_id, number, state, kind, .. } = request;
        ["mails", account_id, number, &state.to_string(), &kind.to_string()].map(str::to_owned)
    };
    let words = words(&request);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (query, after, count) = taken(use_cases, request, |reader, request| {
        let after = page_token::read::<(u64, String)>(reader, "page_token", &words, &request.page_token);
        let filter = MailFilter {
            account: read::optional_account(reader, request.account_id),
            state: reader.choice("state", request.state).and_then(read_state),
            kind: reader.choice("kind", request.kind).and_then(read_kind),
            ..MailFilter::default()
        };
        let number = reader.text("number", request.number, 0..=64);
        let after: Option<MailCursor> = after.map(|(created_at, id)| (UnixMillis::new(created_at.cast_signed()), id));
        (MailQuery { filter, number }, after, reader.page_size(request.page_size))
    })?;
    let (mails, next) = use_cases.mails(context, query, after.as_ref(), count).await?;
    let places: Vec<MailCursor> = mails.iter().map(|found| (found.created_at, found.id.clone())).collect();
    let (mails, next) = pages::page(mails.into_iter().map(mail).collect(), &places, next);
    let next_page_token =
        next.map(|(created_at, id)| page_token::encode(&words, &(created_at.get().cast_unsigned(), id))).unwrap_or_default();
    Ok(v1::ListMailsResponse { mails, next_page_token })
}

/// One mail.
pub async fn get(use_cases: &UseCases, context: &RequestContext, request: v1::GetMailRequest) -> Result<v1::GetMailResponse, Error> {
    let id = taken(use_cases, request.mail_id, |reader, id| reader.text("mail_id", id, 1..=64))?;
    Ok(v1::GetMailResponse { mail: Some(mail(use_cases.mail(context, &id).await?)) })
}

/// Sends a document by hand.
pub async fn send(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::SendInvoiceRequest,
) -> Result<v1::SendInvoiceResponse, Error> {
    let (send, change) = taken(use_cases, request, |reader, request| {
        let v1::SendInvoiceRequest { number, request_id, recipients, again, operator, first_sent_at } = request;
        let number = reader.text("number", number, 1..=64);
        (
            SendByHand { number, recipients, again, kind: crate::billing::sending::MailKind::Document },
            change(reader, request_id, None, operator, first_sent_at),
        )
    })?;
    let (applied, mails) = use_cases.send_invoice(context, &send, &change).await?;
    Ok(v1::SendInvoiceResponse { mails: mails.into_iter().map(mail).collect(), replayed: applied == Applied::Before })
}

/// Decides what becomes of a mail.
pub async fn decide(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::DecideMailRequest,
) -> Result<v1::DecideMailResponse, Error> {
    let (id, decision, change) = taken(use_cases, request, |reader, request| {
        let v1::DecideMailRequest { mail_id, request_id, decision, operator, first_sent_at } = request;
        let decision = match reader.choice("decision", decision) {
            Some(v1::MailDecision::Sent) => Decision::Sent,
            Some(v1::MailDecision::Again) => Decision::Again,
            Some(v1::MailDecision::Drop) => Decision::Drop,
            Some(v1::MailDecision::Unspecified) | None => {
                reader.refuse("decision", "must be MAIL_DECISION_SENT, _AGAIN or _DROP");
                Decision::Drop
            }
        };
        (reader.text("mail_id", mail_id, 1..=64), decision, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let (applied, decided) = use_cases.decide_mail(context, &id, decision, &change).await?;
    Ok(v1::DecideMailResponse { mail: Some(mail(decided)), replayed: applied == Applied::Before })
}

/// Takes in a mail that came back.
pub async fn bounce(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::ReportBounceRequest,
) -> Result<v1::ReportBounceResponse, Error> {
    let message = taken(use_cases, request.message, |reader, message| {
        if message.is_empty() || message.len() > LARGEST_BOUNCE {
            reader.refuse("message", format!("must have 1 to {LARGEST_BOUNCE} bytes"));
        }
        message
    })?;
    let mails = use_cases.report_bounce(context, &message).await?;
    Ok(v1::ReportBounceResponse { mails: mails.into_iter().map(mail).collect() })
}

/// Resumes mail from a store that may be a copy.
pub async fn go_on(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::GoOnSendingRequest,
) -> Result<v1::GoOnSendingResponse, Error> {
    let (with_waiting, change) = taken(use_cases, request, |reader, request| {
        let v1::GoOnSendingRequest { request_id, with_waiting, operator, first_sent_at } = request;
        (with_waiting, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let (applied, dropped) = use_cases.go_on_sending(context, with_waiting, &change).await?;
    let dropped = i64::try_from(dropped).unwrap_or(i64::MAX);
    Ok(v1::GoOnSendingResponse { dropped, replayed: applied == Applied::Before })
}

fn mail(mail: Mail) -> v1::Mail {
    let at = |at: UnixMillis| at.known().map(instant);
    v1::Mail {
        kind: match mail.kind {
            MailKind::Document => v1::MailKind::Document,
            MailKind::Receipt => v1::MailKind::Receipt,
            MailKind::Reminder => v1::MailKind::Reminder,
            MailKind::LowCredit => v1::MailKind::LowCredit,
        }
        .into(),
        state: state(mail.state).into(),
        attempts: i32::try_from(mail.attempts).unwrap_or(i32::MAX),
        next_try_at: at(mail.next_at),
        created_at: at(mail.created_at),
        changed_at: at(mail.changed_at),
        sent_at: at(mail.sent_at),
        mail_id: mail.id,
        number: mail.number,
        account_id: mail.account.into(),
        recipient: mail.recipient,
        occasion: mail.occasion,
        detail: mail.detail,
    }
}

fn state(state: MailState) -> v1::MailState {
    match state {
        MailState::Waiting => v1::MailState::Waiting,
        MailState::Sending => v1::MailState::Sending,
        MailState::Sent => v1::MailState::Sent,
        MailState::Deferred => v1::MailState::Deferred,
        MailState::Failed => v1::MailState::Failed,
        MailState::Bounced => v1::MailState::Bounced,
        MailState::Unknown => v1::MailState::Unknown,
        MailState::Off => v1::MailState::Off,
    }
}

fn read_state(state: v1::MailState) -> Option<MailState> {
    Some(match state {
        v1::MailState::Unspecified => return None,
        v1::MailState::Waiting => MailState::Waiting,
        v1::MailState::Sending => MailState::Sending,
        v1::MailState::Sent => MailState::Sent,
        v1::MailState::Deferred => MailState::Deferred,
        v1::MailState::Failed => MailState::Failed,
        v1::MailState::Bounced => MailState::Bounced,
        v1::MailState::Unknown => MailState::Unknown,
        v1::MailState::Off => MailState::Off,
    })
}

fn read_kind(kind: v1::MailKind) -> Option<MailKind> {
    Some(match kind {
        v1::MailKind::Unspecified => return None,
        v1::MailKind::Document => MailKind::Document,
        v1::MailKind::Receipt => MailKind::Receipt,
        v1::MailKind::Reminder => MailKind::Reminder,
        v1::MailKind::LowCredit => MailKind::LowCredit,
    })
}

/// The state of the mail of a document.
#[must_use]
pub fn sending(sending: Option<DocumentSending>) -> v1::DocumentSending {
    match sending {
        None => v1::DocumentSending::Unspecified,
        Some(DocumentSending::Off) => v1::DocumentSending::Off,
        Some(DocumentSending::Sent) => v1::DocumentSending::Sent,
        Some(DocumentSending::Waiting) => v1::DocumentSending::Waiting,
        Some(DocumentSending::Failed) => v1::DocumentSending::Failed,
        Some(DocumentSending::Bounced) => v1::DocumentSending::Bounced,
        Some(DocumentSending::Unknown) => v1::DocumentSending::Unknown,
    }
}
