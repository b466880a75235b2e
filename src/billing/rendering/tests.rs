//! What stands on the paper of each sample, and where.

use super::page_model::{PageModel, Sum, Weight};
use super::*;
use crate::document::{Adjustment, Cause, Document, DocumentKind, Exemption, Issuer, Item, OpenInvoice, Party, Relief, Wallet};
use crate::tax::TaxLine;
use domain::money::Units;
use domain::time::UnixMillis;

#[path = "../../../tests/support/documents.rs"]
pub(super) mod documents;

fn page_model(document: &Document) -> PageModel {
    PageModel::of(document).unwrap()
}

/// "Total: 640.14" of all sums of a part.
fn sums(page_model: &PageModel, part: usize) -> Vec<String> {
    page_model.parts[part].sums.iter().map(|Sum { label, amount, .. }| format!("{label}: {}", amount.text)).collect()
}

/// "Voice, national: 124.31000" of all items of a part.
fn lines(page_model: &PageModel, part: usize) -> Vec<String> {
    let groups = &page_model.parts[part].table.as_ref().unwrap().groups;
    groups.iter().flat_map(|group| &group.lines).map(|line| format!("{}: {}", line.name, line.amount.text)).collect()
}

fn fact<'a>(page_model: &'a PageModel, label: &str) -> &'a str {
    &page_model.facts.iter().find(|fact| fact.label == label).unwrap_or_else(|| panic!("no {label}")).value
}

#[test]
fn an_invoice_lists_its_items_and_how_they_became_the_amount_to_pay() {
    let page_model = page_model(&documents::invoice());
    assert_eq!(page_model.name(), "Invoice INV-2026-000123");
    assert_eq!(fact(&page_model, "Issue date"), "1 December 2026");
    assert_eq!(fact(&page_model, "Billing period"), "3 November 2026 to 30 November 2026");
    assert_eq!(fact(&page_model, "Due date"), "15 December 2026");
    assert_eq!((page_model.summary.label.as_str(), page_model.summary.amount.as_str()), ("Amount to pay", "EUR 640.14"));
    assert_eq!(page_model.summary.note, "due by 15 December 2026");
    let lines = lines(&page_model, 0);
    assert_eq!(lines[1], "Voice, international: 86.10148");
    assert_eq!(lines[4], "Refund: Voice, international: \u{2212}3.20000");
    assert_eq!(
        sums(&page_model, 0),
        [
            "Sum of the items: 640.14048",
            "Rounding to EUR 0.01: \u{2212}0.00048",
            "Total: 640.14",
            "of this, net of tax: 537.93",
            "of this, tax contained (19%): 102.21",
            "Amount to pay: 640.14",
        ]
    );
    let table = page_model.parts[0].table.as_ref().unwrap();
    let subtotals: Vec<&str> = table.groups.iter().map(|group| group.subtotal.as_ref().unwrap().amount.text.as_str()).collect();
    assert_eq!(subtotals, ["382.34048", "59.80000", "119.00000", "79.00000"]);
}

#[test]
fn an_overpayment_of_424_leaves_76_of_500_to_pay() {
    let page_model = page_model(&documents::overpaid_invoice());
    let sums = sums(&page_model, 0);
    assert_eq!(sums[0], "Total: 500.00");
    assert_eq!(sums[3..], ["Already paid by your credit from before: \u{2212}424.00", "Amount to pay: 76.00"]);
    assert_eq!(page_model.summary.amount, "EUR 76.00");
    assert!(page_model.parts[0].table.as_ref().unwrap().groups[0].heading.is_empty(), "one category needs no heading");
}

#[test]
fn a_debt_from_before_is_brought_forward_and_contains_no_tax() {
    let expected = [
        "Charges of this bill: 41.33",
        "of this, net of tax: 34.73",
        "of this, tax contained (19%): 6.60",
        "Brought forward, owed from before (listed on earlier statements): 8.67",
        "Total: 50.00",
        "Amount to pay: 50.00",
    ];
    assert_eq!(sums(&page_model(&documents::invoice_with_a_debt()), 0), expected);
}

