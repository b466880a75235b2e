//! The lines of a document: totals and refunds as items, and where they stand.

use rust_decimal::Decimal;

use super::{Refund, Subject, Total};
use crate::document::Item;
use domain::account::Category;
use domain::money::Units;

impl Total {
    pub(super) fn line(&self, decimals: u8) -> Item {
        let Subject { category, item, unit, quantity, description } = self.subject.clone();
        Item {
            category: category_name(category).to_owned(),
            item,
            name: String::new(),
            unit_price: self.unit_price.map_or_else(String::new, |price| in_currency(price, decimals)),
            description,
            quantity,
            unit,
            count: self.count,
            amount: self.amount,
            first_use: self.first_at,
            last_use: self.last_at,
        }
    }
}

impl Refund {
    /// On a credit note: what is given back is above zero.
    pub(super) fn line_of_note(&self) -> Item {
        let (subject, amount, time) = (self.subject.clone(), self.amount, self.time);
        Total { kind: self.kind, subject, amount, count: 1, unit_price: None, first_at: time, last_at: time }.line(0)
    }

    pub(super) fn line(&self) -> Item {
        let Subject { category, item, unit, quantity, description } = self.subject.clone();
        let quantity = if quantity.is_empty() || quantity == "0" { quantity } else { format!("-{quantity}") };
        Item {
            category: category_name(category).to_owned(),
            item,
            name: String::new(),
            unit_price: String::new(),
            description,
            quantity,
            unit,
            count: 1,
            amount: -self.amount,
            first_use: self.time,
            last_use: self.time,
        }
    }
}

/// A price in units of the account as a decimal of the currency.
fn in_currency(mut price: Decimal, decimals: u8) -> String {
    let scale = price.scale() + u32::from(decimals);
    // A price that has no decimal is not said.
    if price.set_scale(scale).is_err() { String::new() } else { price.normalize().to_string() }
}

/// Adds a refund to the line of the refunds of its item.
pub(super) fn merge(lines: &mut Vec<Item>, refund: Item) {
    let is_same = |line: &&mut Item| line.amount < Units::ZERO && place(line) == place(&refund);
    match lines.iter_mut().find(is_same) {
        Some(line) => {
            if !refund.description.is_empty() {
                line.description = refund.description;
            }
            line.count += refund.count;
            line.amount += refund.amount;
            line.first_use = line.first_use.min(refund.first_use);
            line.last_use = line.last_use.max(refund.last_use);
            line.quantity = add_quantities(&line.quantity, &refund.quantity);
        }
        None => lines.push(refund),
    }
}

/// The sum of two decimals; empty counts as nothing. What is no decimal, or too large to add, is not said.
#[must_use]
pub fn add_quantities(left: &str, right: &str) -> String {
    if left.is_empty() || right.is_empty() {
        return if left.is_empty() { right.to_owned() } else { left.to_owned() };
    }
    let parse = |text: &str| rust_decimal::Decimal::from_str_exact(text).ok();
    let sum = parse(left).zip(parse(right)).and_then(|(left, right)| left.checked_add(right));
    sum.map(|sum| sum.normalize().to_string()).unwrap_or_default()
}

/// Where a line stands on the page: by category, item and unit, refunds behind charges.
pub(super) fn place(item: &Item) -> (usize, &str, &str, bool) {
    let category = CATEGORIES.iter().position(|name| *name == item.category).unwrap_or(CATEGORIES.len());
    (category, &item.item, &item.unit, item.amount < Units::ZERO)
}

/// The names of the categories, in the order of their numbers.
pub const CATEGORIES: [&str; 4] = ["usage", "subscription", "hardware", "service"];

/// The name of a category on a document; what was not said is usage.
#[must_use]
pub fn category_name(category: Option<Category>) -> &'static str {
    match category {
        None | Some(Category::Usage) => "usage",
        Some(Category::Subscription) => "subscription",
        Some(Category::Hardware) => "hardware",
        Some(Category::Service) => "service",
    }
}
