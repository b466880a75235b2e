//! The item names of an issuer.

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::change::Applied;
use billing::change::Change;
use billing::items::ItemName;

/// A place in the list: an item and a language.
pub type ItemCursor = (String, String);

impl UseCases {
    /// A page of an issuer's names, after an item and language; and the place of its last one if there are more.
    pub async fn list_items(
        &self,
        context: &RequestContext,
        issuer: &str,
        after: Option<&ItemCursor>,
        count: usize,
    ) -> Result<(Vec<ItemName>, Option<ItemCursor>), Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        let mut names = self.billing(context).await?.item_names(issuer, after, count + 1).await?;
        let has_more = names.len() > count;
        names.truncate(count);
        let next = names.last().filter(|_| has_more).map(|last| (last.item.clone(), last.language.clone()));
        Ok((names, next))
    }

    /// Sets what an item is called.
    pub async fn set_item(&self, context: &RequestContext, issuer: &str, name: &ItemName, change: &Change) -> Result<Applied, Error> {
        context.require_everywhere(Permission::SetSettings)?;
        let change = &context.signed(change)?;
        Ok(self.billing(context).await?.set_item(issuer, name, change).await?)
    }

    /// Removes the name of an item in a language.
    pub async fn delete_item(
        &self,
        context: &RequestContext,
        issuer: &str,
        item: &str,
        language: &str,
        change: &Change,
    ) -> Result<Applied, Error> {
        context.require_everywhere(Permission::SetSettings)?;
        let change = &context.signed(change)?;
        Ok(self.billing(context).await?.delete_item(issuer, item, language, change).await?)
    }
}