#[test]
fn a_statement_says_how_the_balance_moved_and_that_there_is_nothing_to_pay() {
    let page_model = page_model(&documents::statement());
    assert_eq!((page_model.summary.label.as_str(), page_model.summary.amount.as_str()), ("Closing balance", "EUR 86.10148"));
    assert_eq!(
        sums(&page_model, 0),
        [
            "Opening balance: 20.00000",
            "Top-ups and payments: 150.00000",
            "Charges: \u{2212}81.39852",
            "Refunds: 2.50000",
            "Withdrawals: \u{2212}10.00000",
            "Correction of 20 November 2026: Late delivery: 5.00000",
            "Closing balance: 86.10148",
        ]
    );
    assert_eq!(lines(&page_model, 1).last().unwrap(), "Refund: SMS: \u{2212}2.50000");
    assert_eq!(sums(&page_model, 1)[0], "Total deducted: 78.89852");
    assert!(page_model.notes[0].starts_with("There is nothing to pay"), "{:?}", page_model.notes);
    assert!(!page_model.facts.iter().any(|fact| fact.label == "Due date"));
}

#[test]
fn a_customer_who_lives_on_the_limit_is_told_so() {
    let mut document = documents::statement();
    document.wallet.as_mut().unwrap().closing = documents::euros("-8.67");
    let page_model = page_model(&document);
    assert_eq!(page_model.summary.amount, "EUR \u{2212}8.67");
    assert!(page_model.notes[1].contains("below zero") && !page_model.notes.iter().any(|note| note.contains("credit limit")));
}

#[test]
fn the_bill_after_a_conversion_has_both_parts() {
    let page_model = page_model(&documents::bill_with_both_parts());
    let headings: Vec<&str> = page_model.parts.iter().map(|part| part.heading.as_str()).collect();
    assert_eq!(headings, ["Part 1: to pay", "Part 2: already deducted from your prepaid balance", "Charges, already deducted"]);
    assert_eq!(sums(&page_model, 0).last().unwrap(), "Amount to pay: 82.50");
    assert_eq!(
        sums(&page_model, 1),
        ["Opening balance: 30.00", "Top-ups and payments: 0.00", "Charges: \u{2212}12.50", "Balance before this bill: 17.50"]
    );
    // 12.50 x 19 / 119 = 1.9957...
    assert_eq!(sums(&page_model, 2), ["Total deducted: 12.50", "of this, net of tax: 10.50", "of this, tax contained (19%): 2.00"]);
}

#[test]
fn a_credit_note_names_its_invoice_and_moves_no_money() {
    let mut document = documents::credit_note();
    let as_given = page_model(&document);
    assert_eq!(fact(&as_given, "For invoice"), "INV-2026-000123");
    assert_eq!(fact(&as_given, "Reason"), "The phone was returned");
    assert_eq!((as_given.summary.label.as_str(), as_given.summary.amount.as_str()), ("Amount credited", "EUR 119.00"));
    assert!(as_given.notes[0].contains("INV-2026-000123") && as_given.notes[0].contains("set against that invoice first"));
    assert_eq!(sums(&as_given, 0), ["Total credited: 119.00", "of this, net of tax: 100.00", "of this, tax contained (19%): 19.00"]);
    // With negative items it says the same.
    document.items[0].amount = -document.items[0].amount;
    (document.items_total, document.total) = (-document.items_total, -document.total);
    (document.taxes[0].gross, document.taxes[0].tax) = (-document.taxes[0].gross, -document.taxes[0].tax);
    assert_eq!(page_model(&document), as_given);
}

#[test]
fn each_rate_shows_net_tax_and_gross() {
    let sums = sums(&page_model(&documents::two_rates()), 0);
    // 10.01 x 19 / 119 = 1.598..., 10.00 x 7 / 107 = 0.654...
    assert_eq!(
        sums[..4],
        [
            "Total: 20.01",
            "of this at 19%: net 8.41 + tax 1.60: 10.01",
            "of this at 7%: net 9.35 + tax 0.65: 10.00",
            "of this, tax contained: 2.25"
        ]
    );
}

