//! Callers of the billing store, as the ledger's store has a copy of them: who may call is known, then, without SQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::file::{AccessFile, CertificateEntry, KeyEntry, Registry};
use super::share::Shares;
use domain::account::Currency;
use domain::approval::GuardedAct;
use domain::money::DecimalAmount;

/// Figures, as decimals: by act, then by currency.
pub type FigureEntries = BTreeMap<String, BTreeMap<String, String>>;

/// The copy: those who are let in now.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct StoredCallers {
    /// API keys.
    #[serde(deserialize_with = "understood")]
    pub keys: Vec<KeyEntry>,
    /// Client certificates.
    #[serde(deserialize_with = "understood")]
    pub certificates: Vec<CertificateEntry>,
    /// From which figures on an act needs a second person.
    #[serde(default)]
    pub approval_above: FigureEntries,
    /// Whether nobody was ever named there, so that everybody is let in, unless an access file names somebody.
    pub is_open: bool,
}

/// Reads a list, but for what a later version has written and this one does not understand: that lets nobody in here, and keeps out nobody
/// else.
fn understood<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let read = |entry: Value| {
        let name = entry.get("name").cloned().unwrap_or_default();
        let read = serde_json::from_value(entry);
        read.inspect_err(|error| tracing::warn!("the caller {name} of the billing store is not understood, and let in nowhere: {error}"))
            .ok()
    };
    Ok(Vec::<Value>::deserialize(deserializer)?.into_iter().filter_map(read).collect())
}

impl StoredCallers {
    /// The list of a store that names nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self { is_open: true, ..Self::default() }
    }

    /// From which figure on an act in a currency needs a second person; `None` means never. One that cannot be read is 0.
    pub(crate) fn approval_above(&self, act: GuardedAct, currency: Currency) -> Option<DecimalAmount> {
        let figure = self.approval_above.get(act.name())?.get(currency.code())?;
        Some(DecimalAmount::parse(figure).unwrap_or(DecimalAmount::ZERO))
    }

    /// Adds them to whom a file names. What the file says of a caller goes before. One whose role is not known here is not let in.
    pub(crate) fn add_to(&self, registry: &mut Registry, file: &AccessFile, shares: &Shares) -> anyhow::Result<()> {
        let roles = file.roles()?;
        for entry in self.keys.iter().filter(|entry| !file.revoked.contains(&entry.id)) {
            match entry.understand(&roles, shares) {
                Ok(mut key) => {
                    key.used = Some(AtomicBool::new(false));
                    registry.keys.entry(entry.id.clone()).or_insert(key);
                }
                Err(error) => tracing::warn!(key = entry.name, "a key of the billing store is not accepted: {error:#}"),
            }
        }
        for entry in &self.certificates {
            match entry.understand(&roles, shares) {
                Ok(caller) => drop(registry.certificates.entry(entry.name.clone()).or_insert_with(|| Arc::clone(&caller))),
                Err(error) => tracing::warn!(certificate = entry.name, "a certificate of the billing store is not accepted: {error:#}"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_of_a_later_version_is_let_in_nowhere_and_keeps_out_nobody_else() {
        let key = |name: &str, more: &str| format!(r#"{{"name":"{name}","id":"{name}","digest":"sha256:a","roles":["read"]{more}}}"#);
        let text =
            format!(r#"{{"keys":[{},{}],"certificates":[],"is_open":false}}"#, key("old", ""), key("new", r#","networks":["10/8"]"#));
        let copy: StoredCallers = serde_json::from_str(&text).unwrap();
        assert_eq!(copy.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["old"]);
    }
}
