//! Files that a page gives: to be kept, or to be looked at in a frame.

use std::borrow::Cow;
use std::io;

use axum::Extension;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use crate::Console;
use crate::failure::Failure;
use crate::visitor::Visitor;
use billing::rendering::for_spreadsheet;
use service::papers::File;

const CSV: &str = "text/csv; charset=utf-8";

/// Marks a response that is a document for customers: names of customers and pictures of issuers are in it, so that it is kept apart.
#[derive(Clone, Copy, Debug)]
pub struct Paper;

/// A paper, to be looked at.
#[must_use]
pub fn framed(file: File) -> Response {
    (Extension(Paper), [(CONTENT_TYPE, file.content_type)], file.content).into_response()
}

/// A file, to be kept.
#[must_use]
pub fn kept(file: File) -> Response {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let name: String = file.name.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect();
    attachment(&name, file.content_type, file.content)
}

/// How many rows of a list are read at once.
pub const ROWS_AT_ONCE: usize = 500;

/// Some rows of a list, and behind which place it goes on; `None`: that is all.
pub type Rows<P> = (Vec<Vec<String>>, Option<P>);

/// A whole list as a CSV file, however long: it is read, [`ROWS_AT_ONCE`] rows at a time, while it is sent, as long as the visitor is signed in.
/// What fails at first is a page; what fails later breaks the file off, so that no browser takes it for whole.
pub async fn csv_list<P, F, R>(console: &Console, visitor: &Visitor, name: &str, header: &[&str], read: F) -> Result<Response, Failure>
where
    P: Send + 'static,
    F: Fn(Console, Visitor, Option<P>) -> R + Send + 'static,
    R: Future<Output = Result<Rows<P>, Failure>> + Send + 'static,
{
    let (console, visitor) = (console.clone(), visitor.clone());
    let (rows, next) = read(console.clone(), visitor.clone(), None).await?;
    let beginning = lines(std::iter::once(header.iter().map(|&cell| cell.to_owned()).collect()).chain(rows));
    let further = stream::try_unfold(next, move |place| {
        let (console, visitor) = (console.clone(), visitor.clone());
        let reading = place.map(|place| read(console.clone(), visitor.clone(), Some(place)));
        async move {
            let Some(reading) = reading else { return Ok(None) };
            if !visitor.is_still_signed_in(&console).await {
                return Err(io::Error::other("the user has signed out"));
            }
            let (rows, next) = reading.await.map_err(|_| io::Error::other("the rest of the list cannot be read"))?;
            Ok(Some((lines(rows.into_iter()), next)))
        }
    });
    Ok(attachment(name, CSV, Body::from_stream(stream::once(async { Ok(beginning) }).chain(further))))
}

/// A short list as a CSV file.
pub fn csv_file(name: &str, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Response {
    let header = std::iter::once(header.iter().map(|&cell| cell.to_owned()).collect());
    attachment(name, CSV, lines(header.chain(rows)))
}

/// Lines of CSV. What a spreadsheet would take for a formula is text.
fn lines(rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        // Writing to memory does not fail.
        let _ = writer.write_record(row.iter().map(|cell| harmless(cell).into_owned()));
    }
    writer.into_inner().unwrap_or_default()
}

/// A negative amount is a number, and stays one.
fn harmless(cell: &str) -> Cow<'_, str> {
    let is_number = cell.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    if is_number { Cow::Borrowed(cell) } else { for_spreadsheet(cell) }
}

fn attachment(name: &str, content_type: &'static str, content: impl Into<Body>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, content_type.to_owned()), (CONTENT_DISPOSITION, disposition)], content.into()).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[tokio::test]
    async fn what_a_browser_keeps_has_no_formula_and_its_amounts_are_numbers() {
        let row = ["=cmd|' /C calc'!A0", "+49 40 1", "@home", "-5.00", "-5-5", "plain"].map(str::to_owned).to_vec();
        let response = csv_file("x.csv", &["a", "b", "c", "d", "e", "f"], std::iter::once(row));
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(text, "a,b,c,d,e,f\r\n'=cmd|' /C calc'!A0,'+49 40 1,'@home,-5.00,'-5-5,plain\r\n");
    }
}
