//! What a caller may do, as it is written: in the access file, in the billing store, in a change of either. A field that is not known is
//! refused, because it may be a bound: without it, the caller could do more than was meant.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The permissions of a caller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantEntry {
    pub roles: Vec<String>,
    /// The accounts that it is bound to: exact ids, or beginnings that end in `/`. Without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<String>>,
    /// Whether it may name a person on whose behalf it acts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub acts_for_others: bool,
    /// The most in one act: by permission, then by currency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub most: BTreeMap<String, BTreeMap<String, String>>,
    /// How many requests it may send a second. Without it, the service's setting holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<NonZeroU32>,
    /// How many calls it may have at once. Without it, the service's setting holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_calls: Option<NonZeroU32>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}
