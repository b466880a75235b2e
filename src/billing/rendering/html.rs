//! The page model as a page for the browser and the printer. The template escapes whatever it is given.

use askama::Template;

use super::FormError;
use super::page_model::{PageModel, Sum, Vocabulary, Weight};

#[derive(Template)]
#[template(path = "document.html", config = "rendering/askama.toml")]
struct Page<'a> {
    page_model: &'a PageModel,
    /// The name of the document, as the inside of a CSS string.
    running_title: String,
    /// What says which page it is, as a value of CSS.
    page: String,
}

/// Writes the page.
pub(super) fn write(page_model: &PageModel) -> Result<String, FormError> {
    Ok(Page { page_model, running_title: css_string(&page_model.name()), page: css_page(&page_model.words.page) }.render()?)
}

/// "page 1 of 2" as a value of CSS.
fn css_page(page: &str) -> String {
    let counters = format!("\"{}\"", css_string(page));
    let put_in = |text: String, letter: &str, counter: &str| text.replace(&css_string(letter), &format!("\" counter({counter}) \""));
    put_in(put_in(counters, Vocabulary::PAGES, "pages"), Vocabulary::PAGE, "page")
}

/// The text for a CSS string: whatever could end the string, or the style, is written as its number.
fn css_string(text: &str) -> String {
    use std::fmt::Write;

    text.chars().fold(String::new(), |mut escaped, letter| {
        if letter.is_ascii_alphanumeric() || letter == ' ' || letter == '-' {
            escaped.push(letter);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\{:06x}", u32::from(letter));
        }
        escaped
    })
}

impl Sum {
    /// The class that it is styled by.
    fn class(&self) -> &'static str {
        match self.weight {
            Weight::Aside => "aside",
            Weight::Plain => "plain",
            Weight::Strong => "strong",
        }
    }
}

impl super::page_model::Figure {
    /// Room for the digits that it lacks, so that the points stand below each other; a point is about half as wide as a digit.
    fn style(&self) -> String {
        let halves = 2 * self.missing_digits + usize::from(self.missing_point);
        if halves == 0 { String::new() } else { format!(" style=\"padding-right:{}.{}ch\"", halves / 2, halves % 2 * 5) }
    }
}
