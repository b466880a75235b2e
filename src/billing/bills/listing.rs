//! Lists of documents: each is read along an index, page by page, without the documents' lines.
//!
//! Which index that is follows from what is asked for ([`Driver`]); what else is asked for is looked at row by row on the way.

use sqlx::{AssertSqlSafe, Row};

use super::documents::{COLUMNS, DocumentState, StoredDocument, stored};
use crate::document::DocumentKind;
use crate::{Billing, BillingError};
use domain::account::Millis;

/// Which documents to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentFilter {
    /// Of this account; None: of all.
    pub account: Option<String>,
    /// Of this kind; None: of all.
    pub kind: Option<DocumentKind>,
    /// In this state; None: in any.
    pub state: Option<DocumentState>,
    /// Only what is not fully paid.
    pub unpaid_only: bool,
    /// Only what was cut at or after this, and before that.
    pub cut: Option<(Millis, Millis)>,
    /// Only what is due at or after this, and before that. The list is then in the order of due dates.
    pub due: Option<(Millis, Millis)>,
}

/// What a list is read along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    /// All documents, or those of some accounts or of a kind, the newest first.
    Documents,
    /// What waits for its number, the newest first.
    Drafts,
    /// What is not fully paid, the newest first.
    Unpaid,
    /// What is not fully paid, by due date.
    UnpaidByDue,
    /// What was issued, by due date.
    IssuedByDue,
}

impl Driver {
    fn of(filter: &DocumentFilter) -> Self {
        match filter {
            DocumentFilter { due: Some(_), unpaid_only: true, .. } => Self::UnpaidByDue,
            DocumentFilter { due: Some(_), .. } => Self::IssuedByDue,
            DocumentFilter { account: Some(_), .. } => Self::Documents,
            DocumentFilter { unpaid_only: true, .. } => Self::Unpaid,
            DocumentFilter { state: Some(DocumentState::Draft), .. } => Self::Drafts,
            _ => Self::Documents,
        }
    }

    /// The tables, the driving one first.
    fn tables(self) -> &'static str {
        match self {
            Self::Documents => {
                "documents LEFT JOIN issued ON issued.document = documents.id LEFT JOIN payables ON payables.document = documents.id \
                 LEFT JOIN drafts ON drafts.kind = documents.kind AND drafts.cut_at = documents.cut_at AND drafts.document = documents.id"
            }
            Self::Drafts => {
                "drafts JOIN documents ON documents.id = drafts.document LEFT JOIN issued ON issued.document = drafts.document \
                 LEFT JOIN payables ON payables.document = drafts.document"
            }
            Self::Unpaid | Self::UnpaidByDue => {
                "payables JOIN documents ON documents.id = payables.document LEFT JOIN issued ON issued.document = payables.document \
                 LEFT JOIN drafts ON drafts.kind = documents.kind AND drafts.cut_at = documents.cut_at AND drafts.document = documents.id"
            }
            Self::IssuedByDue => {
                "issued JOIN documents ON documents.id = issued.document LEFT JOIN payables ON payables.document = issued.document \
                 LEFT JOIN drafts ON drafts.kind = documents.kind AND drafts.cut_at = documents.cut_at AND drafts.document = documents.id"
            }
        }
    }

    /// The columns of its index that the list is in the order of, and whether the first is the oldest.
    fn order(self) -> (&'static str, &'static str, bool) {
        match self {
            Self::Documents => ("documents.cut_at", "documents.id", false),
            Self::Drafts => ("drafts.cut_at", "drafts.document", false),
            Self::Unpaid => ("payables.cut_at", "payables.document", false),
            Self::UnpaidByDue => ("payables.due_at", "payables.document", true),
            Self::IssuedByDue => ("issued.due_at", "issued.document", true),
        }
    }

    /// What makes the rows those of a partial index.
    fn condition(self) -> &'static str {
        match self {
            Self::Documents | Self::Drafts => "1 = 1",
            Self::Unpaid => "payables.open_amount > 0",
            Self::UnpaidByDue => "payables.open_amount > 0 AND payables.due_at > 0",
            Self::IssuedByDue => "issued.due_at > 0",
        }
    }
}

/// A statement that is being written.
struct Statement {
    conditions: Vec<String>,
    values: Vec<Value>,
}

enum Value {
    Number(i64),
    Text(String),
}

