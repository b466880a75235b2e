//! The pages, by topic.

pub mod account_sending;
pub mod acts;
pub mod approvals;
pub mod arrival;
pub mod audit;
pub mod bank;
pub mod chart;
pub mod chosen;
pub mod code;
pub mod conversions;
pub mod convert;
pub mod credit;
pub mod details;
pub mod entries;
pub mod guideline;
pub mod invoice;
pub mod invoices;
pub mod link_acts;
pub mod links;
pub mod mails;
pub mod months;
pub mod notes;
pub mod organization;
pub mod organizations;
pub mod overview;
pub mod papers;
pub mod payment_acts;
pub mod payments;
pub mod provider;
pub mod receivables;
pub mod second_factor;
pub mod send;
pub mod settings;
pub mod sign_in;
pub mod wallet;
pub mod you;

use axum::response::Redirect;

use super::failure::Failure;
use super::navigation::{NAVIGATION, OVERVIEW};
use super::visitor::Visitor;

/// The first page: the first of the navigation that the visitor may open.
pub async fn home(visitor: Visitor) -> Result<Redirect, Failure> {
    // The overview is looked at; the work is behind it.
    let mut sections = NAVIGATION.iter().filter(|section| section.path != OVERVIEW);
    let first = sections.find(|section| section.is_open_to(&visitor));
    Ok(Redirect::to(first.map_or("/you", |section| section.path)))
}
