//! The links by which customers look at a document without an account, as its page lists them.

use crate::Console;
use crate::visitor::Visitor;
use access::Permission;
use billing::{DocumentState, StoredDocument};
use service::links::LinkView;

/// The links of a document, as its page shows them.
#[derive(Default)]
pub struct Links {
    /// The newest first.
    pub rows: Vec<Row>,
    /// Whether links can be made here.
    pub may_make: bool,
    /// Whether the visitor may revoke.
    pub may_revoke: bool,
    /// The request id of the form that makes one.
    pub request: String,
}

/// A link.
pub struct Row {
    /// Its name.
    pub id: String,
    /// Its address; empty if it does not work, or is not for the visitor.
    pub url: String,
    /// The creator; empty for a mail.
    pub by: String,
    /// The mail that it is in; empty if an operator made it.
    pub mail: String,
    /// When it was made, and until when it works.
    pub made: String,
    pub until: String,
    /// The request id of the form that revokes it.
    pub request: String,
    /// The key of what is true of it, and how that is coloured.
    pub state: &'static str,
    pub colour: &'static str,
}

impl Links {
    /// Those of an issued document; none while the billing store is away.
    pub async fn of(console: &Console, visitor: &Visitor, stored: &StoredDocument) -> Self {
        if stored.state != DocumentState::Issued {
            return Self::default();
        }
        let (context, may) = (visitor.context(), visitor.may_on(Permission::SendMail, &stored.document.account));
        let found = console.use_cases.handle(&context, console.use_cases.document_links(&context, &stored.document.number)).await;
        Self {
            rows: found.unwrap_or_default().into_iter().map(|view| Row::new(visitor, view, console.new_request())).collect(),
            may_make: may && stored.is_kept && console.use_cases.has_links(&context),
            may_revoke: may,
            request: console.new_request(),
        }
    }

    /// Whether there is anything to show.
    #[must_use]
    pub fn are_shown(&self) -> bool {
        self.may_make || !self.rows.is_empty()
    }
}

impl Row {
    fn new(visitor: &Visitor, LinkView { link, url, works }: LinkView, request: String) -> Self {
        let (state, colour) = match (works, link.revoked_at.is_some()) {
            (true, _) => ("link-works", "good"),
            (false, true) => ("link-revoked", ""),
            (false, false) => ("link-expired", ""),
        };
        Self {
            made: visitor.locale.instant(link.created_at),
            until: visitor.locale.instant(link.expires_at),
            id: link.id,
            by: link.created_by,
            mail: link.mail,
            url,
            request,
            state,
            colour,
        }
    }
}
