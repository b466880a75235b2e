//! Who did what: each act leaves one record, and no record is changed unnoticed.

mod acts;
mod refusals;
mod users;

use serde_json::{Value, json};

use crate::access::callers::House;

/// All audit records that a caller is shown, the first first.
pub async fn records(house: &House, key: &str, filter: Value) -> Vec<Value> {
    let mut request = filter;
    let mut found = Vec::new();
    loop {
        request["pageSize"] = json!(7);
        let page = house.done(key, "AuditService/ListAuditRecords", request.clone()).await;
        found.extend(page["records"].as_array().cloned().unwrap_or_default());
        match page["nextPageToken"].as_str() {
            Some(token) if !token.is_empty() => request["pageToken"] = json!(token),
            _ => break,
        }
    }
    found.reverse();
    found
}

/// A field of a record that is itself JSON.
pub fn inner(record: &Value, field: &str) -> Value {
    serde_json::from_str(record[field].as_str().unwrap_or("null")).unwrap()
}
