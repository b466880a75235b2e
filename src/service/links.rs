//! Links by which customers look at a document without an account: made, listed and revoked by operators; and what a link opens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use super::papers::{File, Form};
use access::Permission;
use billing::change::{Applied, Change};
use billing::document::Document;
use billing::links::{DocumentLink, LinkOutcome, MOST_LINKS};
use billing::rendering::cover::Cover;
use billing::rendering::{self, FormError};
use billing::{Billing, BillingError, DocumentState, StoredDocument};
use platform::clock::Clock;

/// How many documents are written for customers at once, and how long one may wait for its turn.
const WRITTEN_AT_ONCE: usize = 2;
const TURN_LIMIT: Duration = Duration::from_secs(5);

/// A link, for somebody who may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    pub link: DocumentLink,
    /// Its address; empty if it does not work, or the caller may not send documents.
    pub url: String,
    /// Whether it works.
    pub works: bool,
}

impl UseCases {
    /// Creates a link to an issued document, valid for `days` days; 0: for as many as the settings say.
    pub async fn create_document_link(
        &self,
        context: &RequestContext,
        number: &str,
        days: u16,
        change: &Change,
    ) -> Result<(Applied, LinkView), Error> {
        let change = &context.signed(change)?;
        let billing = self.billing(context).await?;
        let stored = self.issued(context, billing, number, Permission::SendMail).await?;
        if billing.settings().public_url.is_none() {
            let text = "nobody has said where customers open links: the service needs --public-url";
            return Err(Error::precondition("LINKS_OFF", "links", text));
        }
        if !stored.is_kept {
            return Err(Error::invoice_not_kept(number));
        }
        let days = if days == 0 { billing.sending().await?.link_days } else { days };
        self.linked(context, billing, billing.create_link(&stored, days, change).await?, number).await
    }

    pub async fn revoke_document_link(&self, context: &RequestContext, id: &str, change: &Change) -> Result<(Applied, LinkView), Error> {
        let change = &context.signed(change)?;
        let billing = self.billing(context).await?;
        // One of a document that is not for the caller to send is none.
        if billing.link(id).await?.is_none_or(|link| !context.caller.may_on(Permission::SendMail, &link.account)) {
            return Err(no_link(id));
        }
        self.linked(context, billing, billing.revoke_link(id, change).await?, id).await
    }

    /// The newest links of an issued document, the newest first.
    pub async fn document_links(&self, context: &RequestContext, number: &str) -> Result<Vec<LinkView>, Error> {
        let billing = self.billing(context).await?;
        let stored = self.issued(context, billing, number, Permission::ReadDocuments).await?;
        let mut views = Vec::new();
        for link in billing.links_of(stored.id).await? {
            views.push(self.view(context, billing, link).await?);
        }
        Ok(views)
    }

    /// Whether links can be made at all.
    #[must_use]
    pub fn has_links(&self, _context: &RequestContext) -> bool {
        self.billing.as_ref().is_some_and(|billing| billing.settings().public_url.is_some())
    }

    async fn issued(
        &self,
        context: &RequestContext,
        billing: &Billing,
        number: &str,
        permission: Permission,
    ) -> Result<StoredDocument, Error> {
        // One that is not for the caller's eyes is none.
        let scope = context.scope(permission, None)?;
        let found = billing.document(number, scope.as_ref()).await;
        let stored = found.map_err(|error| match error {
            BillingError::NotFound(_) => Error::invoice_not_found(number),
            error => error.into(),
        })?;
        if stored.state == DocumentState::Issued { Ok(stored) } else { Err(Error::invoice_not_found(number)) }
    }

    async fn linked(
        &self,
        context: &RequestContext,
        billing: &Billing,
        act: LinkOutcome,
        about: &str,
    ) -> Result<(Applied, LinkView), Error> {
        match act {
            LinkOutcome::Done(applied, link) => Ok((applied, self.view(context, billing, link).await?)),
            LinkOutcome::TooMany => {
                let text = format!("{MOST_LINKS} links to it work already: revoke one that nobody needs");
                Err(Error::precondition("TOO_MANY_LINKS", format!("invoices/{about}"), text))
            }
            LinkOutcome::NotFound => Err(no_link(about)),
        }
    }

    async fn view(&self, context: &RequestContext, billing: &Billing, link: DocumentLink) -> Result<LinkView, Error> {
        let works = link.works(self.clock().now());
        // Who has the address can pass it on, as by a mail.
        let is_shown = works && context.caller.may_on(Permission::SendMail, &link.account);
        let url = if is_shown { billing.link_url(&link).await? } else { None };
        Ok(LinkView { link, url: url.unwrap_or_default(), works })
    }
}

fn no_link(id: &str) -> Error {
    Error::not_found("DOCUMENT_LINK_NOT_FOUND", "link", id, "there is no such link")
}

/// What customers open by links. It can do nothing else: it has no use cases, and no ledger.
#[derive(Clone)]
pub struct LinkedDocuments {
    billing: Billing,
    clock: Clock,
    turns: Arc<Semaphore>,
}

impl LinkedDocuments {
    /// Those of a billing store.
    #[must_use]
    pub fn new(billing: Billing, clock: Clock) -> Self {
        Self { billing, clock, turns: Arc::new(Semaphore::new(WRITTEN_AT_ONCE)) }
    }

    /// What the page around a document says; `None` says nothing of why there is none.
    pub async fn cover(&self, token: &str) -> Result<Option<Cover>, Error> {
        self.billing.ready().await?;
        let Some((link, stored)) = self.billing.linked_document(token, self.clock.now()).await? else { return Ok(None) };
        Ok(Some(Cover::of(&stored.document, link.expires_at).map_err(|error| Error::no_form(&error))?))
    }

    /// The document as a file.
    pub async fn file(&self, token: &str, form: Form) -> Result<Option<File>, Error> {
        self.billing.ready().await?;
        let Some((_, stored)) = self.billing.linked_document(token, self.clock.now()).await? else { return Ok(None) };
        let busy = || Error::overloaded("too many documents are being written");
        let turn = timeout(TURN_LIMIT, Arc::clone(&self.turns).acquire_owned()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        let number = stored.document.number.clone();
        let written = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            write(&stored.document, form)
        });
        let content = written.await.map_err(|_| busy())?.map_err(|error| Error::no_form(&error))?;
        Ok(content.map(|content| File::new(&number, form, content)))
    }
}

/// The forms that are for customers.
fn write(document: &Document, form: Form) -> Result<Option<Vec<u8>>, FormError> {
    Ok(match form {
        Form::Html => Some(rendering::html(document)?.into_bytes()),
        Form::Pdf => Some(rendering::pdf(document)?),
        Form::Csv | Form::Json => None,
    })
}
