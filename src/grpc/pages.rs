//! How much an answer with many items holds: clients take 4 MiB, unless they are configured otherwise.

use prost::Message;

/// How large the items of an answer are at most, but for the first.
const ANSWER_BYTES: usize = 3 * 1024 * 1024;

/// How many of the items an answer holds, from the first on; at least one.
pub fn fitting<M: Message>(items: &[M]) -> usize {
    let sizes = items.iter().scan(0, |sum, item| {
        *sum += item.encoded_len();
        Some(*sum)
    });
    sizes.take_while(|sum| *sum <= ANSWER_BYTES).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::v1;

    #[test]
    fn an_answer_has_the_items_that_fit_and_one_at_least() {
        let page = |bytes: usize, count: usize| vec![v1::GetInvoiceFileResponse { content: vec![0; bytes], ..Default::default() }; count];
        assert_eq!(fitting(&page(1000, 50)), 50);
        assert_eq!(fitting(&page(1 << 20, 50)), 2);
        assert_eq!(fitting(&page(4 << 20, 2)), 1);
    }
}
