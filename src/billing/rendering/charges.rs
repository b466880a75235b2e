//! The tables of a page model: items by category, and the sums below them.

use super::amounts::{Denomination, digits_behind_point, grouped};
use super::dates::Dates;
use super::page_model::{Group, Line, Part, Sum, Table, Weight};
use super::texts::Texts;
use super::texts::clean;
use crate::document::{Adjustment, Document, DocumentKind, Item, OpenInvoice, Wallet};
use crate::tax::TaxLine;
use domain::money::Units;
use domain::time::UnixMillis;

/// How a line describes what no entry is known of.
const NOT_ITEMIZED: &str = "not itemized";

/// Blanks as wide as a digit, and as a point.
const DIGIT_BLANK: &str = "\u{2007}";
const POINT_BLANK: &str = "\u{2008}";

/// A price with at least the digits of the minor unit behind its point, and room for those that others in its column have.
fn price_of(price: &str, least: usize, most: usize) -> String {
    if price.is_empty() {
        return String::new();
    }
    let digits = digits_behind_point(price);
    let zeros = least.saturating_sub(digits);
    let point = if zeros > 0 && digits == 0 { "." } else { "" };
    let blank_point = if digits + zeros == 0 && most > 0 { POINT_BLANK } else { "" };
    let blanks = DIGIT_BLANK.repeat(most.saturating_sub(digits + zeros));
    format!("{}{blank_point}{blanks}", grouped(&format!("{price}{point}{}", "0".repeat(zeros))))
}

/// Sets items and sums of one document.
pub(super) struct Charges<'a> {
    pub(super) document: &'a Document,
    pub(super) money: &'a Denomination,
    pub(super) dates: &'a Dates<'a>,
    pub(super) texts: &'a Texts,
}

