//! Mail to customers: whether documents are sent, the state of each mail, and what operators do about it.

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::BillingError;
use billing::change::Applied;
use billing::change::Change;
use billing::sending::by_hand::{Decision, MailOutcome};
use billing::sending::mail_queries::{MailCursor, MailFilter};
use billing::sending::queue::QueueCounts;
use billing::sending::settings::{AccountSending, SendingChange, SendingSettings};
use billing::sending::{Mail, MailKind, MailState};
use delivery::bounce;
use domain::ids::AccountId;
use domain::time::{Millis, UnixMillis};

/// A mail that waits for longer for its first attempt is late: a worker takes a few seconds.
pub const LATE_MAIL: Millis = 900_000;

/// How mail is sent, and what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendingView {
    pub settings: SendingSettings,
    /// Since when nothing is sent because the billing store may be a copy; 0 if it goes on.
    pub held_since: UnixMillis,
    /// Counts of waiting and failed mails.
    pub tally: QueueCounts,
}

/// Which mails to list: the document by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailQuery {
    /// What is asked for, but for the document.
    pub filter: MailFilter,
    /// Only about this document; empty for all.
    pub number: String,
}

/// A document to be sent by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendByHand {
    pub number: String,
    /// To whom; empty if to those of its account.
    pub recipients: Vec<String>,
    /// Though it was sent before.
    pub again: bool,
    /// As what: a document, or a reminder of an invoice.
    pub kind: MailKind,
}

impl UseCases {
    /// How mail is sent, and what waits.
    pub async fn sending(&self, context: &RequestContext) -> Result<SendingView, Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        let billing = self.billing(context).await?;
        let (settings, held_since) = (billing.sending().await?, billing.sending_held_since().await?);
        Ok(SendingView { settings, held_since, tally: billing.mail_tally().await? })
    }

    /// Sets how mail is sent.
    pub async fn set_sending(&self, context: &RequestContext, asked: &SendingChange, change: &Change) -> Result<Applied, Error> {
        context.require_everywhere(Permission::SetSettings)?;
        let change = &context.signed(change)?;
        Ok(self.billing(context).await?.set_sending(asked, change).await?)
    }

    /// Settings that an account overrides.
    pub async fn account_sending(&self, context: &RequestContext, account: &AccountId) -> Result<AccountSending, Error> {
        context.require(Permission::ReadBillingDetails, account)?;
        self.look_at(account).await?;
        Ok(self.billing(context).await?.account_sending(account).await?)
    }

    /// Sets what differs for an account.
    pub async fn set_account_sending(
        &self,
        context: &RequestContext,
        account: &AccountId,
        sending: &AccountSending,
        change: &Change,
    ) -> Result<Applied, Error> {
        context.require(Permission::SetBillingDetails, account)?;
        let change = &context.signed(change)?;
        self.look_at(account).await?;
        Ok(self.billing(context).await?.set_account_sending(account, sending, change).await?)
    }

    /// Mails, the newest first, and where the next page begins.
    pub async fn mails(
        &self,
        context: &RequestContext,
        query: MailQuery,
        after: Option<&MailCursor>,
        count: usize,
    ) -> Result<(Vec<Mail>, Option<MailCursor>), Error> {
        let MailQuery { mut filter, number } = query;
        filter.scope = context.scope(Permission::ReadDocuments, filter.account.as_deref())?;
        let billing = self.billing(context).await?;
        if !number.is_empty() {
            // One that is not for the caller's eyes is none.
            let stored = billing.document(&number, filter.scope.as_ref()).await.map_err(|error| no_document(error, &number))?;
            filter.document = Some(stored.id);
        }
        let mut mails = billing.mails(&filter, after, count + 1).await?;
        let has_more = mails.len() > count;
        mails.truncate(count);
        let next = mails.last().filter(|_| has_more).map(|last| (last.created_at, last.id.clone()));
        Ok((mails, next))
    }

    /// One mail.
    pub async fn mail(&self, context: &RequestContext, id: &str) -> Result<Mail, Error> {
        let mail = self.billing(context).await?.mail(id).await?;
        // One that is not for the caller's eyes is none.
        let mail = mail.filter(|mail| context.caller.may_on(Permission::ReadDocuments, &mail.account));
        mail.ok_or_else(|| Error::mail_not_found(id))
    }

    /// Sends an issued document by hand.
    pub async fn send_invoice(&self, context: &RequestContext, send: &SendByHand, change: &Change) -> Result<(Applied, Vec<Mail>), Error> {
        let change = &context.signed(change)?;
        let SendByHand { number, recipients, again, kind } = send;
        let billing = self.billing(context).await?;
        // One that is not for the caller to send is none.
        let scope = context.scope(Permission::SendMail, None)?;
        let stored = billing.document(number, scope.as_ref()).await.map_err(|error| no_document(error, number))?;
        if !stored.is_kept {
            return Err(Error::invoice_not_kept(number));
        }
        match billing.send_document(number, recipients, *again, *kind, change).await? {
            MailOutcome::Done(applied, mails) => Ok((applied, mails)),
            refused => Err(Error::mail_refused(&refused, number)),
        }
    }

    /// Decides what becomes of a mail.
    pub async fn decide_mail(
        &self,
        context: &RequestContext,
        id: &str,
        decision: Decision,
        change: &Change,
    ) -> Result<(Applied, Mail), Error> {
        let change = &context.signed(change)?;
        let billing = self.billing(context).await?;
        let mail = billing.mail(id).await?;
        if mail.is_none_or(|mail| !context.caller.may_on(Permission::SendMail, &mail.account)) {
            return Err(Error::mail_not_found(id));
        }
        match billing.decide_mail(id, decision, change).await? {
            MailOutcome::Done(applied, mut mails) => mails.pop().map(|mail| (applied, mail)).ok_or_else(|| Error::mail_not_found(id)),
            refused => Err(Error::mail_refused(&refused, id)),
        }
    }

    /// Takes in a mail that came back: marks what it says failed. Returns the mails that it is about, as they are now.
    pub async fn report_bounce(&self, context: &RequestContext, raw: &[u8]) -> Result<Vec<Mail>, Error> {
        context.require_everywhere(Permission::SendMail)?;
        let report = bounce::read(raw).ok_or_else(|| Error::invalid_field("message", "must be a mail, as it came"))?;
        let billing = self.billing(context).await?;
        if !report.is_failure {
            return Ok(Vec::new());
        }
        let (why, change) = (format!("it came back: {}", report.diagnostic), context.change_at(self.clock().now()));
        let mut found = Vec::new();
        for id in &report.ids {
            found.extend(billing.bounce_mail(id, &why, &change).await?);
        }
        if found.is_empty()
            && !report.recipient.is_empty()
            && let Some(mail) = billing.last_mail_to(&report.recipient).await?
        {
            found.extend(billing.bounce_mail(&mail.id, &why, &change).await?);
        }
        Ok(found)
    }

    /// Resumes mail from a store that may be a copy. Returns how many mails are not sent.
    pub async fn go_on_sending(&self, context: &RequestContext, with_waiting: bool, change: &Change) -> Result<(Applied, u64), Error> {
        context.require_everywhere(Permission::SendMail)?;
        let change = &context.signed(change)?;
        Ok(self.billing(context).await?.go_on_sending(with_waiting, change).await?)
    }
}