#[test]
fn a_document_without_tax_says_why() {
    let page_model = page_model(&documents::reverse_charge());
    assert_eq!(sums(&page_model, 0)[1..3], ["of this, net of tax: 100.00", "of this, tax contained (0%): 0.00"]);
    let reason = "No tax is charged: the customer owes it (reverse charge). Article 196 of Directive 2006/112/EC";
    assert!(page_model.notes.iter().any(|note| note == reason), "{:?}", page_model.notes);
    assert!(!page_model.notes.iter().any(|note| note.contains("include tax")), "{:?}", page_model.notes);
}

#[test]
fn an_invoice_says_who_issues_it_and_how_to_pay() {
    let page_model = page_model(&documents::invoice());
    assert_eq!(page_model.issuer.address, ["Speicherstadt 12", "20457 Hamburg", "DE"]);
    assert_eq!(page_model.notes[0], "Nordbank, IBAN DE02 1203 0000 0000 2020 51");
    assert!(page_model.notes.last().unwrap().starts_with("Registered at the Hamburg"));
    assert!(!super::tests::page_model(&documents::statement()).notes.iter().any(|note| note.contains("IBAN")), "a statement is not paid");
}

#[test]
fn a_statement_lists_the_invoices_that_are_open() {
    let mut document = documents::statement();
    document.wallet.as_mut().unwrap().closing = documents::euros("-70");
    document.open_invoices = vec![OpenInvoice {
        number: "INV-2026-000099".to_owned(),
        due_at: documents::at("2026-11-15T11:00:00Z"),
        open: Units::new(documents::euros("70").get()),
    }];
    let page_model = page_model(&document);
    assert_eq!(page_model.summary.note, "Open invoices: EUR 70.00");
    let part = page_model.parts.last().unwrap();
    assert_eq!(part.heading, "Open invoices");
    assert_eq!(
        sums(&page_model, page_model.parts.len() - 1),
        ["Invoice INV-2026-000099, due by 15 November 2026: 70.00", "Open in all: 70.00"]
    );
    assert!(page_model.notes[0].contains("Earlier invoices are open") && !page_model.notes.iter().any(|note| note.contains("below zero")));
}

#[test]
fn a_debt_is_brought_forward_once_and_says_where_its_charges_are_listed() {
    let mut document = documents::bill_with_both_parts();
    (document.credit_applied, document.brought_forward) = (Units::ZERO, documents::euros("8.67"));
    (document.total, document.amount_to_pay) = (documents::euros("108.67"), documents::euros("108.67"));
    let page_model = page_model(&document);
    let expected = "Brought forward, owed from before (listed in part 2 and on earlier statements): 8.67";
    assert!(sums(&page_model, 0).iter().any(|sum| sum == expected), "{:?}", sums(&page_model, 0));
    assert!(page_model.parts[1].introduction.ends_with("not to be paid again, but for the debt that part 1 brings forward."));
    // The tax of part 2 stands there, and only there: 100 x 19 / 119 = 15.9663..., 12.50 x 19 / 119 = 1.9957...
    let taxes = |part| sums(&page_model, part).into_iter().filter(|sum| sum.contains("tax contained")).collect::<Vec<_>>();
    assert_eq!(
        (taxes(0), taxes(2)),
        (vec!["of this, tax contained (19%): 15.97".into()], vec!["of this, tax contained (19%): 2.00".into()])
    );
}

#[test]
fn a_correction_says_why() {
    let mut document = documents::invoice_with_a_debt();
    document.adjustments =
        vec![Adjustment { time: documents::at("2026-11-20T12:00:00Z"), amount: (documents::euros("-8.67")), reason: "A fee".to_owned() }];
    let page_model = page_model(&document);
    assert!(sums(&page_model, 0).iter().any(|sum| sum.starts_with("Brought forward, owed from before (see the corrections")));
    assert_eq!(sums(&page_model, 1), ["Correction of 20 November 2026: A fee: \u{2212}8.67"]);
}

