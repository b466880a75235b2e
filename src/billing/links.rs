//! Links by which customers look at a document without an account: signed, so that nobody makes one up; for a time; revocable.
//!
//! A link is 127 random bits, which name it here, and their signature by a key of this store. It says nothing of the document. What it opens
//! is looked up: a document that is issued, and still kept, of a link that has not run out and was not revoked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::audit::{self, Act};
use crate::bills::documents::{DocumentState, StoredDocument};
use crate::change::{Applied, Change};
use crate::issuer::MAIN;
use crate::sending::Mail;
use crate::sending::settings::MOST_LINK_DAYS;
use crate::store::Columns;
use crate::{Billing, BillingError, account_lock};
use domain::ids::{AccountId, RequestId};
use domain::time::{Millis, UnixMillis};

/// How many links that operators made work at once, of one document.
pub const MOST_LINKS: i64 = 20;

/// How many links of a document are listed.
const LISTED: i64 = 200;

const DAY: Millis = 86_400_000;

const ID_BYTES: usize = 16;
const KEY_BYTES: usize = blake3::KEY_LEN;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentLink {
    /// Its name. It grants no access.
    pub id: String,
    pub document: i64,
    pub number: String,
    pub account: AccountId,
    /// The mail that it was made for; empty if an operator made it.
    pub mail: String,
    /// The creator; empty if a mail created it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// Until when it works.
    pub expires_at: UnixMillis,
    /// Since when it does not any more; 0 if nobody has revoked it.
    pub revoked_at: UnixMillis,
}

impl DocumentLink {
    /// Whether it opens its document.
    #[must_use]
    pub fn works(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    fn read(row: &AnyRow) -> Result<Self, BillingError> {
        Ok(Self {
            id: row.try_get("id")?,
            document: row.try_get("document")?,
            number: row.try_get("number")?,
            account: row.account_id("account")?,
            mail: row.try_get("mail")?,
            created_by: row.try_get("created_by")?,
            created_at: row.instant("created_at")?,
            expires_at: row.instant("expires_at")?,
            revoked_at: row.instant("revoked_at")?,
        })
    }
}

/// What came of a request for a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkOutcome {
    /// It is there: since now, or before.
    Done(Applied, DocumentLink),
    /// As many as may be work already.
    TooMany,
    /// There is no such link.
    NotFound,
}

/// What links are signed with. Never shown.
pub struct LinkKey([u8; KEY_BYTES]);

impl LinkKey {
    /// The last part of the address of a link: its id and its signature.
    #[must_use]
    pub fn token(&self, id: &str) -> Option<String> {
        let id: [u8; ID_BYTES] = URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()?;
        let mut token = id.to_vec();
        token.extend_from_slice(self.signature(&id).as_bytes());
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// The id of a link, if its signature is right. How long that takes says nothing of the signature.
    #[must_use]
    pub fn id_of(&self, token: &str) -> Option<String> {
        let bytes: [u8; ID_BYTES + blake3::OUT_LEN] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (id, signature) = bytes.split_first_chunk::<ID_BYTES>()?;
        let signature: [u8; blake3::OUT_LEN] = signature.try_into().ok()?;
        // Hashes are compared in constant time.
        (self.signature(id) == blake3::Hash::from_bytes(signature)).then(|| URL_SAFE_NO_PAD.encode(id))
    }

    fn signature(&self, id: &[u8; ID_BYTES]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, id)
    }
}

impl Billing {
    /// Creates a link to an issued document, valid for `days` days.
    pub async fn create_link(&self, stored: &StoredDocument, days: u16, change: &Change) -> Result<LinkOutcome, BillingError> {
        if !(1..=MOST_LINK_DAYS).contains(&days) {
            return Err(BillingError::Invalid { field: "valid_days", problem: format!("must be at most {MOST_LINK_DAYS}") });
        }
        let document = &stored.document;
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        account_lock::lock(connection, self.store().dialect(), &document.account).await?;
        let asked = change.asked(&["link", &days.to_string()]);
        if Self::note(connection, &format!("links of {}", document.number), &asked, change).await? == Applied::Before {
            let link = find(connection, stored.id, Origin::Request(&change.request_id)).await?;
            return Ok(link.map_or(LinkOutcome::NotFound, |link| LinkOutcome::Done(Applied::Before, link)));
        }
        let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM document_links \
                   WHERE document = $1 AND mail = '' AND revoked_at = 0 AND expires_at > $2";
        let working: i64 = sqlx::query(sql).bind(stored.id).bind(change.at.get()).fetch_one(&mut *connection).await?.try_get(0)?;
        if working >= MOST_LINKS {
            return Ok(LinkOutcome::TooMany);
        }
        let link = DocumentLink {
            id: new_id(),
            document: stored.id,
            number: document.number.clone(),
            account: document.account.clone(),
            mail: String::new(),
            created_by: change.actor.clone(),
            created_at: change.at,
            expires_at: change.at + Millis::from(days) * DAY,
            revoked_at: UnixMillis::NONE,
        };
        put(connection, &link, &change.request_id).await?;
        let act = Act::of("link.created", change).on(&link.account).with("number", link.number.as_str()).with("link", link.id.as_str());
        let act = act.with("valid_days", days);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(LinkOutcome::Done(Applied::Now, link))
    }

