//! Links to documents: reads requests, writes responses.

use super::super::call::read as taken;
use super::settings::change;
use crate::billing::change::Applied;
use crate::billing::sending::settings::MOST_LINK_DAYS;
use crate::grpc::v1;
use crate::grpc::wire::render::instant;
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;
use crate::service::links::LinkView;

/// Creates a link.
pub async fn create(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::CreateDocumentLinkRequest,
) -> Result<v1::CreateDocumentLinkResponse, Error> {
    let (number, days, change) = taken(use_cases, request, |reader, request| {
        let v1::CreateDocumentLinkRequest { number, request_id, valid_days, operator, first_sent_at } = request;
        let days = u16::try_from(valid_days).ok().filter(|days| *days <= MOST_LINK_DAYS);
        if days.is_none() {
            reader.refuse("valid_days", format!("must be 0 to {MOST_LINK_DAYS}"));
        }
        (reader.text("number", number, 1..=64), days.unwrap_or(0), change(reader, request_id, None, operator, first_sent_at))
    })?;
    let (applied, view) = use_cases.create_document_link(context, &number, days, &change).await?;
    Ok(v1::CreateDocumentLinkResponse { link: Some(link(view)), replayed: applied == Applied::Before })
}

/// The links to a document.
pub async fn list(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::ListDocumentLinksRequest,
) -> Result<v1::ListDocumentLinksResponse, Error> {
    let number = taken(use_cases, request.number, |reader, number| reader.text("number", number, 1..=64))?;
    let views = use_cases.document_links(context, &number).await?;
    Ok(v1::ListDocumentLinksResponse { links: views.into_iter().map(link).collect() })
}

/// Revokes a link.
pub async fn revoke(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::RevokeDocumentLinkRequest,
) -> Result<v1::RevokeDocumentLinkResponse, Error> {
    let (id, change) = taken(use_cases, request, |reader, request| {
        let v1::RevokeDocumentLinkRequest { link_id, request_id, operator, first_sent_at } = request;
        (reader.text("link_id", link_id, 1..=64), change(reader, request_id, None, operator, first_sent_at))
    })?;
    let (applied, view) = use_cases.revoke_document_link(context, &id, &change).await?;
    Ok(v1::RevokeDocumentLinkResponse { link: Some(link(view)), replayed: applied == Applied::Before })
}

fn link(LinkView { link, url, works }: LinkView) -> v1::DocumentLink {
    v1::DocumentLink {
        created_at: Some(instant(link.created_at)),
        expires_at: Some(instant(link.expires_at)),
        revoked_at: (link.revoked_at.is_some()).then(|| instant(link.revoked_at)),
        link_id: link.id,
        number: link.number,
        account_id: link.account.into(),
        mail_id: link.mail,
        created_by: link.created_by,
        works,
        url,
    }
}