#[test]
fn a_document_is_written_in_the_customers_language() {
    let german = page_model(&documents::german());
    assert_eq!((german.language, german.name().as_str()), ("de", "Rechnung INV-2026-000134"));
    assert_eq!(fact(&german, "Fällig am"), "15. Dezember 2026");
    assert_eq!((german.summary.label.as_str(), german.summary.amount.as_str()), ("Zu zahlender Betrag", "EUR 20,01"));
    assert_eq!(sums(&german, 0)[1], "darin zu 19 %: netto 8,41 + Steuer 1,60: 10,01");
    let page = html(&documents::german()).unwrap();
    assert!(page.contains("<html lang=\"de\">") && page.contains("1.234,5") && page.contains("Alle Beträge enthalten die Steuer"));
    for word in ["Invoice", "Amount", "Total", "Due", "December", "page "] {
        assert!(!page.contains(&format!(">{word}")), "{word} is not German");
    }
    assert!(page.contains("\"Seite \" counter(page) \" von \" counter(pages) \"\""), "{page}");
    assert!(pdf(&documents::german()).is_ok());
}

#[test]
fn other_causes_are_said() {
    assert!(page_model(&documents::final_invoice()).subtitle.contains("converted to prepaid"));
    let single = page_model(&documents::single_charge());
    assert_eq!(fact(&single, "Date of the charge"), "12 November 2026");
    assert_eq!(single.summary.amount, "EUR 2,086.10");
    let draft = page_model(&documents::draft());
    assert_eq!(fact(&draft, "Number"), "not issued yet");
    assert!(draft.notes.iter().any(|note| note.contains("draft")));
    assert_eq!(draft.customer.name, "acme/berlin", "an account without a customer's name goes by its id");
}

#[test]
fn no_sum_is_lost_between_document_and_sheet() {
    for (name, document) in documents::all() {
        let money = Denomination::of(&document);
        let page_model = page_model(&document);
        let strong: Vec<&str> = page_model
            .parts
            .iter()
            .flat_map(|part| &part.sums)
            .filter(|sum| sum.weight == Weight::Strong)
            .map(|sum| sum.amount.text.as_str())
            .collect();
        if document.kind == DocumentKind::Invoice {
            let texts = texts::Texts::of(&document.customer.language);
            let to_pay = texts.number(&amounts::grouped(&money.plain(document.amount_to_pay)));
            assert!(strong.contains(&to_pay.as_str()), "{name}: {strong:?}");
        }
        let shown: usize = page_model
            .parts
            .iter()
            .filter_map(|part| part.table.as_ref())
            .flat_map(|table| &table.groups)
            .map(|group| group.lines.len())
            .sum();
        assert_eq!(shown, document.items.len() + document.deducted.len(), "{name}");
    }
}

#[test]
fn an_unknown_time_zone_is_refused_where_dates_are_shown() {
    let document = Document { time_zone: "Mars/Olympus".to_owned(), ..documents::invoice() };
    assert!(matches!(html(&document), Err(FormError::TimeZone(_))) && matches!(pdf(&document), Err(FormError::TimeZone(_))));
    assert!(json(&document).is_ok());
}

