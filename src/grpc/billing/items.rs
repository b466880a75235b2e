//! Item names: reads requests, writes responses.

use super::super::call::read as taken;
use super::read::language;
use super::settings::{change, issuer_id};
use crate::billing::change::Applied;
use crate::billing::items::ItemName;
use crate::grpc::wire::reader::FieldReader;
use crate::grpc::{page_token, v1};
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;
use crate::service::items::ItemCursor;

/// How long the code of an item may be, as in charges.
const CODE_CHARACTERS: usize = 64;

/// What stands between language and item in a place; neither has one.
const BETWEEN: char = '\n';

/// Sets what an item is called.
pub async fn set(use_cases: &UseCases, context: &RequestContext, request: v1::SetItemRequest) -> Result<v1::SetItemResponse, Error> {
    let (id, name, change) = taken(use_cases, request, |reader, request| {
        let v1::SetItemRequest { issuer_id: id, request_id, item, operator, first_sent_at } = request;
        if item.is_none() {
            reader.refuse("item", "must be given");
        }
        let v1::ItemName { item, language: of, name } = item.unwrap_or_default();
        let name = reader.within("item", |reader| ItemName {
            item: code(reader, item),
            language: language(reader, of),
            name: reader.text("name", name, 1..=200),
        });
        (issuer_id(reader, id), name, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.set_item(context, id, &name, &change).await?;
    Ok(v1::SetItemResponse { replayed: applied == Applied::Before })
}

/// Removes the name of an item.
pub async fn delete(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::DeleteItemRequest,
) -> Result<v1::DeleteItemResponse, Error> {
    let (id, item, of, change) = taken(use_cases, request, |reader, request| {
        let v1::DeleteItemRequest { issuer_id: id, request_id, item, language: of, operator, first_sent_at } = request;
        (issuer_id(reader, id), code(reader, item), language(reader, of), change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.delete_item(context, id, &item, &of, &change).await?;
    Ok(v1::DeleteItemResponse { replayed: applied == Applied::Before })
}

/// What items are called.
pub async fn list(use_cases: &UseCases, context: &RequestContext, request: v1::ListItemsRequest) -> Result<v1::ListItemsResponse, Error> {
    let query = |id: &'static str| ["items", id];
    let (id, count, after) = taken(use_cases, request, |reader, request| {
        let id = issuer_id(reader, request.issuer_id);
        let place: Option<String> = page_token::read(reader, "page_token", &query(id), &request.page_token);
        let after = place.and_then(|place| place.split_once(BETWEEN).map(|(language, item)| (item.to_owned(), language.to_owned())));
        (id, reader.page_size(request.page_size), after)
    })?;
    let (names, next) = use_cases.list_items(context, id, after.as_ref(), count).await?;
    let token = |(item, language): ItemCursor| page_token::encode(&query(id), &format!("{language}{BETWEEN}{item}"));
    Ok(v1::ListItemsResponse {
        items: names.into_iter().map(|ItemName { item, language, name }| v1::ItemName { item, language, name }).collect(),
        next_page_token: next.map(token).unwrap_or_default(),
    })
}

fn code(reader: &mut FieldReader, item: String) -> String {
    if item.is_empty() {
        reader.refuse("item", "must be given: the item as charges name it");
    }
    reader.word("item", item, CODE_CHARACTERS)
}
