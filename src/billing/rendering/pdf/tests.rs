//! Where things stand on the pages of the samples.

use super::typesetter::{LEFT, PAGE_HEIGHT, RIGHT};
use super::*;
use crate::document::Document;
use crate::rendering::tests::documents;

/// A line of text where it stands: left, baseline, width, text.
type Place = (f32, f32, f32, String);

fn pages(document: &Document) -> Vec<Vec<Place>> {
    let letters = TextShaper::of(Fonts::installed().unwrap(), Region::Mainland);
    let place = |mark: &PageItem| match mark {
        PageItem::Text { x, baseline, size, words, .. } => Some((*x, *baseline, words.width(*size), words.text().to_owned())),
        PageItem::Area { .. } | PageItem::Picture { .. } => None,
    };
    layout::set(&PageModel::of(document).unwrap(), &letters).iter().map(|page| page.iter().filter_map(place).collect()).collect()
}

fn texts(page: &[Place]) -> Vec<&str> {
    page.iter().map(|(_, _, _, text)| text.as_str()).collect()
}

#[test]
fn everything_stands_within_the_page_and_nothing_on_anything_else() {
    for (name, document) in documents::all() {
        for page in pages(&document) {
            for (x, baseline, width, text) in &page {
                assert!(*x >= LEFT - 0.1 && x + width <= RIGHT + 0.1, "{name}: {text:?} from {x} to {}", x + width);
                assert!((20.0..PAGE_HEIGHT - 30.0).contains(baseline), "{name}: {text:?} at {baseline}");
                for (other_x, other_baseline, other_width, other) in
                    page.iter().filter(|(_, _, _, other)| !other.is_empty() && !text.is_empty())
                {
                    let is_beside = x + width <= other_x + 0.2 || other_x + other_width <= x + 0.2;
                    let is_itself = (x, baseline) == (other_x, other_baseline) && text == other;
                    assert!(is_beside || is_itself || (baseline - other_baseline).abs() > 6.0, "{name}: {text:?} stands on {other:?}");
                }
            }
        }
    }
}

#[test]
fn sums_without_a_table_have_a_heading_above_each_column_as_on_the_page() {
    let mut seen = 0;
    for (name, document) in documents::all() {
        if PageModel::of(&document).unwrap().parts.iter().any(|part| part.table.is_none()) {
            seen += 1;
            assert!(pages(&document).iter().any(|page| texts(page).contains(&"What")), "{name}");
        }
    }
    assert!(seen > 0);
}

#[test]
fn each_page_says_which_it_is_and_repeats_the_header_of_its_table() {
    let pages = pages(&documents::long_invoice(140));
    assert!(pages.len() > 3, "{}", pages.len());
    for (index, page) in pages.iter().enumerate() {
        let texts = texts(page);
        assert!(texts.contains(&format!("page {} of {}", index + 1, pages.len()).as_str()), "{texts:?}");
        assert!(index == 0 || texts.contains(&"Invoice INV-2026-000131"));
        let has_items = texts.iter().any(|text| text.starts_with("Call to destination"));
        assert!(!has_items || texts.contains(&"Quantity") && texts.contains(&"Amount (EUR)"), "page {}", index + 1);
    }
    let all: Vec<&str> = pages.iter().flat_map(|page| texts(page)).collect();
    for line in 0..140 {
        assert_eq!(all.iter().filter(|text| **text == format!("Call to destination {line}")).count(), 1, "{line}");
    }
}

#[test]
fn the_points_of_the_amounts_stand_below_each_other() {
    let letters = TextShaper::of(Fonts::installed().unwrap(), Region::Mainland);
    let places = pages(&documents::invoice()).concat();
    let point = |text: &str, face| {
        let (x, ..) = places.iter().rev().find(|(_, _, _, found)| found == text).unwrap_or_else(|| panic!("no {text}"));
        x + letters.ems(face, text.split('.').next().unwrap()) * 8.5
    };
    let expected = point("86.10148", glyphs::Face::Regular);
    for text in ["124.31000", "\u{2212}3.20000", "382.34048", "640.14048", "\u{2212}0.00048", "102.21"] {
        assert!((point(text, glyphs::Face::Regular) - expected).abs() < 0.01, "{text}");
    }
    assert!((point("640.14", glyphs::Face::Bold) - expected).abs() < 0.01);
}

#[test]
fn a_name_that_is_too_long_for_a_page_goes_on_on_the_next() {
    let document = documents::strange_names();
    let pages = pages(&document);
    let all: String = pages.iter().flat_map(|page| texts(page)).collect::<Vec<_>>().join(" ");
    assert_eq!((all.matches("far").count(), all.matches("more").count()), (600, 400));
    assert!(all.contains("東京の通話") && all.contains("(U+1F980) crab, (U+1F469)\u{200d}(U+1F467) family"), "{all}");
}
