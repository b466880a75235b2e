//! Lists that the service returns in pages, fetched to their end or to a wanted number.

use tonic::{Response, Status};

use super::failure::explain;
use crate::grpc::v1::{
    GetInvoiceResponse, ListAccountsResponse, ListApprovalsResponse, ListAuditRecordsResponse, ListCallersResponse, ListEntriesResponse,
    ListInvoicesResponse, ListItemsResponse, ListMailsResponse, ListNotesResponse, ListPaymentsResponse, ListReceivablesResponse,
    ListReservationsResponse, RetryHeldInvoicesResponse, SearchAccountsResponse,
};

/// How many of a list are asked for at once.
const PAGE: usize = 500;

/// A page of a list.
pub trait Page: Default {
    /// How many it has.
    fn count(&self) -> usize;
    /// Where the next one begins.
    fn next_page_token(&self) -> &str;
    /// Adds the page that follows. What else is said of a list stays as the first page said it.
    fn append(&mut self, next: Self);
}

/// Fetches the pages of a list, until it ends or has as many as are wanted, and returns them as one.
pub async fn fetch<P: Page>(
    most: Option<usize>,
    mut page: impl AsyncFnMut(i32, String) -> Result<Response<P>, Status>,
) -> anyhow::Result<P> {
    let most = most.unwrap_or(usize::MAX);
    let mut found: Option<P> = None;
    loop {
        let (count, token) = found.as_ref().map_or((0, ""), |found| (found.count(), found.next_page_token()));
        let size = i32::try_from((most - count).min(PAGE)).unwrap_or_default();
        let next = page(size, token.to_owned()).await.map_err(explain)?.into_inner();
        let whole = match found.take() {
            None => next,
            Some(mut whole) => {
                whole.append(next);
                whole
            }
        };
        if whole.next_page_token().is_empty() || whole.count() >= most {
            return Ok(whole);
        }
        found = Some(whole);
    }
}

macro_rules! pages {
    ($($page:ty: $items:ident,)*) => {
        $(impl Page for $page {
            fn count(&self) -> usize {
                self.$items.len()
            }

            fn next_page_token(&self) -> &str {
                &self.next_page_token
            }

            fn append(&mut self, next: Self) {
                self.$items.extend(next.$items);
                self.next_page_token = next.next_page_token;
            }
        })*
    };
}

pages! {
    ListAccountsResponse: accounts,
    SearchAccountsResponse: accounts,
    ListApprovalsResponse: approvals,
    ListAuditRecordsResponse: records,
    ListEntriesResponse: entries,
    ListNotesResponse: notes,
    ListReservationsResponse: reservations,
    ListInvoicesResponse: invoices,
    ListPaymentsResponse: payments,
    ListReceivablesResponse: receivables,
    ListItemsResponse: items,
    ListCallersResponse: callers,
    ListMailsResponse: mails,
    RetryHeldInvoicesResponse: retried,
}

/// A document, whose lines come in pages.
impl Page for GetInvoiceResponse {
    fn count(&self) -> usize {
        0
    }

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }

    fn append(&mut self, next: Self) {
        self.next_page_token = next.next_page_token;
        if let (Some(whole), Some(more)) = (&mut self.invoice, next.invoice) {
            whole.items.extend(more.items);
            whole.deducted.extend(more.deducted);
            whole.adjustments.extend(more.adjustments);
            whole.open_invoices.extend(more.open_invoices);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::v1::{Account, ItemName};

    /// Three accounts in pages of two.
    async fn accounts(size: i32, token: String) -> Result<Response<ListAccountsResponse>, Status> {
        let begin: usize = token.parse().unwrap_or(0);
        let end = (begin + 2.min(usize::try_from(size).unwrap())).min(3);
        let of = |number: usize| Account { account_id: number.to_string(), ..Default::default() };
        let next_page_token = if end < 3 { end.to_string() } else { String::new() };
        Ok(Response::new(ListAccountsResponse { accounts: (begin..end).map(of).collect(), next_page_token }))
    }

    #[tokio::test]
    async fn a_list_is_fetched_to_its_end_or_to_the_wanted_number() {
        for (most, expected, next) in [(None, 3, ""), (Some(1), 1, "1"), (Some(2), 2, "2"), (Some(3), 3, ""), (Some(9), 3, "")] {
            let found = fetch(most, accounts).await.unwrap();
            assert_eq!((found.accounts.len(), found.next_page_token.as_str()), (expected, next), "{most:?}");
        }
    }

    #[tokio::test]
    async fn a_list_may_be_empty_or_fail() {
        let none = fetch(None, async |_, _| Ok(Response::new(ListItemsResponse::default()))).await.unwrap();
        assert_eq!(none.items, Vec::<ItemName>::new());
        let failed = fetch(None, async |_, _| Err::<Response<ListItemsResponse>, _>(Status::unavailable("gone"))).await;
        assert!(failed.unwrap_err().to_string().contains("gone"));
    }
}
