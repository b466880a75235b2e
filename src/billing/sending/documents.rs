//! Documents by how far their mail is, as lists ask for it: the same answer in SQL as [`super::mail_queries`] gives for each.

use super::MailState;
use super::mail_queries::DocumentSending;

/// By how far their mail is, documents are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendingFilter {
    /// Issued, and never to be sent.
    Never,
    /// As far as that.
    Is(DocumentSending),
}

/// What most needs a look, last.
const ALL: [DocumentSending; 6] = [
    DocumentSending::Off,
    DocumentSending::Sent,
    DocumentSending::Waiting,
    DocumentSending::Failed,
    DocumentSending::Bounced,
    DocumentSending::Unknown,
];

impl SendingFilter {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Never,
        Self::Is(DocumentSending::Off),
        Self::Is(DocumentSending::Sent),
        Self::Is(DocumentSending::Waiting),
        Self::Is(DocumentSending::Failed),
        Self::Is(DocumentSending::Bounced),
        Self::Is(DocumentSending::Unknown),
    ];

    /// Its name in addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Is(sending) => sending.name(),
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wanted| wanted.name() == name)
    }

    /// The condition in SQL on a row of `documents` and `issued`.
    pub(crate) fn condition(self) -> String {
        let of_documents = "mails.document = documents.id AND mails.document <> 0 AND mails.kind = 'document'";
        match self {
            Self::Never => format!("issued.document IS NOT NULL AND NOT EXISTS (SELECT 1 FROM mails WHERE {of_documents})"),
            Self::Is(wanted) => {
                // Found by their states first: of most there are few.
                let some = format!(
                    "documents.id IN (SELECT mails.document FROM mails WHERE mails.state IN ({}) AND mails.kind = 'document')",
                    states(wanted)
                );
                let worse = ALL.into_iter().filter(|other| *other > wanted).map(|other| format!(" AND NOT {}", is_last(other)));
                format!("{some} AND {}{}", is_last(wanted), worse.collect::<String>())
            }
        }
    }
}

/// The states of mail that count as that.
fn states(sending: DocumentSending) -> String {
    let of = MailState::ALL.iter().filter(|state| DocumentSending::of(**state) == sending);
    of.map(|state| format!("'{}'", state.name())).collect::<Vec<_>>().join(", ")
}

/// Whether the last mail to one of the recipients is in such a state. That there was nobody counts only as long as there is nobody.
fn is_last(sending: DocumentSending) -> String {
    let states = states(sending);
    format!(
        "EXISTS (SELECT 1 FROM mails WHERE mails.document = documents.id AND mails.document <> 0 AND mails.kind = 'document' \
         AND mails.state IN ({states}) AND NOT EXISTS (SELECT 1 FROM mails AS later WHERE later.document = mails.document \
         AND later.document <> 0 AND later.kind = 'document' AND (later.recipient = mails.recipient OR mails.recipient = '') \
         AND ((later.recipient <> '' AND mails.recipient = '') OR (later.created_at, later.id) > (mails.created_at, mails.id))))"
    )
}
