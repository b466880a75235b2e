//! Lists of documents: each is read along an index, page by page, without the documents' lines.
//!
//! Which index that is follows from what is asked for ([`Driver`]); what else is asked for is looked at row by row on the way.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row};

use super::documents::{COLUMNS, DocumentState, NEEDS_APPROVAL, StoredDocument, stored};
use crate::document::DocumentKind;
use crate::scope::Scope;
use crate::search::documents::DocumentQuery;
use crate::search::totals::TotalQuery;
use crate::sending::documents::SendingFilter;
use crate::store::Columns;
use crate::store::rows::{Table, Type};
use crate::{Billing, BillingError};
use domain::ids::AccountId;
use domain::money::DecimalAmount;
use domain::time::UnixMillis;

const ACCOUNTS: Table = Table { name: "accounts", columns: &[("account", Type::Text)], on_conflict: "" };

/// For SQLite, which needs the hint: the tables where few documents are of the total that is asked for; these are sorted.
const OF_TOTAL: &str = "documents INDEXED BY documents_by_total LEFT JOIN issued ON issued.document = documents.id \
     LEFT JOIN payables ON payables.document = documents.id \
     LEFT JOIN drafts ON drafts.kind = documents.kind AND drafts.cut_at = documents.cut_at AND drafts.document = documents.id";

/// Which documents to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentFilter {
    /// Of this account; `None` for all.
    pub account: Option<AccountId>,
    /// Of this kind; `None` for all.
    pub kind: Option<DocumentKind>,
    /// In this state; `None` for any.
    pub state: Option<DocumentState>,
    /// Only what is not fully paid.
    pub unpaid_only: bool,
    /// Only issued invoices that are fully paid.
    pub paid_only: bool,
    /// Only drafts that wait for somebody to approve them.
    pub to_approve_only: bool,
    /// Only documents whose mail is as far as that.
    pub sending: Option<SendingFilter>,
    /// Only what was cut at or after this, and before that.
    pub cut: Option<(UnixMillis, UnixMillis)>,
    /// Only what is due at or after this, and before that. The list is then in the order of due dates.
    pub due: Option<(UnixMillis, UnixMillis)>,
    /// Only issued ones that hold each word of this in their number or the customer's name.
    pub text: Option<String>,
    /// Only those whose total is this, in whatever currency.
    pub total: Option<DecimalAmount>,
    /// Only accounts in this scope; `None` for all accounts.
    pub scope: Option<Scope>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentPage {
    pub documents: Vec<StoredDocument>,
    /// Whether the text was only compared with how numbers and names begin.
    pub compared_beginnings: bool,
}

/// What a list is read along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    /// All documents, or those of some accounts or of a kind, the newest first.
    Documents,
    /// For SQLite: issued documents, the newest first; it looks at each whether the text finds it.
    WalkedForText,
    /// For SQLite: the few that the text finds.
    Found,
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
            DocumentFilter { to_approve_only: true, .. } | DocumentFilter { state: Some(DocumentState::Draft), .. } => Self::Drafts,
            _ => Self::Documents,
        }
    }

    /// The same where a text is looked for: SQLite's planner needs a hint.
    fn finding(self, wanted: &DocumentQuery, statement: &mut Statement) -> Self {
        if let Some(phrases) = wanted.leading() {
            statement.place(Value::Text(phrases));
            return Self::Found;
        }
        match self {
            Self::Documents | Self::Drafts if wanted.is_walking() => Self::WalkedForText,
            // No draft has a number.
            Self::Drafts => Self::Documents,
            other => other,
        }
    }

    /// The tables, the driving one first.
    fn tables(self) -> &'static str {
        match self {
            Self::Documents => {
                "documents LEFT JOIN issued ON issued.document = documents.id LEFT JOIN payables ON payables.document = documents.id \
                 LEFT JOIN drafts ON drafts.kind = documents.kind AND drafts.cut_at = documents.cut_at AND drafts.document = documents.id"
            }
            Self::WalkedForText => {
                "documents CROSS JOIN issued ON issued.document = documents.id LEFT JOIN payables ON payables.document = documents.id \
                 LEFT JOIN drafts ON drafts.kind = documents.kind AND drafts.cut_at = documents.cut_at AND drafts.document = documents.id"
            }
            Self::Found => {
                "(SELECT rowid AS number FROM issued_parts WHERE issued_parts MATCH $1) AS matching \
                 CROSS JOIN issued ON issued.document = matching.number CROSS JOIN documents ON documents.id = issued.document \
                 LEFT JOIN payables ON payables.document = documents.id \
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
            Self::Documents | Self::WalkedForText | Self::Found => ("documents.cut_at", "documents.id", false),
            Self::Drafts => ("drafts.cut_at", "drafts.document", false),
            Self::Unpaid => ("payables.cut_at", "payables.document", false),
            Self::UnpaidByDue => ("payables.due_at", "payables.document", true),
            Self::IssuedByDue => ("issued.due_at", "issued.document", true),
        }
    }

    /// What makes the rows those of a partial index.
    fn condition(self) -> &'static str {
        match self {
            Self::Documents | Self::WalkedForText | Self::Found | Self::Drafts => "1 = 1",
            Self::Unpaid => "payables.open_amount > 0",
            Self::UnpaidByDue => "payables.open_amount > 0 AND payables.due_at > 0",
            Self::IssuedByDue => "issued.due_at > 0",
        }
    }
}

