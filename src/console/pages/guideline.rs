//! How to determine the credit limit: the published guideline, in words.

use askama::Template;
use axum::response::Response;

use crate::failure::Failure;
use crate::navigation::ORGANIZATIONS;
use crate::page::{Page, render};
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "guideline.html")]
struct Guideline {
    page: Page,
}

/// Shows the page.
pub async fn show(visitor: Visitor) -> Result<Response, Failure> {
    render(&Guideline { page: Page::new(&visitor, ORGANIZATIONS, visitor.locale.text("guideline")) })
}