impl Statement {
    /// The place of a value.
    fn place(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn within(&mut self, column: &str, (from, to): (Millis, Millis)) {
        let (from, to) = (self.place(Value::Number(from)), self.place(Value::Number(to)));
        self.conditions.push(format!("{column} >= {from} AND {column} < {to}"));
    }
}

impl Billing {
    /// Documents without their lines, after the one with the given id: those cut last first, or, where due dates are asked for, those due
    /// first.
    pub async fn documents(&self, filter: DocumentFilter, after: Option<i64>, count: usize) -> Result<Vec<StoredDocument>, BillingError> {
        let summary = "CASE WHEN documents.summary = '' THEN documents.content ELSE documents.summary END";
        let mut found = self.list(filter, after, count, summary).await?;
        for stored in &mut found {
            stored.document.drop_lines();
        }
        Ok(found)
    }

    /// The same documents, each with its lines.
    pub async fn documents_in_full(
        &self,
        filter: DocumentFilter,
        after: Option<i64>,
        count: usize,
    ) -> Result<Vec<StoredDocument>, BillingError> {
        self.list(filter, after, count, "documents.content").await
    }

    async fn list(
        &self,
        filter: DocumentFilter,
        after: Option<i64>,
        count: usize,
        content: &str,
    ) -> Result<Vec<StoredDocument>, BillingError> {
        let driver = Driver::of(&filter);
        let (time, id, is_ascending) = driver.order();
        let mut statement = Statement { conditions: vec![driver.condition().to_owned()], values: Vec::new() };
        if let Some(account) = filter.account {
            let place = statement.place(Value::Text(account));
            statement.conditions.push(format!("documents.account = {place}"));
        }
        if let Some(kind) = filter.kind {
            let place = statement.place(Value::Text(kind.name().to_owned()));
            statement.conditions.push(format!("documents.kind = {place}"));
        }
        statement.conditions.extend(filter.state.map(|state| {
            match state {
                DocumentState::Draft => "documents.held_reason = '' AND issued.document IS NULL",
                DocumentState::Issued => "issued.document IS NOT NULL",
                DocumentState::Held => "documents.held_reason <> ''",
            }
            .to_owned()
        }));
        if filter.unpaid_only {
            statement.conditions.push("payables.open_amount > 0".to_owned());
        }
        if let Some(cut) = filter.cut {
            statement.within(if is_ascending { "documents.cut_at" } else { time }, cut);
        }
        if let Some(due) = filter.due {
            statement.within(time, due);
        }
        if let Some(after) = after {
            let Some(last) = self.time_of(after, is_ascending).await? else { return Ok(Vec::new()) };
            let (last, after) = (statement.place(Value::Number(last)), statement.place(Value::Number(after)));
            let relation = if is_ascending { ">" } else { "<" };
            statement.conditions.push(format!("({time}, {id}) {relation} ({last}, {after})"));
        }
        let direction = if is_ascending { "" } else { " DESC" };
        let sql = format!(
            "SELECT {COLUMNS}, {content} AS content FROM {} LEFT JOIN issued AS original ON original.document = documents.refers_to \
             WHERE {} ORDER BY {time}{direction}, {id}{direction} LIMIT {count}",
            driver.tables(),
            statement.conditions.join(" AND ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in statement.values {
            query = match value {
                Value::Number(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
            };
        }
        query.fetch_all(self.store().pool()).await?.iter().map(stored).collect()
    }

    /// Where in its list a document stands: when it was cut, or is due. None: there is no such document.
    async fn time_of(&self, document: i64, is_due: bool) -> Result<Option<Millis>, BillingError> {
        let sql = if is_due { "SELECT due_at FROM issued WHERE document = $1" } else { "SELECT cut_at FROM documents WHERE id = $1" };
        let row = sqlx::query(sql).bind(document).fetch_optional(self.store().pool()).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Which of these are not numbers of issued invoices of an account.
    pub async fn not_invoices_of(&self, account: &str, numbers: &[String]) -> Result<Vec<String>, BillingError> {
        let places: Vec<_> = (0..numbers.len()).map(|place| format!("${}", place + 2)).collect();
        let sql = format!(
            "SELECT issued.number FROM issued JOIN documents ON documents.id = issued.document \
             WHERE documents.account = $1 AND documents.kind = 'invoice' AND issued.number IN ({})",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(account.to_owned());
        for number in numbers {
            query = query.bind(number.clone());
        }
        let rows = query.fetch_all(self.store().pool()).await?;
        let found = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        Ok(numbers.iter().filter(|number| !found.contains(number)).cloned().collect())
    }
}
