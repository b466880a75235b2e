//! The accounts of a caller that is bound to some, as a condition of SQL.

/// Ids of accounts, and beginnings of ids, which end in `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    ids: Vec<String>,
    beginnings: Vec<String>,
}

impl Scope {
    /// Of ids and beginnings.
    pub fn new<'a>(accounts: impl IntoIterator<Item = &'a str>) -> Self {
        let (beginnings, ids) = accounts.into_iter().map(str::to_owned).partition(|account| account.ends_with('/'));
        Self { ids, beginnings }
    }

    /// The condition that a column is one of the accounts. `place` takes a value, and returns what stands for it in the statement.
    pub fn condition(&self, column: &str, mut place: impl FnMut(String) -> String) -> String {
        let mut listed = |values: &[String], left: &str, right: &str| {
            let places: Vec<_> = values.iter().map(|value| format!("{left}{}{right}", place(value.clone()))).collect();
            places.join(", ")
        };
        let mut conditions = Vec::new();
        if !self.ids.is_empty() {
            conditions.push(format!("{column} IN ({})", listed(&self.ids, "", "")));
        }
        if !self.beginnings.is_empty() {
            // A list of values and no chain of OR, of which SQLite takes no thousand.
            let values = listed(&self.beginnings, "(CAST(", " AS TEXT))");
            conditions.push(format!(
                "EXISTS (SELECT 1 FROM (VALUES {values}) AS bounds WHERE substr({column}, 1, length(bounds.column1)) = bounds.column1)"
            ));
        }
        if conditions.is_empty() { "1 = 0".to_owned() } else { format!("({})", conditions.join(" OR ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_is_bound_to_is_a_condition_with_values_and_no_text_in_it() {
        let mut values = Vec::new();
        let condition = Scope::new(["acme", "partner-7/"]).condition("account", |value| {
            values.push(value);
            format!("${}", values.len())
        });
        assert_eq!(values, ["acme", "partner-7/"]);
        assert_eq!(
            condition,
            "(account IN ($1) OR EXISTS (SELECT 1 FROM (VALUES (CAST($2 AS TEXT))) AS bounds \
             WHERE substr(account, 1, length(bounds.column1)) = bounds.column1))"
        );
        assert_eq!(Scope::new([]).condition("account", |value| value), "1 = 0");
    }
}
