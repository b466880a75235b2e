//! Files that a page gives: to be kept, or to be looked at in a frame.

use std::borrow::Cow;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use billing::rendering::for_spreadsheet;
use service::papers::File;

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

/// A CSV file. What a spreadsheet would take for a formula is text.
pub fn csv_file(name: &str, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Response {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(header);
    for row in rows {
        let _ = writer.write_record(row.iter().map(|cell| harmless(cell).into_owned()));
    }
    attachment(name, "text/csv; charset=utf-8", writer.into_inner().unwrap_or_default())
}

/// A negative amount is a number, and stays one.
fn harmless(cell: &str) -> Cow<'_, str> {
    let is_number = cell.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    if is_number { Cow::Borrowed(cell) } else { for_spreadsheet(cell) }
}

fn attachment(name: &str, content_type: &'static str, content: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, content_type.to_owned()), (CONTENT_DISPOSITION, disposition)], content).into_response()
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
