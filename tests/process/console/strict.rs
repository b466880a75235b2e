//! A service whose console requires a second factor.

use std::path::Path;

use super::{console_url, link, until_users_are_kept};
use crate::service::Service;

/// The service, and how to get into its console.
pub struct Strict {
    pub url: String,
    pub store: String,
    _service: Service,
}

impl Strict {
    /// Opens it in a folder.
    pub async fn open(folder: &Path) -> Self {
        let store = folder.join("strict.db").display().to_string();
        let service = Service::start(&["--store", &store, "--console", "127.0.0.1:0", "--require-second-factor"], &[]);
        let url = console_url(&service).await;
        until_users_are_kept(&service).await;
        for (name, role) in [("boss", "admin"), ("frida", "read")] {
            link(&store, &url, name, &["--role", role]);
        }
        Self { url, store, _service: service }
    }
}
