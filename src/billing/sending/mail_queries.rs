//! Queries of mail: lists, single mails, and the state of the mail of documents.

use std::collections::HashMap;

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{COLUMNS, Mail, MailKind, MailState};
use crate::scope::Scope;
use crate::store::Columns;
use crate::store::rows::{Table, Type};
use crate::{Billing, BillingError};
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// Which mails to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailFilter {
    /// Of this account; `None` for all.
    pub account: Option<AccountId>,
    /// About the document with this id; `None` for all.
    pub document: Option<i64>,
    /// In this state; `None` for any.
    pub state: Option<MailState>,
    /// Of this kind; `None` for any.
    pub kind: Option<MailKind>,
    /// Only accounts in this scope; `None` for all accounts.
    pub scope: Option<Scope>,
}

/// Where a list of mails goes on: when the last was to be sent first, and its id.
pub type MailCursor = (UnixMillis, String);

/// State of the mail of a document: of its recipients' states, the one that most needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentSending {
    /// It was not sent: that was switched off.
    Off,
    /// It was sent to all.
    Sent,
    /// It is to be sent, or tried again.
    Waiting,
    /// It failed for good.
    Failed,
    /// It came back.
    Bounced,
    /// Unknown whether it was sent.
    Unknown,
}

impl DocumentSending {
    pub(super) fn of(state: MailState) -> Self {
        match state {
            MailState::Off => Self::Off,
            MailState::Sent => Self::Sent,
            MailState::Waiting | MailState::Sending | MailState::Deferred => Self::Waiting,
            MailState::Failed => Self::Failed,
            MailState::Bounced => Self::Bounced,
            MailState::Unknown => Self::Unknown,
        }
    }

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Sent => "sent",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Bounced => "bounced",
            Self::Unknown => "unknown",
        }
    }
}

const OF_DOCUMENTS: Table = Table { name: "mails", columns: &[("document", Type::Number)], on_conflict: "" };

impl Billing {
    /// Mails, the newest first, behind a place.
    pub async fn mails(&self, filter: &MailFilter, after: Option<&MailCursor>, count: usize) -> Result<Vec<Mail>, BillingError> {
        let (created_at, id) = after.cloned().unwrap_or((UnixMillis::MAX, String::new()));
        let mut sql = format!("SELECT {COLUMNS} FROM mails WHERE (mails.created_at, mails.id) < ($1, $2)");
        let mut texts = Vec::new();
        let mut place = |text: String| {
            texts.push(text);
            format!("${}", 3 + texts.len())
        };
        if let Some(account) = &filter.account {
            sql += &format!(" AND mails.account = {}", place(account.to_string()));
        }
        if let Some(state) = filter.state {
            sql += &format!(" AND mails.state = {}", place(state.name().to_owned()));
        }
        if let Some(kind) = filter.kind {
            sql += &format!(" AND mails.kind = {}", place(kind.name().to_owned()));
        }
        if let Some(document) = filter.document {
            sql += &format!(" AND mails.document = {document} AND mails.document <> 0");
        }
        if let Some(scope) = &filter.scope {
            sql += &format!(" AND {}", scope.condition("mails.account", &mut place));
        }
        sql += " ORDER BY mails.created_at DESC, mails.id DESC LIMIT $3";
        let query = sqlx::query(AssertSqlSafe(sql)).bind(created_at.get()).bind(id).bind(i64::try_from(count).unwrap_or(i64::MAX));
        let query = texts.into_iter().fold(query, sqlx::query::Query::bind);
        query.fetch_all(self.store().pool()).await?.iter().map(Mail::read).collect()
    }

    /// The mail with that id; `None` if there is none.
    pub async fn mail(&self, id: &str) -> Result<Option<Mail>, BillingError> {
        find(&mut *self.store().pool().acquire().await?, id).await
    }

    /// Returns the state of the mail of these documents. Those that are not among the found were never to be sent.
    pub async fn sending_of(&self, documents: &[i64]) -> Result<HashMap<i64, DocumentSending>, BillingError> {
        let keys: Vec<_> = documents.iter().map(|document| vec![(*document).into()]).collect();
        let mut connection = self.store().pool().acquire().await?;
        let columns = "document, recipient, state, created_at, id, kind";
        let rows = OF_DOCUMENTS.find(&mut connection, self.store().dialect(), columns, &keys).await?;
        // Of each recipient the last counts: what failed once may have been sent again.
        let mut last: HashMap<(i64, String), (UnixMillis, String, MailState)> = HashMap::new();
        for row in rows {
            if row.try_get::<String, _>("kind")? != MailKind::Document.name() {
                continue;
            }
            let state = MailState::read(&row.try_get::<String, _>("state")?)?;
            let this: (UnixMillis, String, MailState) = (row.instant("created_at")?, row.try_get("id")?, state);
            let of = last.entry((row.try_get("document")?, row.try_get("recipient")?)).or_insert_with(|| this.clone());
            if (this.0, &this.1) > (of.0, &of.1) {
                *of = this;
            }
        }
        let mut found: HashMap<i64, DocumentSending> = HashMap::new();
        let mut nobody = Vec::new();
        for ((document, recipient), (.., state)) in last {
            if recipient.is_empty() {
                nobody.push((document, DocumentSending::of(state)));
                continue;
            }
            let this = DocumentSending::of(state);
            found.entry(document).and_modify(|of| *of = this.max(*of)).or_insert(this);
        }
        // That there was nobody to send it to counts only as long as there is nobody.
        for (document, state) in nobody {
            found.entry(document).or_insert(state);
        }
        Ok(found)
    }
}

/// The mail with that id.
pub(super) async fn find(connection: &mut AnyConnection, id: &str) -> Result<Option<Mail>, BillingError> {
    let sql = format!("SELECT {COLUMNS} FROM mails WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_owned()).fetch_optional(connection).await?;
    row.as_ref().map(Mail::read).transpose()
}
