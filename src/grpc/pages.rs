//! How much an answer with many items holds: clients take 4 MiB, unless they are configured otherwise.

use prost::Message;

/// How large the items of an answer are at most, but for the first.
const ANSWER_BYTES: usize = 3 * 1024 * 1024;

/// How many of the items an answer holds, from the first on; at least one.
fn fitting<M: Message>(items: &[M]) -> usize {
    let sizes = items.iter().scan(0, |sum, item| {
        *sum += item.encoded_len();
        Some(*sum)
    });
    sizes.take_while(|sum| *sum <= ANSWER_BYTES).count().max(1)
}

/// What of a page an answer holds, and where the next one begins: `places` are those of the items, and `next` is where the page ends.
pub fn page<M: Message, P: Clone>(mut items: Vec<M>, places: &[P], next: Option<P>) -> (Vec<M>, Option<P>) {
    let fitting = fitting(&items);
    if fitting >= items.len() {
        return (items, next);
    }
    items.truncate(fitting);
    (items, places.get(fitting - 1).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::v1;

    #[test]
    fn an_answer_has_the_items_that_fit_and_one_at_least() {
        let items = |bytes: usize, count: usize| vec![v1::GetInvoiceFileResponse { content: vec![0; bytes], ..Default::default() }; count];
        assert_eq!(fitting(&items(1000, 50)), 50);
        assert_eq!(fitting(&items(1 << 20, 50)), 2);
        assert_eq!(fitting(&items(4 << 20, 2)), 1);
        let places: Vec<usize> = (0..50).collect();
        assert_eq!(page(items(1000, 50), &places, Some(49)), (items(1000, 50), Some(49)));
        assert_eq!(page(items(1000, 50), &places, None), (items(1000, 50), None));
        assert_eq!(page(items(1 << 20, 50), &places, None), (items(1 << 20, 2), Some(1)));
        assert_eq!(page(items(1, 0), &places[..0], None), (vec![], None));
    }
}
