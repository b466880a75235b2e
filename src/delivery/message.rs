//! Writes a mail: a text and a page that say the same, and the paper.

use std::sync::Arc;

use anyhow::Context;
use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};

use super::smtp::Envelope;
use billing::document::{Document, DocumentKind};
use billing::issuer::{MAIN, in_force};
use billing::payments::PaymentInFull;
use billing::projection::AccountState;
use billing::rendering::letter::{Enclosure, Letter, LetterKind, Written as Texts};
use billing::rendering::{self, Denomination, FormError, Imprint};
use billing::sending::settings::{SendingSettings, address_of};
use billing::sending::{Mail, MailKind, domain_of};
use billing::{Billing, BillingError};
use domain::account::Account;
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;
use platform::clock::Clock;

/// A mail that can be given to a server.
#[derive(Debug)]
pub struct Written {
    /// From whom, and to whom.
    pub envelope: Envelope,
    /// All of it.
    pub content: Vec<u8>,
    /// What an operator should know of it; empty: nothing.
    pub note: String,
}

/// Why a mail could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The billing store gave no answer.
    #[error(transparent)]
    Billing(#[from] BillingError),
    /// It cannot be written.
    #[error("{0}")]
    Impossible(String),
}

impl From<FormError> for WriteError {
    fn from(error: FormError) -> Self {
        Self::Impossible(error.to_string())
    }
}

/// A letter, and the file that goes with it.
struct Content {
    letter: Letter,
    /// The kind of the document that it is about, if it is about one.
    document: Option<DocumentKind>,
    file: Option<(String, Vec<u8>)>,
}

/// Writes a mail. Heavy: a document is printed.
pub async fn write(billing: &Billing, mail: &Mail, clock: &Clock) -> Result<Written, WriteError> {
    let settings = billing.sending().await?;
    let now = clock.now();
    let content = match mail.kind {
        MailKind::Document | MailKind::Reminder => {
            let mut stored = billing.document_of_id(mail.document, None).await?;
            // Its lines may have gone while the mail was on its way: nobody gets an empty paper.
            if !stored.is_kept {
                return Err(WriteError::Impossible("the document is no longer kept: its term is over".to_owned()));
            }
            billing.load_logo(&mut stored.document.issuer).await?;
            let reminder = (mail.kind == MailKind::Reminder).then_some((stored.open_amount, now));
            let document = Arc::new(stored.document);
            let printed = Arc::clone(&document);
            let pdf = blocking(move || rendering::pdf(&printed)).await?;
            let is_attached = pdf.len() <= usize::try_from(settings.attachment_limit).unwrap_or(usize::MAX);
            let link = if settings.links || !is_attached { link(billing, mail, settings.link_days, now).await? } else { None };
            let pdf = is_attached.then_some(pdf);
            blocking(move || of_document(&document, reminder, pdf, link)).await?
        }
        MailKind::Receipt => {
            let payment = billing.payment_of_sequence(&mail.account, mail.credit).await?;
            let payment = payment.ok_or_else(|| WriteError::Impossible("the payment is not there any more".to_owned()))?;
            let of = &payment.payment;
            let money = Denomination { currency: of.currency.clone(), decimals: of.decimals, minor_digits: of.minor_digits };
            let imprint = imprint(billing, &mail.account, money, clock, now).await?;
            blocking(move || of_receipt(&imprint, &payment)).await?
        }
        MailKind::LowCredit => {
            let state = billing.account_state(&mail.account).await?;
            let Some((AccountState { account, .. }, threshold)) =
                state.and_then(|state| Some((state.clone(), state.low_credit_threshold?)))
            else {
                return Err(WriteError::Impossible("the account has no threshold any more".to_owned()));
            };
            let Account { decimals, minor_digits, .. } = account;
            let money = Denomination { currency: account.currency.code().to_owned(), decimals, minor_digits };
            let imprint = imprint(billing, &mail.account, money, clock, now).await?;
            Content { letter: Letter::low_credit(&imprint, account.usable_credit(now), threshold)?, document: None, file: None }
        }
    };
    let kind = match mail.kind {
        MailKind::Document => content.document.map_or(LetterKind::Invoice, LetterKind::of_document),
        MailKind::Receipt => LetterKind::Receipt,
        MailKind::Reminder => LetterKind::Reminder,
        MailKind::LowCredit => LetterKind::LowCredit,
    };
    let template = billing.template(kind, content.letter.language).await?;
    let (texts, note) = match template.write(&content.letter) {
        Ok(written) => (written, String::new()),
        // What an operator has written must not keep an invoice from its customer.
        Err(problem) => (content.letter.written()?, format!("with its usual text, for its template cannot be filled in: {problem}")),
    };
    assemble(mail, &settings, content, texts, note).map_err(|error| WriteError::Impossible(format!("{error:#}")))
}