/// A statement that is being written.
#[derive(Default)]
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

    fn within(&mut self, column: &str, (from, to): (UnixMillis, UnixMillis)) {
        let (from, to) = (self.place(Value::Number(from.get())), self.place(Value::Number(to.get())));
        self.conditions.push(format!("{column} >= {from} AND {column} < {to}"));
    }
}

impl Billing {
    /// Documents without their lines, after the one with the given id: those cut last first, or, where due dates are asked for, those due
    /// first.
    pub async fn documents(&self, filter: DocumentFilter, after: Option<i64>, count: usize) -> Result<DocumentPage, BillingError> {
        let summary = "CASE WHEN documents.summary = '' THEN documents.content ELSE documents.summary END";
        let mut page = self.list(filter, after, count, summary).await?;
        for stored in &mut page.documents {
            stored.document.drop_lines();
        }
        Ok(page)
    }

    /// The same documents, each with its lines.
    pub async fn documents_in_full(
        &self,
        filter: DocumentFilter,
        after: Option<i64>,
        count: usize,
    ) -> Result<Vec<StoredDocument>, BillingError> {
        Ok(self.list(filter, after, count, "documents.content").await?.documents)
    }

    async fn list(&self, filter: DocumentFilter, after: Option<i64>, count: usize, content: &str) -> Result<DocumentPage, BillingError> {
        let mut driver = Driver::of(&filter);
        let mut statement = Statement::default();
        let mut page = DocumentPage::default();
        if let Some(text) = &filter.text {
            let mut connection = self.store().pool().acquire().await?;
            let wanted = DocumentQuery::new(&mut connection, self.store().dialect(), text, filter.due.is_none()).await?;
            driver = driver.finding(&wanted, &mut statement);
            let conditions = wanted.conditions(|text| statement.place(Value::Text(text)));
            statement.conditions.extend(conditions);
            page.compared_beginnings = wanted.is_of_beginnings();
        }
        let mut tables = driver.tables();
        if let Some(total) = filter.total {
            let mut connection = self.store().pool().acquire().await?;
            let wanted = TotalQuery::new(&mut connection, self.store().dialect(), total).await?;
            if wanted.is_of_few() && driver != Driver::Found {
                tables = OF_TOTAL;
            }
            statement.conditions.extend(wanted.conditions());
        }
        let (time, id, is_ascending) = driver.order();
        statement.conditions.push(driver.condition().to_owned());
        // Not COALESCE: PostgreSQL would take it for a condition that hardly any row meets, and plan by that.
        statement.conditions.push("(issued.dropped_at IS NULL OR issued.dropped_at = 0 OR payables.open_amount > 0)".to_owned());
        if let Some(scope) = &filter.scope {
            let condition = scope.condition("documents.account", |account| statement.place(Value::Text(account)));
            statement.conditions.push(condition);
        }
        if let Some(account) = filter.account {
            let place = statement.place(Value::Text(account.into()));
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
        if filter.paid_only {
            let paid = "documents.kind = 'invoice' AND issued.document IS NOT NULL AND COALESCE(payables.open_amount, 0) = 0";
            statement.conditions.push(paid.to_owned());
        }
        if filter.to_approve_only {
            statement.conditions.push(NEEDS_APPROVAL.to_owned());
        }
        statement.conditions.extend(filter.sending.map(SendingFilter::condition));
        if let Some(cut) = filter.cut {
            statement.within(if is_ascending { "documents.cut_at" } else { time }, cut);
        }
        if let Some(due) = filter.due {
            statement.within(time, due);
        }
        if let Some(after) = after {
            let Some(last) = self.time_of(after, is_ascending, filter.scope.as_ref()).await? else { return Ok(page) };
            let (last, after) = (statement.place(Value::Number(last.get())), statement.place(Value::Number(after)));
            let relation = if is_ascending { ">" } else { "<" };
            statement.conditions.push(format!("({time}, {id}) {relation} ({last}, {after})"));
        }
        let direction = if is_ascending { "" } else { " DESC" };
        let sql = format!(
            "SELECT {COLUMNS}, {content} AS content FROM {tables} LEFT JOIN issued AS original ON original.document = documents.refers_to \
             WHERE {} ORDER BY {time}{direction}, {id}{direction} LIMIT {count}",
            statement.conditions.join(" AND ")
        );
        // One that looks for a text or a total is planned for that very one.
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(filter.text.is_none() && filter.total.is_none());
        for value in statement.values {
            query = match value {
                Value::Number(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
            };
        }
        page.documents = query.fetch_all(self.store().pool()).await?.iter().map(stored).collect::<Result<_, _>>()?;
        Ok(page)
    }

    /// What accounts are called.
    pub async fn names_of_accounts(&self, accounts: &[AccountId]) -> Result<HashMap<AccountId, String>, BillingError> {
        let keys: Vec<_> = accounts.iter().map(|account| vec![account.as_str().into()]).collect();
        let mut connection = self.store().pool().acquire().await?;
        let rows = ACCOUNTS.find(&mut connection, self.store().dialect(), "account, name", &keys).await?;
        rows.iter().map(|row| Ok((row.account_id("account")?, row.try_get("name")?))).collect()
    }

    /// Where in its list a document stands: when it was cut, or is due. `None` if there is no such document in the scope.
    async fn time_of(&self, document: i64, is_due: bool, scope: Option<&Scope>) -> Result<Option<UnixMillis>, BillingError> {
        let mut sql = match is_due {
            true => "SELECT due_at FROM issued JOIN documents ON documents.id = issued.document WHERE issued.document = $1",
            false => "SELECT cut_at FROM documents WHERE id = $1",
        }
        .to_owned();
        let mut accounts = Vec::new();
        if let Some(scope) = scope {
            let condition = scope.condition("documents.account", |account| {
                accounts.push(account);
                format!("${}", accounts.len() + 1)
            });
            sql += &format!(" AND {condition}");
        }
        let query = accounts.into_iter().fold(sqlx::query(AssertSqlSafe(sql)).bind(document), |query, account| query.bind(account));
        let row = query.fetch_optional(self.store().pool()).await?;
        Ok(row.map(|row| row.instant(0)).transpose()?)
    }

    /// Which of these are not numbers of issued invoices of an account.
    pub async fn not_invoices_of(&self, account: &AccountId, numbers: &[String]) -> Result<Vec<String>, BillingError> {
        let places: Vec<_> = (0..numbers.len()).map(|place| format!("${}", place + 2)).collect();
        let sql = format!(
            "SELECT issued.number FROM issued JOIN documents ON documents.id = issued.document \
             WHERE documents.account = $1 AND documents.kind = 'invoice' AND issued.number IN ({})",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(account.to_string());
        for number in numbers {
            query = query.bind(number.clone());
        }
        let rows = query.fetch_all(self.store().pool()).await?;
        let found = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        Ok(numbers.iter().filter(|number| !found.contains(number)).cloned().collect())
    }
}
