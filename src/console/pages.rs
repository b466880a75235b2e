//! The pages, by topic.

pub mod acts;
pub mod convert;
pub mod details;
pub mod entries;
pub mod guideline;
pub mod invoice;
pub mod invoices;
pub mod months;
pub mod organization;
pub mod organizations;
pub mod papers;
pub mod payments;
pub mod receivables;
pub mod sign_in;
pub mod wallet;
pub mod you;

use axum::response::Redirect;

use super::failure::Failure;
use super::routes::{NAVIGATION, find_page};
use super::visitor::Visitor;

/// The first page: the first of the navigation that the visitor may open.
pub async fn home(visitor: Visitor) -> Result<Redirect, Failure> {
    let mut sections = NAVIGATION.iter();
    let first = sections.find(|section| find_page(section.path).is_some_and(|route| route.needs.is_met_by(&visitor)));
    Ok(Redirect::to(first.map_or("/you", |section| section.path)))
}