    /// The link in a mail about a document: that which an earlier try of the mail had, if it still works; its days begin anew.
    pub async fn link_of_mail(&self, mail: &Mail, days: u16, now: UnixMillis) -> Result<DocumentLink, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        account_lock::lock(connection, self.store().dialect(), &mail.account).await?;
        let known = find(connection, mail.document, Origin::Mail(&mail.id)).await?;
        let expires_at = now + Millis::from(days) * DAY;
        if let Some(known) = known.filter(|link| link.works(now)) {
            let sql = "UPDATE document_links SET expires_at = $1 WHERE id = $2";
            sqlx::query(sql).bind(expires_at.get()).bind(known.id.clone()).execute(&mut *connection).await?;
            transaction.commit().await?;
            return Ok(DocumentLink { expires_at, ..known });
        }
        let link = DocumentLink {
            id: new_id(),
            document: mail.document,
            number: mail.number.clone(),
            account: mail.account.clone(),
            mail: mail.id.clone(),
            created_by: String::new(),
            created_at: now,
            expires_at,
            revoked_at: UnixMillis::NONE,
        };
        put(connection, &link, &"".into()).await?;
        transaction.commit().await?;
        Ok(link)
    }

    /// Revokes a link: from now on it opens nothing.
    pub async fn revoke_link(&self, id: &str, change: &Change) -> Result<LinkOutcome, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let Some(link) = find_by_id(connection, id).await? else { return Ok(LinkOutcome::NotFound) };
        account_lock::lock(connection, self.store().dialect(), &link.account).await?;
        let asked = change.asked(&["revoke", id]);
        if Self::note(connection, &format!("links of {}", link.number), &asked, change).await? == Applied::Before {
            return Ok(LinkOutcome::Done(Applied::Before, link));
        }
        let sql = "UPDATE document_links SET revoked_at = $1 WHERE id = $2 AND revoked_at = 0";
        sqlx::query(sql).bind(change.at.max(UnixMillis::new(1)).get()).bind(id.to_owned()).execute(&mut *connection).await?;
        let act = Act::of("link.revoked", change).on(&link.account).with("number", link.number.as_str()).with("link", id);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        let link = find_by_id(connection, id).await?;
        transaction.commit().await?;
        Ok(link.map_or(LinkOutcome::NotFound, |link| LinkOutcome::Done(Applied::Now, link)))
    }

    /// The link with that id; `None` if there is none.
    pub async fn link(&self, id: &str) -> Result<Option<DocumentLink>, BillingError> {
        find_by_id(&mut *self.store().pool().acquire().await?, id).await
    }

    /// The newest links of a document, the newest first.
    pub async fn links_of(&self, document: i64) -> Result<Vec<DocumentLink>, BillingError> {
        let sql = "SELECT document_links.*, issued.number FROM document_links JOIN issued ON issued.document = document_links.document \
                   WHERE document_links.document = $1 ORDER BY document_links.created_at DESC, document_links.id DESC LIMIT $2";
        let rows = sqlx::query(sql).bind(document).bind(LISTED).fetch_all(self.store().pool()).await?;
        rows.iter().map(DocumentLink::read).collect()
    }

    /// The document that a link opens now. `None` says nothing of why there is none.
    pub async fn linked_document(&self, token: &str, now: UnixMillis) -> Result<Option<(DocumentLink, StoredDocument)>, BillingError> {
        let Some(id) = self.link_key().await?.id_of(token) else { return Ok(None) };
        let Some(link) = self.link(&id).await?.filter(|link| link.works(now)) else { return Ok(None) };
        let stored = self.document_of_id(link.document, None).await?;
        let is_shown = stored.state == DocumentState::Issued && stored.is_kept && stored.document.account == link.account;
        Ok(is_shown.then_some((link, stored)))
    }

    /// The address of a link; `None` if nobody has said where links are opened.
    pub async fn link_url(&self, link: &DocumentLink) -> Result<Option<String>, BillingError> {
        let Some(url) = &self.settings().public_url else { return Ok(None) };
        Ok(self.link_key().await?.token(&link.id).map(|token| format!("{url}/d/{token}")))
    }

    /// The key that links are signed with. The first that needs it makes it.
    async fn link_key(&self) -> Result<LinkKey, BillingError> {
        let sql = "SELECT key FROM link_keys WHERE issuer = $1";
        let mut connection = self.store().pool().acquire().await?;
        if sqlx::query(sql).bind(MAIN).fetch_optional(&mut *connection).await?.is_none() {
            let made = URL_SAFE_NO_PAD.encode(rand::random::<[u8; KEY_BYTES]>());
            let write = "INSERT INTO link_keys (issuer, key) VALUES ($1, $2) ON CONFLICT (issuer) DO NOTHING";
            sqlx::query(write).bind(MAIN).bind(made).execute(&mut *connection).await?;
        }
        let key: String = sqlx::query(sql).bind(MAIN).fetch_one(&mut *connection).await?.try_get(0)?;
        let key = URL_SAFE_NO_PAD.decode(key).ok().and_then(|key| key.try_into().ok());
        key.map(LinkKey).ok_or_else(|| BillingError::corrupt("the key of links"))
    }
}

