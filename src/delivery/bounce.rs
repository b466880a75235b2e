//! Reads what came back: a report of RFC 3464, or a mail that only looks like one.

use std::collections::HashSet;

use mail_parser::{MessageParser, MimeHeaders};

/// What a report says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The ids of mails that it may be about: what stands before the @ of a Message-ID.
    pub ids: Vec<String>,
    /// The address that it did not reach; empty if it is not said.
    pub recipient: String,
    /// Whether it failed for good.
    pub is_failure: bool,
    /// Why.
    pub diagnostic: String,
}

/// How long an id of a mail is.
const ID: usize = 40;

/// Reads a report. `None` if it is no mail at all.
#[must_use]
pub fn read(raw: &[u8]) -> Option<Report> {
    let message = MessageParser::default().parse(raw)?;
    let mut report = Report::default();
    for part in &message.parts {
        let kind = part.content_type().map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()));
        let content = part.contents();
        let text = String::from_utf8_lossy(content);
        match kind.unwrap_or_default().to_ascii_lowercase().as_str() {
            "message/delivery-status" | "message/global-delivery-status" => fields(&text, &mut report),
            // What came back: all of it, or its headers.
            "message/rfc822" | "message/global" | "text/rfc822-headers" | "message/global-headers" => {
                for id in field(&text, "message-id") {
                    report.ids.extend(id_of(&id));
                }
            }
            _ => {}
        }
    }
    for header in ["References", "In-Reply-To"] {
        if let Some(text) = message.header_raw(header) {
            report.ids.extend(text.split_whitespace().filter_map(id_of));
        }
    }
    let mut seen = HashSet::new();
    report.ids.retain(|id| seen.insert(id.clone()));
    Some(report)
}

/// The id of a mail within a Message-ID.
fn id_of(text: &str) -> Option<String> {
    let id = text.trim().trim_matches(['<', '>']).split('@').next()?.to_ascii_lowercase();
    (id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// The fields of the recipients.
fn fields(text: &str, report: &mut Report) {
    let address = |value: &String| value.split_once(';').map_or(value.as_str(), |(_, address)| address).trim().to_owned();
    let original = field(text, "original-recipient");
    let last = field(text, "final-recipient");
    if let Some(found) = original.first().or(last.first()) {
        report.recipient = address(found);
    }
    report.is_failure = field(text, "action").iter().any(|action| action.eq_ignore_ascii_case("failed"));
    let why = field(text, "diagnostic-code").first().map(address);
    report.diagnostic = why.or_else(|| field(text, "status").first().cloned()).unwrap_or_default();
}

/// The values of a field, unfolded.
fn field(text: &str, name: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let mut is_in = false;
    for line in text.lines() {
        if is_in && line.starts_with([' ', '\t']) {
            if let Some(last) = values.last_mut() {
                last.push(' ');
                last.push_str(line.trim());
            }
            continue;
        }
        is_in = line.split_once(':').is_some_and(|(found, _)| found.trim().eq_ignore_ascii_case(name));
        if is_in {
            values.extend(line.split_once(':').map(|(_, value)| value.trim().to_owned()));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "From: MAILER-DAEMON@mx.example\r\nTo: billing@nordlicht.example\r\nSubject: Undelivered Mail\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n\
        --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
        Original-Recipient: rfc822;a@acme.example\r\nFinal-Recipient: rfc822; b@elsewhere.example\r\nAction: failed\r\nStatus: 5.2.2\r\n\
        Diagnostic-Code: smtp; 552 5.2.2\r\n    the mailbox is full\r\n\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <00112233445566778899aabbccddeeff00112233@nordlicht.example>\r\nSubject: x\r\n\r\nbody\r\n--b--\r\n";

    #[test]
    fn a_report_says_which_mail_and_whom_it_did_not_reach_and_why() {
        let report = read(REPORT.as_bytes()).unwrap();
        assert_eq!(report.ids, ["00112233445566778899aabbccddeeff00112233"]);
        assert_eq!(report.recipient, "a@acme.example");
        assert!(report.is_failure);
        assert_eq!(report.diagnostic, "552 5.2.2 the mailbox is full");
    }

    #[test]
    fn what_is_late_and_what_is_no_report_did_not_fail() {
        assert!(!read(REPORT.replace("Action: failed", "Action: delayed").as_bytes()).unwrap().is_failure);
        let reply = read(b"Subject: Re: Invoice\r\nIn-Reply-To: <00112233445566778899aabbccddeeff00112233@a>\r\n\r\nThanks!").unwrap();
        assert!(!reply.is_failure);
        assert_eq!(reply.ids, ["00112233445566778899aabbccddeeff00112233"]);
        for wrong in ["", "\0\0", "Content-Type: multipart/report; boundary=b\r\n\r\n--b"] {
            assert!(read(wrong.as_bytes()).is_none_or(|report| !report.is_failure && report.ids.is_empty()));
        }
    }
}
