//! Operators' notes on an account.

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::change::{Applied, Change};
use billing::notes::{Note, NoteCursor};
use domain::ids::AccountId;

/// The longest note, in characters.
pub const LONGEST_NOTE: usize = 2_000;

impl UseCases {
    /// Notes something on an account.
    pub async fn add_note(&self, context: &RequestContext, account: &AccountId, text: &str, change: &Change) -> Result<Applied, Error> {
        context.require(Permission::WriteNotes, account)?;
        let change = &context.signed(change)?;
        let is_text = |character: char| !character.is_control() || matches!(character, '\n' | '\r' | '\t');
        if text.trim().is_empty() || text.chars().count() > LONGEST_NOTE || !text.chars().all(is_text) {
            let problem = format!("must have 1 to {LONGEST_NOTE} characters, and no control characters but ends of lines");
            return Err(Error::invalid_field("text", problem));
        }
        self.look_at(account).await?;
        Ok(self.billing(context).await?.add_note(account, text.trim(), change).await?)
    }

    pub async fn remove_note(&self, context: &RequestContext, account: &AccountId, id: &str, change: &Change) -> Result<Applied, Error> {
        context.require(Permission::WriteNotes, account)?;
        let change = &context.signed(change)?;
        self.look_at(account).await?;
        Ok(self.billing(context).await?.remove_note(account, id, change).await?)
    }

    /// The notes on an account, newest first; and the place of the last one if there are more.
    pub async fn list_notes(
        &self,
        context: &RequestContext,
        account: &AccountId,
        after: Option<&NoteCursor>,
        count: usize,
    ) -> Result<(Vec<Note>, Option<NoteCursor>), Error> {
        context.require(Permission::ReadNotes, account)?;
        self.tell_of_read(context, "ListNotes", account);
        self.look_at(account).await?;
        let mut notes = self.billing(context).await?.notes(account, after, count + 1).await?;
        let has_more = notes.len() > count;
        notes.truncate(count);
        let next = notes.last().filter(|_| has_more).map(|last| (last.added_at, last.id.clone()));
        Ok((notes, next))
    }
}
