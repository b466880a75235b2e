//! The permissions of a user or a caller, in forms and lists.

use crate::fields::{FieldReader, Fields};
use crate::locale::Locale;
use access::Permissions;
use access::file::GrantEntry;

/// How many accounts somebody can be bound to, and how many characters their ids have.
const MOST_ACCOUNTS: usize = 1_000;
const LONGEST_ID: usize = 128;

/// A role that can be given.
pub struct Role {
    pub name: String,
    /// What it is for.
    pub help: String,
    /// Whether it is ticked.
    pub is_ticked: bool,
}

/// The roles of a form.
#[must_use]
pub fn roles(locale: &Locale, known: Vec<(String, Permissions)>, fields: &Fields) -> Vec<Role> {
    let of = |(name, permissions): (String, Permissions)| {
        let key = format!("role-{name}");
        let text = locale.text(&key);
        let help = if text == key { permissions.to_string() } else { text };
        Role { is_ticked: fields.all("role").any(|role| role == name), help, name }
    };
    known.into_iter().map(of).collect()
}

/// A form with what somebody may do.
#[must_use]
pub fn filled(mut fields: Fields, grant: &GrantEntry) -> Fields {
    for role in &grant.roles {
        fields = fields.and("role", role);
    }
    let accounts = grant.accounts.as_ref().map(|ids| ids.join("\n")).unwrap_or_default();
    fields.with("accounts", accounts).with("for-others", if grant.acts_for_others { "yes" } else { "" })
}

/// Reads what somebody may do. What the form does not show stays as it was before.
pub fn read(reader: &mut FieldReader, fields: &Fields, before: GrantEntry) -> GrantEntry {
    let roles: Vec<String> = fields.all("role").map(ToOwned::to_owned).collect();
    if roles.is_empty() {
        reader.refuse("role", "wrong-none-chosen");
    }
    let accounts = reader.lines("accounts", MOST_ACCOUNTS, LONGEST_ID);
    let acts_for_others = reader.is_ticked("for-others");
    GrantEntry { roles, accounts: Some(accounts).filter(|ids| !ids.is_empty()), acts_for_others, ..before }
}

/// The accounts of a list's row; empty for all.
#[must_use]
pub fn accounts<'a>(grants: impl IntoIterator<Item = &'a GrantEntry>) -> String {
    let bound: Option<Vec<String>> = grants.into_iter().map(|grant| grant.accounts.as_ref().map(|ids| ids.join(" "))).collect();
    bound.map(|ids| ids.join(" ")).unwrap_or_default()
}

/// The most that somebody may do at once: a permission and the amounts each.
#[must_use]
pub fn bounds(locale: &Locale, grant: &GrantEntry) -> Vec<(String, String)> {
    let amounts = |by_currency: &std::collections::BTreeMap<String, String>| {
        by_currency.iter().map(|(currency, amount)| format!("{}\u{a0}{currency}", locale.decimal(amount))).collect::<Vec<_>>().join(", ")
    };
    grant.most.iter().map(|(permission, most)| (permission.clone(), amounts(most))).collect()
}
