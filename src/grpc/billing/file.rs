//! A document as a file, sent in parts.

use bytes::Bytes;
use futures_util::{Stream, stream};
use tonic::Status;

use super::read;
use crate::grpc::front::Front;
use crate::grpc::wire::Position;
use crate::grpc::{status, v1};

/// How large a part is.
const PART_BYTES: usize = 64 * 1024;

/// A file.
#[derive(Debug)]
pub struct File {
    content_type: &'static str,
    name: String,
    content: Bytes,
}

/// Writes a document as a file.
pub async fn write(front: &Front, request: v1::GetInvoiceFileRequest) -> Result<File, Status> {
    let (number, form) = front.read(request, Position::default(), |reader, request| {
        let form = reader.choice("form", request.form).unwrap_or(v1::InvoiceForm::Unspecified);
        if form == v1::InvoiceForm::Unspecified {
            reader.refuse("form", "must be INVOICE_FORM_JSON, _CSV, _HTML or _PDF");
        }
        (read::number(reader, request.number), form)
    })?;
    let stored = front.billing()?.document(&number).await.map_err(|error| status::no_bills(&error, &number))?;
    let _ = stored;
    let (content_type, ending, content): (_, _, Vec<u8>) = match form {
        v1::InvoiceForm::Json | v1::InvoiceForm::Unspecified => ("application/json", "json", Vec::new()),
        v1::InvoiceForm::Csv => ("text/csv; charset=utf-8", "csv", Vec::new()),
        v1::InvoiceForm::Html => ("text/html; charset=utf-8", "html", Vec::new()),
        v1::InvoiceForm::Pdf => ("application/pdf", "pdf", Vec::new()),
    };
    Ok(File { content_type, name: format!("{number}.{ending}"), content: content.into() })
}

impl File {
    /// Its parts: the first says what it is.
    pub fn into_parts(self) -> impl Stream<Item = Result<v1::GetInvoiceFileResponse, Status>> + Send {
        let first = v1::GetInvoiceFileResponse { content_type: self.content_type.to_owned(), file_name: self.name, ..Default::default() };
        stream::unfold((Some(first), self.content), |(first, mut rest)| async move {
            if first.is_none() && rest.is_empty() {
                return None;
            }
            let part = rest.split_to(rest.len().min(PART_BYTES));
            let message = v1::GetInvoiceFileResponse { content: part.to_vec(), ..first.unwrap_or_default() };
            Some((Ok(message), (None, rest)))
        })
    }
}