impl Charges<'_> {
    /// What there is to buy, and what follows from it.
    pub(super) fn to_pay(&self, heading: &str) -> Part {
        let document = self.document;
        let column = self.money.digits_for(document.items.iter().map(|item| item.amount).chain([
            document.items_total,
            document.rounding,
            document.brought_forward,
        ]));
        let table = self.table(&document.items, column, |amount| amount);
        self.part(heading, "", table, self.sums_to_pay(column))
    }

    fn sums_to_pay(&self, column: usize) -> Vec<Sum> {
        let document = self.document;
        let charged = document.charged();
        let mut sums = Vec::new();
        if !document.rounding.is_zero() {
            let minor_unit = 10_i64.pow(u32::from(document.decimals.saturating_sub(document.minor_digits)));
            let label = self.texts.with("rounding-to", &[("amount", &self.texts.number(&self.money.shown(Units::new(minor_unit))))]);
            sums.push(Sum {
                label: self.texts.text("sum-of-items"),
                amount: self.money.line(document.items_total, column),
                weight: Weight::Plain,
            });
            sums.push(Sum { label, amount: self.money.line(document.rounding, column), weight: Weight::Plain });
        }
        if document.brought_forward.is_zero() {
            sums.push(self.total("total", document.total, column, Weight::Strong));
            sums.extend(self.tax(&document.taxes, column));
        } else {
            sums.push(self.total("charges-of-bill", charged, column, Weight::Plain));
            sums.extend(self.tax(&document.taxes, column));
            // Its charges, and the tax in them, are printed where they are listed.
            let listed = match (document.deducted.is_empty(), document.adjustments.is_empty()) {
                (false, _) => "brought-forward-part-2",
                (true, false) => "brought-forward-corrections",
                (true, true) => "brought-forward",
            };
            sums.push(self.total(listed, document.brought_forward, column, Weight::Plain));
            sums.push(self.total("total", document.total, column, Weight::Strong));
        }
        if !document.credit_applied.is_zero() {
            sums.push(self.total("paid-by-credit-before", -document.credit_applied, column, Weight::Plain));
        }
        sums.push(self.total("amount-to-pay", document.amount_to_pay, column, Weight::Strong));
        sums
    }

    /// What is given back. A credit note says how much is credited, whichever sign the items have.
    pub(super) fn credited(&self, heading: &str) -> Part {
        let document = self.document;
        let sign = if document.total < Units::ZERO { -1 } else { 1 };
        let column = self.money.digits_for(document.items.iter().map(|item| item.amount).chain([document.total]));
        let table = self.table(&document.items, column, |amount| sign * amount);
        let mut sums = Vec::new();
        if !document.rounding.is_zero() {
            sums.push(Sum {
                label: self.texts.text("rounding"),
                amount: self.money.line(sign * document.rounding, column),
                weight: Weight::Plain,
            });
        }
        sums.push(self.total("total-credited", sign * document.total, column, Weight::Strong));
        sums.extend(self.tax(&document.taxes, column));
        self.part(heading, "", table, sums)
    }

    /// What was already taken from the balance.
    pub(super) fn deducted(&self, heading: &str, introduction: &str) -> Part {
        let items = &self.document.deducted;
        let sum = items.iter().fold(Units::ZERO, |sum, item| sum.saturating_add(item.amount));
        let column = self.money.digits_for(items.iter().map(|item| item.amount).chain([sum]));
        let mut sums = vec![self.total("total-deducted", sum, column, Weight::Strong)];
        let taxes = if self.document.kind == DocumentKind::Statement { &self.document.taxes } else { &self.document.deducted_taxes };
        sums.extend(self.tax(taxes, column));
        self.part(heading, introduction, self.table(items, column, |amount| amount), sums)
    }

    /// How the balance moved.
    pub(super) fn wallet(&self, heading: &str, introduction: &str, wallet: &Wallet) -> Part {
        let closing = if self.document.kind == DocumentKind::Statement { "closing-balance" } else { "balance-before" };
        let said = |label: &str, amount, always| (self.texts.text(label), amount, always);
        let mut moves = vec![
            said("opening-balance", wallet.opening, true),
            said("paid-in", wallet.paid_in, true),
            said("taken-back", wallet.reversed, false),
            said("charged", wallet.charged, true),
            said("refunded", wallet.refunded, false),
            said("withdrawn", wallet.withdrawn, false),
        ];
        let adjustments = &self.document.adjustments;
        let explained = adjustments.iter().fold(Units::ZERO, |sum, adjustment| sum.saturating_add(adjustment.amount));
        moves.extend(adjustments.iter().map(|adjustment| (self.correction(adjustment), adjustment.amount, true)));
        moves.push(said("corrections", wallet.adjusted.saturating_sub(explained), false));
        moves.push(said("written-off", wallet.written_off, false));
        moves.push(said("not-itemized", wallet.not_itemized, false));
        moves.push(said("invoiced", wallet.invoiced, false));
        moves.push(said("rounding", wallet.rounded, false));
        let column = self.money.digits_for(moves.iter().map(|(_, amount, _)| *amount).chain([wallet.closing]));
        let sum = |label: String, amount, weight| Sum { label, amount: self.money.line(amount, column), weight };
        let shown = moves.into_iter().filter(|(_, amount, always)| *always || !amount.is_zero());
        let mut sums: Vec<Sum> = shown.map(|(label, amount, _)| sum(label, amount, Weight::Plain)).collect();
        sums.push(sum(self.texts.text(closing), wallet.closing, Weight::Strong));
        self.part(heading, introduction, None, sums)
    }

    fn correction(&self, adjustment: &Adjustment) -> String {
        self.texts.with("correction", &[("day", &self.dates.day(adjustment.time)), ("reason", &clean(&adjustment.reason))])
    }

    /// Corrections by hand, of a document without a wallet.
    pub(super) fn corrections(&self, heading: &str, introduction: &str) -> Part {
        let adjustments = &self.document.adjustments;
        let column = self.money.digits_for(adjustments.iter().map(|adjustment| adjustment.amount));
        let sum = |adjustment: &Adjustment| Sum {
            label: self.correction(adjustment),
            amount: self.money.line(adjustment.amount, column),
            weight: Weight::Plain,
        };
        self.part(heading, introduction, None, adjustments.iter().map(sum).collect())
    }

    /// Invoices that are not paid in full.
    pub(super) fn open_invoices(&self, heading: &str) -> Part {
        let open = &self.document.open_invoices;
        let total = open.iter().fold(Units::ZERO, |sum, invoice| sum.saturating_add(invoice.open));
        let column = self.money.digits_for(open.iter().map(|invoice| invoice.open).chain([total]));
        let label = |invoice: &OpenInvoice| match invoice.due_at {
            UnixMillis::NONE => self.texts.with("open-invoice", &[("number", &clean(&invoice.number))]),
            due_at => {
                let day = self.dates.day(due_at);
                self.texts.with("open-invoice-due", &[("number", &clean(&invoice.number)), ("day", &day)])
            }
        };
        let line =
            |invoice: &OpenInvoice| Sum { label: label(invoice), amount: self.money.line(invoice.open, column), weight: Weight::Plain };
        let mut sums: Vec<Sum> = open.iter().map(line).collect();
        sums.push(self.total("open-in-all", total, column, Weight::Strong));
        self.part(heading, "", None, sums)
    }

    fn part(&self, heading: &str, introduction: &str, table: Option<Table>, sums: Vec<Sum>) -> Part {
        Part {
            heading: self.texts.text(heading),
            introduction: if introduction.is_empty() { String::new() } else { self.texts.text(introduction) },
            table,
            amount_heading: self.texts.with("amount-in", &[("currency", &self.money.currency)]),
            sums,
        }
    }

    /// A sum with no more digits than it needs: what was rounded is shown so.
    fn total(&self, label: &str, amount: Units, column: usize, weight: Weight) -> Sum {
        Sum { label: self.texts.text(label), amount: self.money.total(amount, column), weight }
    }

    /// The tax that is contained in what was charged: net, tax and gross for each rate.
    fn tax(&self, lines: &[TaxLine], column: usize) -> Vec<Sum> {
        // A credit note says how much is credited, whichever sign it has.
        let shown = |amount: Units| if self.document.kind == DocumentKind::CreditNote { amount.saturating_abs() } else { amount };
        let aside = |label, amount| Sum { label, amount: self.money.total(shown(amount), column), weight: Weight::Aside };
        let rate_of = |line: &TaxLine| self.texts.number(&line.rate.to_string());
        if let [line] = lines {
            let label = self.texts.with("tax-contained-at", &[("rate", &rate_of(line))]);
            return vec![aside(self.texts.text("net-of-tax"), line.net()), aside(label, line.tax)];
        }
        let mut sums: Vec<Sum> = lines
            .iter()
            .map(|line| match line.rate.is_shown() {
                true => {
                    let figure = |amount| self.texts.number(&self.money.total(shown(amount), column).text);
                    let variables = [("rate", &*rate_of(line)), ("net", &figure(line.net())), ("tax", &figure(line.tax))];
                    aside(self.texts.with("tax-at", &variables), line.gross)
                }
                false => aside(self.texts.text("not-taxed"), line.gross),
            })
            .collect();
        if !lines.is_empty() {
            sums.push(aside(self.texts.text("tax-contained"), lines.iter().map(|line| line.tax).sum()));
        }
        sums
    }

    /// The items by category, in the order in which the categories first appear; `None` if there are no items.
    fn table(&self, items: &[Item], column: usize, shown: impl Fn(Units) -> Units) -> Option<Table> {
        let with_year = !self.dates.is_of_one_year(self.document.period_from, self.document.period_to);
        let mut categories: Vec<(&str, Vec<&Item>)> = Vec::new();
        for item in items {
            match categories.iter_mut().find(|(category, _)| *category == item.category) {
                Some((_, of_category)) => of_category.push(item),
                None => categories.push((&item.category, vec![item])),
            }
        }
        let is_single = categories.len() == 1;
        let least = usize::from(self.money.decimals.min(self.money.minor_digits));
        let most = items.iter().map(|item| digits_behind_point(&item.unit_price)).fold(least, usize::max);
        let groups: Vec<Group> = categories
            .into_iter()
            .map(|(category, items)| {
                let heading = self.category(category);
                let sum = items.iter().fold(Units::ZERO, |sum, item| sum.saturating_add(shown(item.amount)));
                let lines = items
                    .into_iter()
                    .map(|item| Line {
                        unit_price: price_of(&item.unit_price, least, most),
                        ..self.line(item, &heading, column, shown(item.amount), with_year)
                    })
                    .collect();
                if is_single {
                    return Group { heading: String::new(), lines, subtotal: None };
                }
                let subtotal = Sum {
                    label: self.texts.with("subtotal", &[("name", &heading)]),
                    amount: self.money.line(sum, column),
                    weight: Weight::Plain,
                };
                Group { heading, lines, subtotal: Some(subtotal) }
            })
            .collect();
        let has_counts = items.iter().any(|item| item.count > 1);
        let has_quantities = items.iter().any(|item| !item.quantity.is_empty());
        // Of single charges without a quantity, the price is the amount.
        let has_unit_prices = items.iter().any(|item| !item.unit_price.is_empty() && (item.count > 1 || !item.quantity.is_empty()));
        (!groups.is_empty()).then_some(Table { has_counts, has_quantities, has_unit_prices, groups })
    }

    fn line(&self, item: &Item, category: &str, column: usize, amount: Units, with_year: bool) -> Line {
        let (mut name, mut description) = (clean(&item.item), clean(&item.description));
        if name.is_empty() && description == NOT_ITEMIZED {
            description = self.texts.text("not-itemized");
        }
        if !item.name.is_empty() {
            name = clean(&item.name);
            // What is said of one charge is not said of many.
            if item.count > 1 {
                description.clear();
            }
        }
        if name.is_empty() {
            name = std::mem::take(&mut description);
        }
        if name.is_empty() {
            category.clone_into(&mut name);
        }
        if name == description {
            description.clear();
        }
        if amount < Units::ZERO {
            name = self.texts.with("refund-of", &[("name", &name)]);
        }
        Line {
            name,
            description,
            used: self.dates.uses(item.first_use, item.last_use, with_year),
            count: grouped(&item.count.to_string()),
            quantity: grouped(&clean(&item.quantity)),
            unit: if item.quantity.is_empty() { String::new() } else { clean(&item.unit) },
            unit_price: String::new(),
            amount: self.money.line(amount, column),
        }
    }

    /// "usage" is "Usage"; an unknown category is shown as it is.
    fn category(&self, category: &str) -> String {
        match category {
            "usage" | "subscription" | "hardware" | "service" => self.texts.text(category),
            "" => self.texts.text("other"),
            other => clean(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_of_prices_stand_below_each_other() {
        assert_eq!(price_of("0.09", 2, 4), "0.09\u{2007}\u{2007}");
        assert_eq!(price_of("0.0125", 2, 4), "0.0125");
        assert_eq!(price_of("1234", 2, 2), "1,234.00");
        assert_eq!(price_of("5", 0, 2), "5\u{2008}\u{2007}\u{2007}");
        assert_eq!(price_of("", 2, 4), "");
    }
}