#[test]
fn json_has_decimals_as_texts_and_null_for_what_is_not_said() {
    let text = json(&documents::bill_with_both_parts()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (field, expected) in [
        ("format", "tollgate.document/2"),
        ("kind", "invoice"),
        ("cause", "period_end"),
        ("total", "100.00"),
        ("credit_applied", "17.50"),
        ("amount_to_pay", "82.50"),
    ] {
        assert_eq!(value[field], expected, "{field}");
    }
    assert_eq!(value["period_to"], "2026-11-30T23:00:00Z");
    assert_eq!(value["due_at"], "2026-12-15T11:00:00Z");
    assert_eq!(value["wallet"]["closing"], "17.50");
    assert_eq!(value["deducted"][0]["amount"], "12.50");
    assert_eq!(value["items"][0]["description"], serde_json::Value::Null);
    assert_eq!(value["refers_to"], serde_json::Value::Null);
    let order = [
        "format",
        "kind",
        "number",
        "issuer",
        "customer",
        "currency",
        "period_from",
        "items\"",
        "deducted",
        "wallet",
        "items_total",
        "amount_to_pay",
    ];
    let places: Vec<usize> = order.iter().map(|field| text.find(&format!("\n  \"{}", field.trim_end_matches('"'))).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    let draft: serde_json::Value = serde_json::from_str(&json(&documents::draft()).unwrap()).unwrap();
    assert!(draft["number"].is_null() && draft["issued_at"].is_null());
}

#[test]
fn a_page_escapes_whatever_it_is_given() {
    let page = html(&documents::strange_names()).unwrap();
    for harm in ["<script", "<img", "<b>", "<Söhne>", "onerror=alert(1)>"] {
        assert!(!page.contains(harm), "{harm}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(page.contains("&#60;script&#62;") && page.contains("東京の通話") && page.contains("مكالمات"));
    assert!(page.contains("right\u{202e}tfel") && page.contains("<bdi>"), "what turns the direction stays within its cell");
}

#[test]
fn a_page_stands_alone_and_can_be_read_aloud_and_printed() {
    for (name, document) in documents::all() {
        let page = html(&document).unwrap();
        let language = if name == "german" { "de" } else { "en" };
        assert!(page.starts_with(&format!("<!DOCTYPE html>\n<html lang=\"{language}\">")), "{name}");
        for part in [
            "<meta charset=\"utf-8\">",
            "<title>",
            "<caption>",
            "scope=\"col\"",
            "scope=\"row\"",
            "@page",
            "@media print",
            "counter(pages)",
        ] {
            assert!(page.contains(part), "{name}: no {part}");
        }
        let outside = ["<script", "src=", "<link", "url(", "@import", "http://", "https://"];
        // The strange names contain some of these as text.
        assert!(name == "strange" || outside.iter().all(|part| !page.contains(part)), "{name}");
        assert!(!page.contains("{{") && !page.contains("{%"), "{name}");
        for element in ["table", "tbody", "tr", "td", "th", "bdi", "section", "main", "span", "div"] {
            let (begun, ended) = (
                page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count(),
                page.matches(&format!("</{element}>")).count(),
            );
            assert_eq!(begun, ended, "{name}: {element}");
        }
    }
}

#[test]
fn an_example_of_a_letter_has_the_names_that_the_letter_itself_has() {
    use super::letter::{Enclosure, Letter, LetterKind};

    let enclosure = Enclosure { is_attached: true, link: None };
    let names = |letter: &Letter| letter.facts().keys().copied().collect::<Vec<_>>();
    let invoice = documents::invoice();
    let letters = [
        (LetterKind::Invoice, Letter::of_document(&invoice, &enclosure).unwrap()),
        (LetterKind::Reminder, Letter::reminder(&invoice, Units::new(100), UnixMillis::MAX, &enclosure).unwrap()),
        (LetterKind::LowCredit, {
            let Document { issuer, customer, account, time_zone, .. } = invoice.clone();
            let money = Denomination::of(&invoice);
            Letter::low_credit(
                &Imprint { issuer, customer, account: account.into(), money, time_zone, at: UnixMillis::new(1) },
                Units::new(1),
                Units::new(2),
            )
            .unwrap()
        }),
    ];
    for (kind, letter) in letters {
        assert_eq!(names(&letter), names(&Letter::example(kind, "en")), "{kind:?}");
    }
}

#[test]
fn an_example_of_a_letter_sums_up_what_such_a_letter_does() {
    use super::letter::{Enclosure, Letter, LetterKind};

    let enclosure = Enclosure { is_attached: true, link: None };
    for (kind, document, sum) in [
        (LetterKind::Invoice, documents::invoice(), "Amount to pay: EUR "),
        (LetterKind::Statement, documents::statement(), "Closing balance: EUR "),
        (LetterKind::CreditNote, documents::credit_note(), "Amount credited: EUR "),
    ] {
        for letter in [Letter::of_document(&document, &enclosure).unwrap(), Letter::example(kind, "en")] {
            assert!(letter.text().contains(sum), "{kind:?}: {}", letter.text());
            for how in ["IBAN", "Please state the number "] {
                assert_eq!(letter.text().contains(how), kind == LetterKind::Invoice, "{kind:?}: {how}");
            }
        }
    }
    let receipt = Letter::example(LetterKind::Receipt, "en").text();
    assert!(receipt.contains("Amount received: EUR ") && !receipt.contains("IBAN") && !receipt.contains("https:"), "{receipt}");
    assert!(Letter::example(LetterKind::Reminder, "en").text().contains("Still to pay: EUR "));
}
