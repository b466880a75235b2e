//! The pictures of issuers: checked when they are set, kept once each, and given to documents that are looked at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sqlx::Row;

use super::document::{Issuer, Logo};
use super::{Billing, BillingError, rendering};

/// The largest file.
pub const MOST_BYTES: usize = 256 * 1024;

/// The most pixels along each side.
pub const MOST_PIXELS: u32 = 2000;

/// An error in a picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// The file.
    #[error("must be at most 256 KiB, and has {0} bytes")]
    TooLarge(usize),
    /// Its width and height.
    #[error("must be at most 2,000 x 2,000 pixels, and has {0} x {1}")]
    TooManyPixels(u32, u32),
    /// The kind of file, or its state.
    #[error("must be a PNG or JPEG file that PDFs can hold: {0}")]
    Unreadable(String),
}

impl Logo {
    /// Reads a file. It is tried out: what could not be printed is refused here.
    pub fn read(content: Vec<u8>) -> Result<Self, LogoError> {
        if content.len() > MOST_BYTES {
            return Err(LogoError::TooLarge(content.len()));
        }
        let media_type = match content.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            _ => return Err(LogoError::Unreadable("it begins like neither".to_owned())),
        };
        let digest = blake3::hash(&content).to_hex().to_string();
        let mut logo = Self { digest, media_type: media_type.to_owned(), width: 0, height: 0, content };
        (logo.width, logo.height) = rendering::picture_size(&logo).map_err(LogoError::Unreadable)?;
        if logo.width > MOST_PIXELS || logo.height > MOST_PIXELS || logo.width == 0 || logo.height == 0 {
            return Err(LogoError::TooManyPixels(logo.width, logo.height));
        }
        rendering::try_picture(&logo).map_err(LogoError::Unreadable)?;
        Ok(logo)
    }

    /// The content in base64.
    #[must_use]
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.content)
    }
}

impl Billing {
    /// Keeps the picture of an issuer, if there is one.
    pub(super) async fn keep_logo(&self, issuer: &Issuer) -> Result<(), BillingError> {
        let Some(logo) = issuer.logo.as_ref() else { return Ok(()) };
        let sql = "INSERT INTO logos (digest, media_type, content) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING";
        let query = sqlx::query(sql).bind(logo.digest.clone()).bind(logo.media_type.clone()).bind(logo.base64());
        query.execute(self.store().pool()).await?;
        Ok(())
    }

    /// Loads the picture of an issuer, if there is one: what prints the issuer needs it, and lists do not.
    pub async fn load_logo(&self, issuer: &mut Issuer) -> Result<(), BillingError> {
        let Some(logo) = issuer.logo.as_mut() else { return Ok(()) };
        let query = sqlx::query("SELECT content FROM logos WHERE digest = $1").bind(logo.digest.clone());
        let Some(row) = query.fetch_optional(self.store().pool()).await? else {
            return Err(BillingError::corrupt(format!("the logo {} is not there", logo.digest)));
        };
        logo.content = STANDARD.decode(row.try_get::<String, _>("content")?).map_err(BillingError::corrupt)?;
        if blake3::hash(&logo.content).to_hex().as_str() != logo.digest {
            return Err(BillingError::corrupt(format!("the logo {} has another digest", logo.digest)));
        }
        Ok(())
    }
}
