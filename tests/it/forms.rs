//! What a customer gets: documents of every kind, from outside. All of them are left in the target's folder for temporary files, to
//! be looked at.

#[path = "../support/documents.rs"]
mod documents;

use std::path::Path;
use std::time::{Duration, Instant};

use tollgate::billing::document::{Adjustment, Cause, Document, DocumentKind, Exemption, Issuer, Item, OpenInvoice, Party, Relief, Wallet};
use tollgate::billing::rendering;
use tollgate::billing::tax::TaxLine;
use tollgate::domain::time::UnixMillis;

#[test]
fn every_sample_has_every_form_and_the_same_one_each_time() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("forms");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, document) in documents::all() {
        let (json, html, pdf) =
            (rendering::json(&document).unwrap(), rendering::html(&document).unwrap(), rendering::pdf(&document).unwrap());
        std::fs::write(folder.join(format!("{name}.json")), &json).unwrap();
        std::fs::write(folder.join(format!("{name}.html")), &html).unwrap();
        std::fs::write(folder.join(format!("{name}.pdf")), &pdf).unwrap();
        assert_eq!(json, rendering::json(&document).unwrap(), "{name}");
        assert_eq!(html, rendering::html(&document).unwrap(), "{name}");
        assert_eq!(pdf, rendering::pdf(&document).unwrap(), "{name}");
    }
}

#[test]
fn a_pdf_is_one_for_archives_with_its_fonts_inside_and_small() {
    let pdf = rendering::pdf(&documents::invoice()).unwrap();
    let text = String::from_utf8_lossy(&pdf);
    assert!(text.starts_with("%PDF-1.") && text.trim_end().ends_with("%%EOF"));
    for part in ["/FontFile2", "DejaVuSans", "/OutputIntents", "pdfaid:part", "Invoice INV-2026-000123"] {
        assert!(text.contains(part), "no {part}");
    }
    assert!(!text.contains("/JavaScript") && !text.contains("/URI"));
    assert!(pdf.len() < 100_000, "{} bytes", pdf.len());
}

#[test]
fn ten_thousand_lines_take_about_a_second_in_each_form() {
    let document = documents::long_invoice(10_000);
    let timed = |form: &str, make: &dyn Fn() -> usize| {
        let started = Instant::now();
        let bytes = make();
        println!("{form}: {bytes} bytes in {:?}", started.elapsed());
        // Several times what it takes where nothing is optimized: this is to find what grows with the square of the lines.
        assert!(started.elapsed() < Duration::from_secs(30), "{form}");
    };
    timed("json", &|| rendering::json(&document).unwrap().len());
    timed("html", &|| rendering::html(&document).unwrap().len());
    timed("pdf", &|| rendering::pdf(&document).unwrap().len());
}
