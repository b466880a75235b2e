//! A document in all its forms, and the figures that each shows.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use rust_decimal::Decimal;
use serde_json::Value;
use tollgate::grpc::v1::{self, InvoiceForm};

use crate::service::Client;

/// A document as files.
pub struct Forms {
    pub number: String,
    pub json: Value,
    /// What a reader of the page sees.
    pub html: String,
    /// What a reader of the pages sees.
    pub pdf: String,
    /// The rows, each field with its column.
    pub csv: Vec<Value>,
}

/// A decimal, whatever zeros stand behind it.
pub fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|error| panic!("{text:?}: {error}")).normalize()
}

/// An amount as people read it, without its sign: "1,234.50".
fn grouped(amount: &str) -> String {
    let (whole, fraction) =
        amount.trim_start_matches('-').split_once('.').map_or((amount.trim_start_matches('-'), None), |(a, b)| (a, Some(b)));
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    fraction.into_iter().for_each(|fraction| text.extend([".", fraction]));
    text
}

/// All figures of a text, without their signs.
fn figures(text: &str) -> BTreeSet<Decimal> {
    let words = text.split(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ',');
    words
        .filter_map(|word| Decimal::from_str_exact(&word.trim_end_matches(['.', ',']).replace(',', "")).ok())
        .map(|figure| figure.normalize())
        .collect()
}

