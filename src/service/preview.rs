//! What the bill comes to so far: the coming document of an account, as of now. It has no effect on anything.

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use super::taken_in::once_taken_in;
use access::Permission;
use billing::{ComingDocument, JournalPosition, StoredDocument, rendering};
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// The coming document of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The document; `None` if there is nothing to bill so far.
    pub document: Option<StoredDocument>,
    /// The position of the journal that it is of.
    pub position: JournalPosition,
}

impl UseCases {
    /// The coming document of an account, with what would keep it from being issued or printed.
    pub async fn preview_document(&self, context: &RequestContext, account: &AccountId) -> Result<Preview, Error> {
        let ComingDocument { document, held_reason, waits_for, position, .. } = self.coming_document(context, account).await?;
        let Some(document) = document else { return Ok(Preview { document: None, position }) };
        let missing_glyphs = rendering::missing_glyphs(&document).map_err(|error| Error::no_form(&error))?;
        let document = StoredDocument { waits_for, missing_glyphs, ..StoredDocument::draft(document, held_reason) };
        Ok(Preview { document: Some(document), position })
    }

    /// The coming document of an account, as the end of its open bill's month would cut it.
    pub async fn coming_document(&self, context: &RequestContext, account: &AccountId) -> Result<ComingDocument, Error> {
        context.require(Permission::ReadDocuments, account)?;
        self.tell_of_read(context, "PreviewInvoice", account);
        self.look_at(account).await?;
        self.open_bill(context, account).await
    }

    /// Previews an account's open bill.
    pub(super) async fn open_bill(&self, context: &RequestContext, account: &AccountId) -> Result<ComingDocument, Error> {
        let clock = self.clock();
        let now = clock.now();
        // A month that is over may not be closed yet: what was accepted in it is billed for it.
        let cut_at = |begun_at: UnixMillis| clock.period_ends(if begun_at.is_none() { now } else { begun_at })[0];
        let billing = self.billing(context).await?;
        once_taken_in(|| billing.coming_document(account, now, cut_at)).await
    }
}
