//! Item names by code and language, kept in the billing store for each issuer.
//!
//! A name holds for documents that are issued from then on; issued ones keep theirs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{AnyConnection, Row};

use super::audit::Act;
use super::change::Applied;
use super::change::Change;
use super::issuer::{Setting, Statement};
use super::store::Store;
use super::store::rows::{Table, Type};
use super::{Billing, BillingError};

/// What an item is called in a language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemName {
    /// The item, as charges name it.
    pub item: String,
    /// Empty: of all languages that have no name of their own.
    pub language: String,
    pub name: String,
}

/// The names of some items, by item and language.
#[derive(Debug, Default)]
pub(super) struct ItemNames(HashMap<(String, String), String>);

const NAMES: Table = Table { name: "item_names", columns: &[("issuer", Type::Text), ("item", Type::Text)], on_conflict: "" };

impl ItemNames {
    /// What those of these items that have a name are called in a language; empty if it is not said, and English.
    pub fn of<'a>(&self, language: &str, items: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
        if self.0.is_empty() {
            return BTreeMap::new();
        }
        let language = if language.is_empty() { "en" } else { language };
        let find = |item: &str, language: &str| self.0.get(&(item.to_owned(), language.to_owned())).cloned();
        items.filter_map(|item| Some((item.to_owned(), find(item, language).or_else(|| find(item, ""))?))).collect()
    }
}

impl Billing {
    /// Sets what an item is called.
    pub async fn set_item(&self, issuer: &str, name: &ItemName, change: &Change) -> Result<Applied, BillingError> {
        let write = "INSERT INTO item_names (issuer, item, language, name) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (issuer, item, language) DO UPDATE SET name = excluded.name";
        let query = sqlx::query(write).bind(issuer.to_owned()).bind(name.item.clone()).bind(name.language.clone());
        let setting = Setting {
            subject: format!("issuer {issuer}"),
            asked: change.asked(&["item", &name.item, &name.language, &name.name]),
            act: of_item("item.set", &name.item, &name.language, change).with("after", name.name.clone()),
            before: called(issuer, &name.item, &name.language),
            default: serde_json::Value::Null,
            account: None,
        };
        self.change(setting, change, query.bind(name.name.clone())).await
    }

    /// Removes the name of an item in a language, if it had one.
    pub async fn delete_item(&self, issuer: &str, item: &str, language: &str, change: &Change) -> Result<Applied, BillingError> {
        let query = sqlx::query("DELETE FROM item_names WHERE issuer = $1 AND item = $2 AND language = $3");
        let query = query.bind(issuer.to_owned()).bind(item.to_owned()).bind(language.to_owned());
        let setting = Setting {
            subject: format!("issuer {issuer}"),
            asked: change.asked(&["no item", item, language]),
            act: of_item("item.deleted", item, language, change),
            before: called(issuer, item, language),
            default: serde_json::Value::Null,
            account: None,
        };
        self.change(setting, change, query).await
    }

    /// Names, by item and language, after the given ones.
    pub async fn item_names(&self, issuer: &str, after: Option<&(String, String)>, count: usize) -> Result<Vec<ItemName>, BillingError> {
        let sql = "SELECT item, language, name FROM item_names WHERE issuer = $1 AND (item, language) > ($2, $3) \
                   ORDER BY item, language LIMIT $4";
        let (item, language) = after.cloned().unwrap_or_default();
        let query = sqlx::query(sql).bind(issuer.to_owned()).bind(item).bind(language).bind(i64::try_from(count).unwrap_or(i64::MAX));
        let rows = query.fetch_all(self.store().pool()).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(ItemName { item: row.try_get("item")?, language: row.try_get("language")?, name: row.try_get("name")? })
        };
        rows.iter().map(read).collect()
    }
}

fn of_item(action: &str, item: &str, language: &str, change: &Change) -> Act {
    Act::of(action, change).with("item", item).with("language", language)
}

/// Finds what an item is called.
fn called(issuer: &str, item: &str, language: &str) -> Statement<'static> {
    let sql = "SELECT name FROM item_names WHERE issuer = $1 AND item = $2 AND language = $3";
    sqlx::query(sql).bind(issuer.to_owned()).bind(item.to_owned()).bind(language.to_owned())
}

/// The names of these items, in all languages.
pub(super) async fn names(
    connection: &mut AnyConnection,
    store: &Store,
    issuer: &str,
    items: &BTreeSet<&str>,
) -> Result<ItemNames, BillingError> {
    let keys: Vec<_> = items.iter().map(|item| vec![issuer.into(), (*item).into()]).collect();
    let mut names = HashMap::new();
    for row in NAMES.find(connection, store.dialect(), "item, language, name", &keys).await? {
        names.insert((row.try_get("item")?, row.try_get("language")?), row.try_get("name")?);
    }
    Ok(ItemNames(names))
}