fn one_space(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of a page, without its styles.
fn text_of(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1;
    let mut text = String::new();
    for (place, part) in body.split('<').enumerate() {
        let shown = if place == 0 { part } else { part.split_once('>').unwrap().1 };
        text.push_str(shown);
        text.push(' ');
    }
    for (entity, letter) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&"), ("&amp;", "&")]
    {
        text = text.replace(entity, letter);
    }
    one_space(&text)
}

/// What poppler finds in the pages.
fn text_of_pdf(pdf: &[u8]) -> String {
    let mut reader = Command::new("pdftotext").args(["-layout", "-", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let reader = reader.as_mut().expect("pdftotext, which tests/run installs");
    reader.stdin.take().unwrap().write_all(pdf).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader.stdout.take().unwrap(), &mut text).unwrap();
    assert!(reader.wait().unwrap().success());
    one_space(&text)
}

fn rows_of(csv: &[u8]) -> Vec<Value> {
    let mut reader = csv::Reader::from_reader(csv);
    let columns = reader.headers().unwrap().clone();
    let row = |row: Result<csv::StringRecord, csv::Error>| {
        let row = row.unwrap();
        columns
            .iter()
            .zip(row.iter())
            .map(|(column, field)| (column.to_owned(), Value::from(field)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    reader.records().map(row).collect()
}

async fn file(client: &mut Client, number: &str, form: InvoiceForm) -> Vec<u8> {
    let request = v1::GetInvoiceFileRequest { number: number.to_owned(), form: form.into(), ..Default::default() };
    let mut parts = client.billing.get_invoice_file(request).await.unwrap().into_inner();
    let mut content = Vec::new();
    while let Some(part) = parts.message().await.unwrap() {
        content.extend(part.content);
    }
    content
}

impl Forms {
    /// Has a document written in all forms.
    pub async fn of(client: &mut Client, number: &str) -> Self {
        let json = file(client, number, InvoiceForm::Json).await;
        let html = String::from_utf8(file(client, number, InvoiceForm::Html).await).unwrap();
        let pdf = file(client, number, InvoiceForm::Pdf).await;
        let csv = file(client, number, InvoiceForm::Csv).await;
        let pdf = tokio::task::block_in_place(|| text_of_pdf(&pdf));
        Self { number: number.to_owned(), json: serde_json::from_slice(&json).unwrap(), html: text_of(&html), pdf, csv: rows_of(&csv) }
    }

    /// A figure of the document by its name in the tables of examples.
    pub fn figure(&self, name: &str) -> Decimal {
        let json = &self.json;
        let of = |value: &Value| decimal(value.as_str().unwrap_or_else(|| panic!("{name}: {json:#}")));
        let sum = |lines: &Value| lines.as_array().unwrap().iter().map(|line| of(&line["amount"])).sum::<Decimal>().normalize();
        let at_rate = |rate: &str, field: &str| {
            let line = json["taxes"].as_array().unwrap().iter().find(|line| line["rate_percent"] == rate);
            of(&line.unwrap_or_else(|| panic!("no tax at {rate}: {json:#}"))[field])
        };
        match name {
            "lines" => {
                assert_eq!(of(&json["items_total"]), sum(&json["items"]), "{}: its lines add up", self.number);
                of(&json["items_total"])
            }
            "rounding" | "total" => of(&json[name]),
            "brought forward" => of(&json["brought_forward"]),
            "credit applied" => of(&json["credit_applied"]),
            "to pay" => of(&json["amount_to_pay"]),
            "deducted" => sum(&json["deducted"]),
            "tax" => of(&json["tax_contained"]),
            "tax on deducted" => of(&json["tax_on_deducted"]),
            "closing balance" => of(&json["wallet"]["closing"]),
            _ => match (name.strip_prefix("taxed at "), name.strip_prefix("tax at ")) {
                (Some(rate), _) => at_rate(rate, "gross"),
                (_, Some(rate)) => at_rate(rate, "tax"),
                _ => panic!("which figure is \"{name}\"?"),
            },
        }
    }

    /// Holds a figure against the document: in JSON exactly, on the page and the pages as people read it. Zeros need not be printed, but
    /// for what the document comes to.
    pub fn shows(&self, name: &str, expected: &str) {
        let value = decimal(expected);
        assert_eq!(self.figure(name), value, "{}: {name}", self.number);
        let kind = self.json["kind"].as_str().unwrap();
        let is_sum = matches!((kind, name), ("invoice", "to pay") | ("statement", "closing balance") | ("credit_note", "total"));
        for (form, text) in [("HTML", &self.html), ("PDF", &self.pdf)] {
            if is_sum {
                let sign = if value.is_sign_negative() && !value.is_zero() { "\u{2212}" } else { "" };
                let shown = format!("{} {sign}{}", self.json["currency"].as_str().unwrap(), grouped(expected));
                assert!(text.contains(&shown), "{}, {form}: {name}: no \"{shown}\" in {text}", self.number);
            } else if !value.is_zero() && name != "lines" {
                assert!(figures(text).contains(&value.abs()), "{}, {form}: {name}: no {expected} in {text}", self.number);
            }
        }
    }

    /// What holds for every document: each line is printed, and the rows of the CSV add up to the lines.
    pub fn agree(&self) {
        let lines = |name: &str| {
            self.json[name].as_array().unwrap().iter().map(|line| decimal(line["amount"].as_str().unwrap())).collect::<Vec<_>>()
        };
        let (items, deducted) = (lines("items"), lines("deducted"));
        for line in items.iter().chain(&deducted) {
            for (form, text) in [("HTML", &self.html), ("PDF", &self.pdf)] {
                assert!(figures(text).contains(&line.abs().normalize()), "{}, {form}: no line of {line} in {text}", self.number);
            }
        }
        let column = |name: &str| {
            let fields = self.csv.iter().map(|row| row[name].as_str().unwrap()).filter(|field| !field.is_empty());
            fields.map(decimal).sum::<Decimal>().normalize()
        };
        if self.json["kind"] == "credit_note" {
            assert_eq!(column("amount"), -self.figure("lines"), "{}: the rows add up", self.number);
            assert_eq!(column("credited"), -self.figure("total"), "{}: the rows add up", self.number);
        } else {
            let listed: Decimal = items.iter().chain(&deducted).sum();
            assert_eq!(column("amount"), listed.normalize(), "{}: the rows add up: {:?}", self.number, self.csv);
        }
        let minor = self.json["amount_to_pay"].as_str().unwrap();
        assert!(minor.split_once('.').map_or(0, |(_, fraction)| fraction.len()) <= 3, "{}: to pay {minor}", self.number);
    }
}