/// Begins with a letter: a dash would make it an option of a command line.
fn new_id() -> String {
    let mut bytes = rand::random::<[u8; ID_BYTES]>();
    bytes[0] &= 0x7f;
    URL_SAFE_NO_PAD.encode(bytes)
}

async fn put(connection: &mut AnyConnection, link: &DocumentLink, request_id: &RequestId) -> Result<(), BillingError> {
    let sql = "INSERT INTO document_links (id, document, account, mail, request_id, created_by, created_at, expires_at, revoked_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)";
    let DocumentLink { id, document, account, mail, created_by, created_at, expires_at, .. } = link.clone();
    let query = sqlx::query(sql).bind(id).bind(document).bind(account.into_string()).bind(mail).bind(request_id.to_string());
    query.bind(created_by).bind(created_at.get()).bind(expires_at.get()).execute(connection).await?;
    Ok(())
}

/// What a link was made by.
#[derive(Clone, Copy)]
enum Origin<'a> {
    Request(&'a str),
    Mail(&'a str),
}

/// The newest link of a document that was made by something.
async fn find(connection: &mut AnyConnection, document: i64, origin: Origin<'_>) -> Result<Option<DocumentLink>, BillingError> {
    let (column, value) = match origin {
        Origin::Request(id) => ("request_id", id),
        Origin::Mail(id) => ("mail", id),
    };
    let sql = format!(
        "SELECT document_links.*, issued.number FROM document_links JOIN issued ON issued.document = document_links.document \
         WHERE document_links.document = $1 AND document_links.{column} = $2 ORDER BY document_links.created_at DESC LIMIT 1"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(document).bind(value.to_owned()).fetch_optional(connection).await?;
    row.as_ref().map(DocumentLink::read).transpose()
}

async fn find_by_id(connection: &mut AnyConnection, id: &str) -> Result<Option<DocumentLink>, BillingError> {
    let sql = "SELECT document_links.*, issued.number FROM document_links JOIN issued ON issued.document = document_links.document \
               WHERE document_links.id = $1";
    let row = sqlx::query(sql).bind(id.to_owned()).fetch_optional(connection).await?;
    row.as_ref().map(DocumentLink::read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_known_by_its_signature_and_by_nothing_else() {
        let (key, other) = (LinkKey([7; KEY_BYTES]), LinkKey([8; KEY_BYTES]));
        let id = new_id();
        let token = key.token(&id).unwrap();
        assert_eq!(key.id_of(&token), Some(id.clone()));
        assert_eq!(other.id_of(&token), None);
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(key.id_of(std::str::from_utf8(&bytes).unwrap()), None, "{place}");
        }
        let longer = format!("{token}AAAA");
        for wrong in ["", "A", &id, &token[..63], &longer, "not/base64"] {
            assert_eq!(key.id_of(wrong), None, "{wrong}");
        }
        assert_eq!((key.token(""), key.token("AAAA")), (None, None));
    }

    #[test]
    fn an_id_is_never_taken_for_an_option_of_a_command_line() {
        for id in (0..1000).map(|_| new_id()) {
            assert!(id.starts_with(|first: char| first.is_ascii_alphabetic()), "{id}");
        }
    }
}
