//! Writes a mail: a text and a page that say the same, and the paper.

use anyhow::Context;
use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};

use super::smtp::Envelope;
use billing::document::Document;
use billing::issuer::{MAIN, in_force};
use billing::payments::PaymentInFull;
use billing::rendering::letter::{Enclosure, Letter};
use billing::rendering::{self, Denomination, FormError, Imprint};
use billing::sending::settings::{SendingSettings, address_of};
use billing::sending::{Mail, MailKind, domain_of};
use billing::{Billing, BillingError};
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
    file: Option<(String, Vec<u8>)>,
}

/// Writes a mail. Heavy: a document is printed.
pub async fn write(billing: &Billing, mail: &Mail, clock: &Clock) -> Result<Written, WriteError> {
    let settings = billing.sending().await?;
    let now = clock.now();
    let content = match mail.kind {
        MailKind::Document | MailKind::Reminder => {
            let mut stored = billing.document_of_id(mail.document).await?;
            // Its lines may have gone while the mail was on its way: nobody gets an empty paper.
            if !stored.is_kept {
                return Err(WriteError::Impossible("the document is no longer kept: its term is over".to_owned()));
            }
            billing.load_logo(&mut stored.document.issuer).await?;
            let is_reminder = mail.kind == MailKind::Reminder;
            let (document, open, limit) = (stored.document, stored.open_amount, settings.attachment_limit);
            blocking(move || of_document(&document, is_reminder.then_some((open, now)), limit)).await?
        }
        MailKind::Receipt => {
            let payment = billing.payment_of_sequence(&mail.account, mail.credit).await?;
            let payment = payment.ok_or_else(|| WriteError::Impossible("the payment is not there any more".to_owned()))?;
            let imprint = imprint(billing, &mail.account, &payment, clock, now).await?;
            blocking(move || of_receipt(&imprint, &payment)).await?
        }
    };
    assemble(mail, &settings, content).map_err(|error| WriteError::Impossible(format!("{error:#}")))
}

/// Runs what takes long on another thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, FormError> + Send + 'static) -> Result<T, WriteError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(WriteError::Impossible(error.to_string())),
    }
}

fn of_document(document: &Document, reminder: Option<(Units, UnixMillis)>, limit: u32) -> Result<Content, FormError> {
    let pdf = rendering::pdf(document)?;
    let is_attached = pdf.len() <= usize::try_from(limit).unwrap_or(usize::MAX);
    let enclosure = if is_attached { Enclosure::Attached } else { Enclosure::TooLarge };
    let letter = match reminder {
        Some((open, now)) => Letter::reminder(document, open, now, &enclosure)?,
        None => Letter::of_document(document, &enclosure)?,
    };
    Ok(Content { letter, file: is_attached.then(|| (format!("{}.pdf", document.number), pdf)) })
}

fn of_receipt(imprint: &Imprint, payment: &PaymentInFull) -> Result<Content, FormError> {
    let pdf = rendering::receipt::pdf(imprint, payment)?;
    let name = format!("receipt-{}.pdf", payment.payment.entry_id());
    Ok(Content { letter: Letter::of_receipt(imprint, payment)?, file: Some((name, pdf)) })
}

async fn imprint(
    billing: &Billing,
    account: &str,
    payment: &PaymentInFull,
    clock: &Clock,
    at: UnixMillis,
) -> Result<Imprint, BillingError> {
    let issuers = billing.issuers(MAIN).await?;
    let mut issuer = in_force(&issuers, clock.day_of(at)).cloned().unwrap_or_default();
    billing.load_logo(&mut issuer).await?;
    let of = &payment.payment;
    let money = Denomination { currency: of.currency.clone(), decimals: of.decimals, minor_digits: of.minor_digits };
    let customer = billing.customer(account).await?;
    let time_zone = billing.settings().time_zone.clone();
    Ok(Imprint { issuer, customer, account: account.to_owned(), money, time_zone, at })
}

fn assemble(mail: &Mail, settings: &SendingSettings, content: Content) -> anyhow::Result<Written> {
    let Content { letter, file } = content;
    let from: Mailbox = settings.from.parse().with_context(|| format!("{:?} is no sender", settings.from))?;
    let to: Address = mail.recipient.parse().with_context(|| format!("{:?} is no address", mail.recipient))?;
    let host = domain_of(address_of(&settings.from));
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(letter.subject.clone())
        .message_id(Some(format!("<{}@{host}>", mail.id)));
    if !settings.reply_to.is_empty() {
        builder = builder.reply_to(settings.reply_to.parse().with_context(|| format!("{:?} takes no replies", settings.reply_to))?);
    }
    let texts = MultiPart::alternative().singlepart(SinglePart::plain(letter.text())).singlepart(SinglePart::html(letter.html()?));
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
    Ok(Written { envelope, content: message.formatted() })
}