fn no_document(error: BillingError, number: &str) -> Error {
    match error {
        BillingError::NotFound(_) => Error::invoice_not_found(number),
        error => error.into(),
    }
}

impl Error {
    fn mail_not_found(id: &str) -> Self {
        Self::not_found("MAIL_NOT_FOUND", "mail", id, "there is no such mail")
    }

    fn mail_refused(act: &MailOutcome, about: &str) -> Self {
        let (reason, text) = match act {
            MailOutcome::SwitchedOff => {
                ("SENDING_OFF", "sending is switched off for the whole service: tollgate sending set --on".to_owned())
            }
            MailOutcome::AlreadySent => ("ALREADY_SENT", "it was sent, or is to be: `tollgate invoice resend` sends it again".to_owned()),
            MailOutcome::NoRecipient => ("NO_RECIPIENT", "no address is known to send it to: name one".to_owned()),
            MailOutcome::NothingOpen => ("NOTHING_OPEN", "nothing is open of it: there is nothing to remind of".to_owned()),
            MailOutcome::Impossible(state) => ("MAIL_STATE", format!("the mail is {}: {}", state.name(), possible(*state))),
            MailOutcome::Done(..) | MailOutcome::NotFound => return Self::mail_not_found(about),
        };
        Self::precondition(reason, format!("mails/{about}"), text)
    }
}

/// What can be decided of a mail in a state.
fn possible(state: MailState) -> &'static str {
    match state {
        MailState::Unknown => "sent, again or drop can be decided",
        MailState::Failed | MailState::Deferred => "again or drop can be decided, and again only if it has a recipient",
        MailState::Waiting => "drop can be decided",
        MailState::Sending | MailState::Sent | MailState::Bounced | MailState::Off => {
            "nothing can be decided of it; `tollgate invoice resend` sends its document again"
        }
    }
}
