//! Mail templates of operators: kept with all their versions, and on record.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::audit::{self, Act, json_of};
use crate::change::{Applied, Change};
use crate::document::LANGUAGES;
use crate::rendering::letter::LetterKind;
use crate::rendering::template::MailTemplate;
use crate::store::Columns;
use crate::{Billing, BillingError};
use domain::time::UnixMillis;

/// How many versions are listed.
const LISTED: i64 = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateVersion {
    /// The kind of mail.
    pub kind: LetterKind,
    pub language: String,
    /// Its number, from 1 on.
    pub version: i64,
    /// The template; the usual mail, if nothing is in it.
    pub template: MailTemplate,
    /// When it was saved.
    pub changed_at: UnixMillis,
    /// By whom.
    pub changed_by: String,
    /// Why.
    pub reason: String,
}

impl TemplateVersion {
    fn read(row: &AnyRow) -> Result<Self, BillingError> {
        let (kind, content): (String, String) = (row.try_get("kind")?, row.try_get("content")?);
        Ok(Self {
            kind: LetterKind::of_name(&kind).ok_or_else(|| BillingError::corrupt(format!("the kind of template {kind:?}")))?,
            language: row.try_get("language")?,
            version: row.try_get("version")?,
            template: serde_json::from_str(&content).map_err(BillingError::corrupt)?,
            changed_at: row.instant("changed_at")?,
            changed_by: row.try_get("changed_by")?,
            reason: row.try_get("reason")?,
        })
    }
}

impl Billing {
    /// The versions of a template, the newest first.
    pub async fn template_versions(&self, kind: LetterKind, language: &str) -> Result<Vec<TemplateVersion>, BillingError> {
        let sql = "SELECT * FROM mail_templates WHERE kind = $1 AND language = $2 ORDER BY version DESC LIMIT $3";
        let query = sqlx::query(sql).bind(kind.name()).bind(language.to_owned()).bind(LISTED);
        query.fetch_all(self.store().pool()).await?.iter().map(TemplateVersion::read).collect()
    }

    /// The templates that are in force, of all kinds and languages that are not as usual.
    pub async fn templates(&self) -> Result<Vec<TemplateVersion>, BillingError> {
        let sql = "SELECT * FROM mail_templates WHERE version = (SELECT MAX(version) FROM mail_templates AS newest \
                   WHERE newest.kind = mail_templates.kind AND newest.language = mail_templates.language) ORDER BY kind, language";
        let rows = sqlx::query(sql).fetch_all(self.store().pool()).await?;
        let mut found = rows.iter().map(TemplateVersion::read).collect::<Result<Vec<_>, _>>()?;
        found.retain(|version| !version.template.is_usual());
        Ok(found)
    }

    /// The template in force; the usual mail, if there is none.
    pub async fn template(&self, kind: LetterKind, language: &str) -> Result<MailTemplate, BillingError> {
        let newest = newest(&mut *self.store().pool().acquire().await?, kind, language).await?;
        Ok(newest.map(|version| version.template).unwrap_or_default())
    }

    /// Saves a template. One that cannot be filled in is refused.
    pub async fn set_template(
        &self,
        kind: LetterKind,
        language: &str,
        template: &MailTemplate,
        change: &Change,
    ) -> Result<Applied, BillingError> {
        if !LANGUAGES.contains(&language) {
            return Err(BillingError::Invalid { field: "language", problem: format!("must be one of {}", LANGUAGES.join(", ")) });
        }
        template
            .check(kind, language)
            .map_err(|problem| BillingError::Invalid { field: "template", problem: format!("cannot be filled in: {problem}") })?;
        let content = serde_json::to_string(template).map_err(BillingError::corrupt)?;
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let subject = format!("mail template {} {language}", kind.name());
        if Self::note(connection, &subject, &change.asked(&[&content]), change).await? == Applied::Before {
            return Ok(Applied::Before);
        }
        let before = newest(connection, kind, language).await?;
        let write = "INSERT INTO mail_templates (kind, language, version, content, changed_at, changed_by, reason) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let version = before.as_ref().map_or(0, |before| before.version) + 1;
        let query = sqlx::query(write).bind(kind.name()).bind(language.to_owned()).bind(version).bind(content.clone());
        query.bind(change.at.get()).bind(change.actor.clone()).bind(change.reason.clone()).execute(&mut *connection).await?;
        let act = Act::of("mail_template.set", change).with("kind", kind.name()).with("language", language).with("version", version);
        let act = act.with("after", json_of(&content));
        let before = before.map(|before| serde_json::to_string(&before.template)).transpose().map_err(BillingError::corrupt)?;
        let act = act.with("before", before.as_deref().map(json_of));
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(Applied::Now)
    }
}

async fn newest(connection: &mut AnyConnection, kind: LetterKind, language: &str) -> Result<Option<TemplateVersion>, BillingError> {
    let sql = "SELECT * FROM mail_templates WHERE kind = $1 AND language = $2 ORDER BY version DESC LIMIT 1";
    let row = sqlx::query(sql).bind(kind.name()).bind(language.to_owned()).fetch_optional(connection).await?;
    row.as_ref().map(TemplateVersion::read).transpose()
}
