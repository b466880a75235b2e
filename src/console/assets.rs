//! Style and script, compiled in. Their addresses name their content, so that browsers keep them for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest, Sha256};

use super::failure::Failure;

/// A file.
pub struct Asset {
    /// Its address.
    pub url: String,
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

/// The style of all pages.
pub static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console.css", "text/css; charset=utf-8", include_bytes!("assets/console.css")));

/// htmx, as it was published. Its licence is beside it.
pub static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("htmx.min.js", "text/javascript; charset=utf-8", include_bytes!("assets/htmx.min.js")));

/// What keeps parts of pages up to date.
pub static LIVE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("live.js", "text/javascript; charset=utf-8", include_bytes!("assets/live.js")));

/// The picture of the tab.
pub static ICON: LazyLock<Asset> = LazyLock::new(|| Asset::new("icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg")));

impl Asset {
    fn new(name: &'static str, media_type: &'static str, content: &'static [u8]) -> Self {
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(content));
        let digest = digest.get(..12).unwrap_or_default();
        Self { url: format!("/assets/{name}?{digest}"), name, media_type, content }
    }
}

/// Sends a file.
pub async fn send(Path(name): Path<String>) -> Result<Response, Failure> {
    let asset = [&*STYLE, &*SCRIPT, &*LIVE, &*ICON].into_iter().find(|asset| asset.name == name).ok_or_else(Failure::not_found)?;
    let headers = [(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.content).into_response())
}

#[cfg(test)]
mod tests {
    /// A browser leaves out what follows on a block that was not closed, and says nothing.
    #[test]
    fn every_block_of_the_style_sheet_is_closed() {
        let mut depth = 0;
        for (index, line) in include_str!("assets/console.css").lines().enumerate() {
            let deepest = if line.starts_with(['.', '@', ':', '#', '/']) { 0 } else { 2 };
            assert!(depth <= deepest, "line {}: a block before it is open: {line}", index + 1);
            depth += line.matches('{').count();
            depth -= line.matches('}').count();
        }
        assert_eq!(depth, 0);
    }
}
