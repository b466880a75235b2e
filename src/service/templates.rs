//! Mail templates of operators: shown, previewed, saved, and reset.

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::change::{Applied, Change};
use billing::document::LANGUAGES;
use billing::rendering::letter::{Letter, LetterKind, Written};
use billing::rendering::template::MailTemplate;
use billing::sending::templates::TemplateVersion;

/// A template, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateView {
    /// The template in force; nothing in it: the usual mail.
    pub template: MailTemplate,
    /// Its versions, the newest first.
    pub versions: Vec<TemplateVersion>,
    /// The names that it may use, with an example of each.
    pub names: Vec<(&'static str, String)>,
}

impl UseCases {
    /// The templates that are not as usual.
    pub async fn mail_templates(&self, context: &RequestContext) -> Result<Vec<TemplateVersion>, Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        Ok(self.billing(context).await?.templates().await?)
    }

    /// The template of a kind of mail in a language.
    pub async fn mail_template(&self, context: &RequestContext, kind: LetterKind, language: &str) -> Result<TemplateView, Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        check_language(language)?;
        let versions = self.billing(context).await?.template_versions(kind, language).await?;
        let template = versions.first().map(|version| version.template.clone()).unwrap_or_default();
        let names = Letter::example(kind, language).facts().iter().map(|(name, value)| (*name, value.clone())).collect();
        Ok(TemplateView { template, versions, names })
    }

    /// Saves a template; nothing in it: the usual mail again. One that cannot be filled in is refused.
    pub async fn set_mail_template(
        &self,
        context: &RequestContext,
        kind: LetterKind,
        language: &str,
        template: &MailTemplate,
        change: &Change,
    ) -> Result<Applied, Error> {
        context.require_everywhere(Permission::SetSettings)?;
        let change = &context.signed(change)?;
        Ok(self.billing(context).await?.set_template(kind, language, template, change).await?)
    }

    /// What a template makes of an example. Nothing is saved.
    pub fn preview_mail_template(
        &self,
        context: &RequestContext,
        kind: LetterKind,
        language: &str,
        template: &MailTemplate,
    ) -> Result<Written, Error> {
        context.require_everywhere(Permission::ReadSettings)?;
        check_language(language)?;
        template.check(kind, language).map_err(|problem| Error::invalid_field("template", format!("cannot be filled in: {problem}")))
    }
}

fn check_language(language: &str) -> Result<(), Error> {
    if LANGUAGES.contains(&language) {
        return Ok(());
    }
    Err(Error::invalid_field("language", format!("must be one of {}", LANGUAGES.join(", "))))
}
