//! A file, sent in parts.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tonic::Status;

use crate::grpc::v1;
use crate::service::papers::File;

/// How large a part is.
const PART_BYTES: usize = 64 * 1024;

/// The parts of a document's file: the first says what it is.
pub fn parts(file: File) -> impl Stream<Item = Result<v1::GetInvoiceFileResponse, Status>> + Send {
    let first = (file.content_type.to_owned(), file.name);
    stream::unfold((Some(first), Bytes::from(file.content)), |(first, mut rest)| async move {
        if first.is_none() && rest.is_empty() {
            return None;
        }
        let content = rest.split_to(rest.len().min(PART_BYTES)).to_vec();
        let (content_type, file_name) = first.unwrap_or_default();
        Some((Ok(v1::GetInvoiceFileResponse { content_type, file_name, content }), (None, rest)))
    })
}

/// The same of a paper that is no numbered document.
pub fn paper_parts(file: File) -> impl Stream<Item = Result<v1::GetAccountFileResponse, Status>> + Send {
    parts(file).map(|part| {
        part.map(|part| v1::GetAccountFileResponse { content_type: part.content_type, file_name: part.file_name, content: part.content })
    })
}
