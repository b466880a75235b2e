//! Templates of mails: reads requests, writes responses.

use super::super::call::read as taken;
use super::settings::change;
use crate::billing::change::Applied;
use crate::billing::rendering::letter::{LetterKind, Written};
use crate::billing::rendering::template::MailTemplate;
use crate::billing::sending::templates::TemplateVersion;
use crate::grpc::v1;
use crate::grpc::wire::reader::FieldReader;
use crate::grpc::wire::render::instant;
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;
use crate::service::templates::TemplateView;

/// The templates that are not as usual.
pub async fn list(
    use_cases: &UseCases,
    context: &RequestContext,
    _request: v1::ListMailTemplatesRequest,
) -> Result<v1::ListMailTemplatesResponse, Error> {
    let templates = use_cases.mail_templates(context).await?.into_iter().map(version).collect();
    Ok(v1::ListMailTemplatesResponse { templates })
}

/// One.
pub async fn get(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::GetMailTemplateRequest,
) -> Result<v1::GetMailTemplateResponse, Error> {
    let (kind, language) = taken(use_cases, request, |reader, request| name(reader, request.kind, request.language))?;
    let TemplateView { template, versions, names } = use_cases.mail_template(context, kind, &language).await?;
    Ok(v1::GetMailTemplateResponse {
        template: Some(render(template)),
        versions: versions.into_iter().map(version).collect(),
        names: names.into_iter().map(|(name, example)| (name.to_owned(), example)).collect(),
    })
}

/// Saves one.
pub async fn set(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::SetMailTemplateRequest,
) -> Result<v1::SetMailTemplateResponse, Error> {
    let ((kind, language), template, change) = taken(use_cases, request, |reader, request| {
        let v1::SetMailTemplateRequest { kind, language, request_id, template, operator, first_sent_at } = request;
        (name(reader, kind, language), read(template), change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.set_mail_template(context, kind, &language, &template, &change).await?;
    Ok(v1::SetMailTemplateResponse { replayed: applied == Applied::Before })
}

/// What one makes of an example.
pub async fn preview(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::PreviewMailTemplateRequest,
) -> Result<v1::PreviewMailTemplateResponse, Error> {
    let ((kind, language), template) =
        taken(use_cases, request, |reader, request| (name(reader, request.kind, request.language), read(request.template)))?;
    let Written { subject, text, html } = use_cases.preview_mail_template(context, kind, &language, &template)?;
    Ok(v1::PreviewMailTemplateResponse { subject, text, html })
}

fn name(reader: &mut FieldReader, kind: i32, language: String) -> (LetterKind, String) {
    let kind = match reader.choice("kind", kind) {
        Some(v1::MailTemplateKind::Invoice) => LetterKind::Invoice,
        Some(v1::MailTemplateKind::Statement) => LetterKind::Statement,
        Some(v1::MailTemplateKind::CreditNote) => LetterKind::CreditNote,
        Some(v1::MailTemplateKind::Receipt) => LetterKind::Receipt,
        Some(v1::MailTemplateKind::Reminder) => LetterKind::Reminder,
        Some(v1::MailTemplateKind::LowCredit) => LetterKind::LowCredit,
        Some(v1::MailTemplateKind::Unspecified) | None => {
            reader.refuse("kind", "must be MAIL_TEMPLATE_KIND_INVOICE, _STATEMENT, _CREDIT_NOTE, _RECEIPT, _REMINDER or _LOW_CREDIT");
            LetterKind::Invoice
        }
    };
    (kind, reader.text("language", language, 1..=8))
}

fn read(template: Option<v1::MailTemplate>) -> MailTemplate {
    let v1::MailTemplate { subject, text, html } = template.unwrap_or_default();
    MailTemplate { subject, text, html }
}

fn render(MailTemplate { subject, text, html }: MailTemplate) -> v1::MailTemplate {
    v1::MailTemplate { subject, text, html }
}

fn version(version: TemplateVersion) -> v1::MailTemplateVersion {
    let kind = match version.kind {
        LetterKind::Invoice => v1::MailTemplateKind::Invoice,
        LetterKind::Statement => v1::MailTemplateKind::Statement,
        LetterKind::CreditNote => v1::MailTemplateKind::CreditNote,
        LetterKind::Receipt => v1::MailTemplateKind::Receipt,
        LetterKind::Reminder => v1::MailTemplateKind::Reminder,
        LetterKind::LowCredit => v1::MailTemplateKind::LowCredit,
    };
    v1::MailTemplateVersion {
        kind: kind.into(),
        language: version.language,
        version: version.version,
        template: Some(render(version.template)),
        changed_at: Some(instant(version.changed_at)),
        changed_by: version.changed_by,
        reason: version.reason,
    }
}
