//! What documents cost, by form and number of lines: `cargo bench --bench documents`.

use std::hint::black_box;

use divan::Bencher;

use tollgate::billing::document::{Adjustment, Cause, Document, DocumentKind, Exemption, Issuer, Item, OpenInvoice, Party, Relief, Wallet};
use tollgate::billing::rendering;
use tollgate::billing::tax::TaxLine;
use tollgate::domain::time::UnixMillis;

#[allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "samples of the tests")]
#[path = "../support/documents.rs"]
mod documents;

const LINES: [usize; 3] = [10, 300, 20_000];

fn main() {
    divan::main();
}

fn written<T>(bencher: Bencher<'_, '_>, lines: usize, write: impl Fn(&Document) -> T) {
    let document = documents::long_invoice(lines);
    bencher.bench_local(|| write(black_box(&document)));
}

#[divan::bench(args = LINES)]
fn json(bencher: Bencher<'_, '_>, lines: usize) {
    written(bencher, lines, rendering::json);
}

#[divan::bench(args = LINES)]
fn html(bencher: Bencher<'_, '_>, lines: usize) {
    written(bencher, lines, rendering::html);
}

#[divan::bench(args = LINES, sample_count = 5)]
fn pdf(bencher: Bencher<'_, '_>, lines: usize) {
    written(bencher, lines, rendering::pdf);
}