/// Runs what takes long on another thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, FormError> + Send + 'static) -> Result<T, WriteError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(WriteError::Impossible(error.to_string())),
    }
}

/// Where the customer can open the document of a mail; `None` if there are no links.
async fn link(billing: &Billing, mail: &Mail, days: u16, now: UnixMillis) -> Result<Option<String>, BillingError> {
    if billing.settings().public_url.is_none() {
        return Ok(None);
    }
    billing.link_url(&billing.link_of_mail(mail, days, now).await?).await
}

fn of_document(
    document: &Document,
    reminder: Option<(Units, UnixMillis)>,
    pdf: Option<Vec<u8>>,
    link: Option<String>,
) -> Result<Content, FormError> {
    let enclosure = Enclosure { is_attached: pdf.is_some(), link };
    let letter = match reminder {
        Some((open, now)) => Letter::reminder(document, open, now, &enclosure)?,
        None => Letter::of_document(document, &enclosure)?,
    };
    Ok(Content { letter, document: Some(document.kind), file: pdf.map(|pdf| (format!("{}.pdf", document.number), pdf)) })
}

fn of_receipt(imprint: &Imprint, payment: &PaymentInFull) -> Result<Content, FormError> {
    let pdf = rendering::receipt::pdf(imprint, payment)?;
    let name = format!("receipt-{}.pdf", payment.payment.entry_id());
    Ok(Content { letter: Letter::of_receipt(imprint, payment)?, document: None, file: Some((name, pdf)) })
}

async fn imprint(billing: &Billing, account: &str, money: Denomination, clock: &Clock, at: UnixMillis) -> Result<Imprint, BillingError> {
    let issuers = billing.issuers(MAIN).await?;
    let mut issuer = in_force(&issuers, clock.day_of(at)).cloned().unwrap_or_default();
    billing.load_logo(&mut issuer).await?;
    let customer = billing.customer(&AccountId::from(account)).await?;
    let time_zone = billing.settings().time_zone.clone();
    Ok(Imprint { issuer, customer, account: account.to_owned(), money, time_zone, at })
}

fn assemble(mail: &Mail, settings: &SendingSettings, content: Content, texts: Texts, note: String) -> anyhow::Result<Written> {
    let Content { letter, file, .. } = content;
    let Texts { subject, text, html } = texts;
    let from: Mailbox = settings.from.parse().with_context(|| format!("{:?} is no sender", settings.from))?;
    let to: Address = mail.recipient.parse().with_context(|| format!("{:?} is no address", mail.recipient))?;
    let host = domain_of(address_of(&settings.from));
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(subject)
        .message_id(Some(format!("<{}@{host}>", mail.id)));
    if !settings.reply_to.is_empty() {
        builder = builder.reply_to(settings.reply_to.parse().with_context(|| format!("{:?} takes no replies", settings.reply_to))?);
    }
    let texts = MultiPart::alternative().singlepart(SinglePart::plain(text)).singlepart(SinglePart::html(html));
    let mut message = match file {
        Some((name, pdf)) => {
            let attached = Attachment::new(name).body(pdf, ContentType::parse("application/pdf")?);
            builder.multipart(MultiPart::mixed().multipart(texts).singlepart(attached))?
        }
        None => builder.multipart(texts)?,
    };
    // No machine is to answer it (RFC 3834).
    let headers = message.headers_mut();
    for (name, value) in [("Auto-Submitted", "auto-generated"), ("Content-Language", letter.language)] {
        headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned()));
    }
    let envelope = Envelope { from: from.email, to };
    Ok(Written { envelope, content: message.formatted(), note })
}
