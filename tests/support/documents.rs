//! Sample documents of every kind, whose figures add up.

use super::{Adjustment, Cause, Document, DocumentKind, Exemption, Issuer, Item, OpenInvoice, Party, Relief, TaxLine, UnixMillis, Wallet};
use domain::money::Units;

/// The instant of an RFC 3339 text.
pub fn at(text: &str) -> UnixMillis {
    UnixMillis::new(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Amounts of the samples have five decimals: "86.10148".
pub fn euros(text: &str) -> Units {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    Units::new(format!("{whole}{fraction:0<5}").parse().unwrap())
}

/// An item: "usage | Voice | national calls | 12.5 minute | 3 | 1.25".
pub fn item(text: &str) -> Item {
    let fields: Vec<&str> = text.split('|').map(str::trim).collect();
    let [category, item, description, quantity, count, amount] = fields[..] else { panic!("{text}: not six fields") };
    let (quantity, unit) = quantity.split_once(' ').unwrap_or((quantity, ""));
    Item {
        category: category.to_owned(),
        item: item.to_owned(),
        name: String::new(),
        unit_price: String::new(),
        description: description.to_owned(),
        quantity: quantity.to_owned(),
        unit: unit.to_owned(),
        count: count.parse().unwrap(),
        amount: Units::new(euros(amount).get()),
        first_use: at("2026-11-03T08:12:00Z"),
        last_use: at("2026-11-28T19:40:00Z"),
    }
}

fn empty(kind: DocumentKind, number: &str) -> Document {
    Document {
        kind,
        number: number.to_owned(),
        cause: Cause::PeriodEnd,
        account: "acme/berlin".into(),
        bill: 7,
        issuer: Issuer {
            name: "Nordlicht Telecom GmbH".to_owned(),
            address: vec!["Speicherstadt 12".to_owned()],
            postal_code: "20457".to_owned(),
            city: "Hamburg".to_owned(),
            country: "DE".to_owned(),
            tax_id: "DE 811 234 567".to_owned(),
            email: "billing@nordlicht.example".to_owned(),
            phone: "+49 40 555 0100".to_owned(),
            website: "nordlicht.example".to_owned(),
            payment: ["Nordbank, IBAN DE02 1203 0000 0000 2020 51", "BIC BYLADEM1001"].map(str::to_owned).to_vec(),
            footer: vec!["Registered at the Hamburg local court, HRB 123456. Managing director: Grete Sommer".to_owned()],
            logo: None,
        },
        customer: Party {
            name: "Acme Maschinenbau Berlin GmbH".to_owned(),
            address: ["Accounts payable", "Chausseestraße 84", "10115 Berlin", "Germany"].map(str::to_owned).to_vec(),
            tax_id: "DE 299 876 543".to_owned(),
            email: String::new(),
            language: String::new(),
        },
        currency: "EUR".to_owned(),
        decimals: 5,
        minor_digits: 2,
        time_zone: "Europe/Berlin".to_owned(),
        period_from: at("2026-11-03T08:12:00Z"),
        period_to: at("2026-11-30T23:00:00Z"),
        issued_at: at("2026-12-01T00:04:10Z"),
        due_at: None,
        items: Vec::new(),
        deducted: Vec::new(),
        wallet: None,
        adjustments: Vec::new(),
        open_invoices: Vec::new(),
        items_total: Units::ZERO,
        rounding: Units::ZERO,
        brought_forward: Units::ZERO,
        total: Units::ZERO,
        taxes: Vec::new(),
        deducted_taxes: Vec::new(),
        exemption: None,
        credit_applied: Units::ZERO,
        amount_to_pay: Units::ZERO,
        refers_to: String::new(),
        reason: String::new(),
    }
}

/// Works out what follows from the items: rounding half-up to the cent, totals, tax, due date.
fn with_items(mut document: Document, items: &[&str]) -> Document {
    document.items = items.iter().map(|text| item(text)).collect();
    added_up(document)
}

fn added_up(mut document: Document) -> Document {
    document.items_total = document.items.iter().map(|item| item.amount).sum();
    let charged = Units::new((document.items_total.get() + 500).div_euclid(1000) * 1000);
    document.rounding = charged - document.items_total;
    document.total = charged + document.brought_forward;
    document.taxes = taxes(charged);
    document.amount_to_pay = document.total - document.credit_applied;
    document.due_at = (document.kind == DocumentKind::Invoice).then(|| at("2026-12-15T11:00:00Z"));
    document
}

/// 19 in 119, to the cent, of an amount in whole cents.
fn taxes(gross: Units) -> Vec<TaxLine> {
    let categories = ["usage", "subscription", "hardware", "service"].map(str::to_owned).to_vec();
    vec![TaxLine { rate: "19".parse().unwrap(), categories, gross, tax: tax_within(gross) }]
}

fn tax_within(charged: Units) -> Units {
    Units::new((charged.get() * 19 / 119 + 500).div_euclid(1000) * 1000)
}

/// A month of a postpaid account, with charges of all categories, a refund, and a sum that is rounded: 640.14048.
pub fn invoice() -> Document {
    let items = [
        "usage | Voice, national | Calls to landline and mobile networks in Germany | 12431 minute | 3121 | 124.31",
        "usage | Voice, international | Calls to 41 countries | 1913.366 minute | 212 | 86.10148",
        "usage | SMS | | 5210 message | 5210 | 77.629",
        "usage | Mobile data | Pooled between all SIM cards | 48.75 GB | 9120 | 97.5",
        "usage | Voice, international | Wrong rate for Norway on 9 November | 71 minute | 2 | -3.20000",
        "subscription | Flat S | Two lines | 2 month | 2 | 59.8",
        "hardware | SIP phone T42 | Serial number 00-15-65-A1 | 1 piece | 1 | 119",
        "service | Installation on site | | 1.5 hour | 1 | 79",
    ];
    with_items(empty(DocumentKind::Invoice, "INV-2026-000123"), &items)
}

/// An overpayment of 424 pays a part of 500: 76 are due.
pub fn overpaid_invoice() -> Document {
    let document = Document { credit_applied: Units::new(euros("424").get()), ..empty(DocumentKind::Invoice, "INV-2026-000124") };
    with_items(document, &["usage | API calls | | 100000 call | 100000 | 500"])
}

/// A prepaid debt of 8.67 that became due by a conversion.
pub fn invoice_with_a_debt() -> Document {
    let document = Document { brought_forward: Units::new(euros("8.67").get()), ..empty(DocumentKind::Invoice, "INV-2026-000125") };
    with_items(document, &["usage | API calls | | 8266 call | 8266 | 41.33"])
}

/// A prepaid month that ends with the balance of 86.10148.
pub fn statement() -> Document {
    let mut document = empty(DocumentKind::Statement, "STM-2026-000045");
    document.deducted = [
        "usage | Voice, national | | 3139.852 minute | 803 | 31.39852",
        "usage | Mobile data | | 20 GB | 411 | 40",
        "usage | SMS | | 500 message | 500 | 10",
        "usage | SMS | Not delivered | 125 message | 125 | -2.5",
    ]
    .map(item)
    .to_vec();
    document.wallet = Some(Wallet {
        opening: Units::new(euros("20").get()),
        paid_in: Units::new(euros("150").get()),
        reversed: Units::ZERO,
        charged: (euros("-81.39852")),
        refunded: Units::new(euros("2.5").get()),
        withdrawn: (euros("-10")),
        adjusted: Units::new(euros("5").get()),
        written_off: Units::ZERO,
        not_itemized: Units::ZERO,
        invoiced: Units::ZERO,
        rounded: Units::ZERO,
        closing: Units::new(euros("86.10148").get()),
    });
    document.adjustments =
        vec![Adjustment { time: at("2026-11-20T12:00:00Z"), amount: Units::new(euros("5").get()), reason: "Late delivery".to_owned() }];
    document.taxes = taxes(euros("78.89852"));
    document
}

/// The first bill after a conversion to postpaid: 12.50 deducted as prepaid, 100 to buy, of which the 17.50 that were left pay a part.
pub fn bill_with_both_parts() -> Document {
    let mut document = Document { credit_applied: Units::new(euros("17.5").get()), ..empty(DocumentKind::Invoice, "INV-2026-000126") };
    document.deducted = vec![item("usage | Voice, national | | 1250 minute | 341 | 12.5")];
    document.wallet = Some(Wallet {
        opening: Units::new(euros("30").get()),
        charged: (euros("-12.5")),
        closing: Units::new(euros("17.5").get()),
        ..Wallet::default()
    });
    // 12.50 x 19 / 119 = 1.9957...
    document.deducted_taxes = taxes(euros("12.5"));
    with_items(document, &["usage | Voice, national | | 4000 minute | 1103 | 40", "subscription | Flat M | | 1 month | 1 | 60"])
}

/// Cut by a conversion to prepaid.
pub fn final_invoice() -> Document {
    let document = Document {
        cause: Cause::Conversion,
        period_to: at("2026-11-17T13:30:00Z"),
        issued_at: at("2026-11-17T13:30:01Z"),
        ..empty(DocumentKind::Invoice, "INV-2026-000127")
    };
    with_items(document, &["usage | API calls | | 20000 call | 20000 | 100"])
}

/// A charge that is its own bill.
pub fn single_charge() -> Document {
    let cut = at("2026-11-12T09:15:00Z");
    let mut document = Document {
        cause: Cause::SingleCharge,
        period_from: cut,
        period_to: cut,
        issued_at: cut,
        ..empty(DocumentKind::Invoice, "INV-2026-000128")
    };
    document.items = vec![Item { first_use: cut, last_use: cut, ..item("hardware | Rack server R1 | | 1 piece | 1 | 2086.1") }];
    added_up(document)
}

/// A refund of what was already invoiced.
pub fn credit_note() -> Document {
    let cut = at("2026-12-03T10:00:00Z");
    let mut document = Document {
        cause: Cause::Refund,
        period_from: cut,
        period_to: cut,
        issued_at: cut,
        refers_to: "INV-2026-000123".to_owned(),
        reason: "The phone was returned".to_owned(),
        ..empty(DocumentKind::CreditNote, "CRN-2026-000009")
    };
    document.items =
        vec![Item { first_use: cut, last_use: cut, ..item("hardware | SIP phone T42 | Serial number 00-15-65-A1 | 1 piece | 1 | 119") }];
    document.items_total = Units::new(euros("119").get());
    document.total = Units::new(euros("119").get());
    document.taxes = taxes(euros("119"));
    document
}

/// The invoice before it is issued.
pub fn draft() -> Document {
    let taxes = Vec::new();
    let (issuer, customer) = (Issuer::default(), Party::default());
    Document { number: String::new(), issued_at: UnixMillis::NONE, due_at: None, issuer, customer, taxes, ..invoice() }
}

/// In German, with all that an invoice can have.
pub fn german() -> Document {
    let mut document = two_rates();
    document.number = "INV-2026-000134".to_owned();
    document.customer.language = "de".to_owned();
    document.items.push(item("usage | Daten | Gemeinsames Volumen | 1234.5 GB | 1200 | 0"));
    document
}

/// The same of one who has an invoice open.
pub fn statement_with_an_open_invoice() -> Document {
    let due_at = at("2026-11-15T11:00:00Z");
    let open_invoices = vec![OpenInvoice { number: "INV-2026-000099".to_owned(), due_at, open: Units::new(euros("70").get()) }];
    Document { number: "STM-2026-000046".to_owned(), open_invoices, ..statement() }
}

/// Two rates: 10.005 at 19 % and 10.005 at 7 %, as domain.md works it out.
pub fn two_rates() -> Document {
    let items = ["usage | Voice, national | | 100 minute | 20 | 10.005", "hardware | Handbook, printed | | 1 piece | 1 | 10.005"];
    let mut document = with_items(empty(DocumentKind::Invoice, "INV-2026-000132"), &items);
    let line = |rate: &str, category: &str, gross, tax| TaxLine {
        rate: rate.parse().unwrap(),
        categories: vec![category.to_owned()],
        gross: Units::new(euros(gross).get()),
        tax: Units::new(euros(tax).get()),
    };
    document.taxes = vec![line("19", "usage", "10.01", "1.6"), line("7", "hardware", "10", "0.65")];
    document
}

/// Of a customer who owes the tax.
pub fn reverse_charge() -> Document {
    let mut document = with_items(empty(DocumentKind::Invoice, "INV-2026-000133"), &["usage | API calls | | 1000 call | 1000 | 100"]);
    document.taxes = vec![TaxLine {
        rate: "0".parse().unwrap(),
        categories: vec!["usage".to_owned()],
        gross: Units::new(euros("100").get()),
        tax: Units::ZERO,
    }];
    document.exemption = Some(Exemption { relief: Relief::ReverseCharge, reason: "Article 196 of Directive 2006/112/EC".to_owned() });
    document
}

/// Names from everywhere, names without end, and names that mean harm.
pub fn strange_names() -> Document {
    let long = "Kapazitätserweiterungsvereinbarung".repeat(8);
    let items = [
        "usage | <script>alert('x')</script> | \"quotes\" & 'apostrophes' \\ back | 1 <b>GB</b> | 1 | 1",
        "usage | 東京の通話 | 日本語の説明 | 1 分 | 1 | 1",
        "usage | مكالمات دولية 42 دقيقة | شركة الاتصالات | 42 دقيقة | 1 | 1",
        "usage | שיחות בינלאומיות | | 1 דקה | 1 | 1",
        "usage | Звонки за границу · Ελληνικά · Łódź · Ōsaka · Zoë | 🦀 crab, 👩‍👧 family, a\u{301} accent | 1 мин | 1 | 1",
        "usage | right\u{202e}tfel to left | \u{0}\u{7}control\ncharacters\t | 1 x | 1 | 1",
        "usage | One line\r\nand another | | 1234567890.123456 a-unit-with-a-very-long-name | 1 | -12345.67891",
        "a category of its own, with a long name that nobody knows, of all things, and which goes on for longer than a line | | | | 1 | 99999.99999",
        "usage | | | | 1 | 0.00001",
        "usage | | Only a description | | 1 | 0",
    ];
    let mut document = empty(DocumentKind::Invoice, "INV-</style>\"2026\\");
    document.customer.name = "株式会社 Müller & <Söhne> שלום".to_owned();
    document.customer.address = vec!["улица 5".to_owned(), "</style><img src=x onerror=alert(1)>".to_owned(), "x".repeat(200)];
    document.issuer.name = "\"; } body { display: none } <!-- ".to_owned();
    document.period_to = at("2027-01-02T00:00:00Z");
    let mut document = with_items(document, &items);
    document.items.push(Item { item: long, ..item("usage | x | | 1 x | 1 | 1") });
    document.items.push(Item {
        item: "far too long ".repeat(600),
        description: "and more ".repeat(400),
        ..item("usage | x | | 1 x | 1 | 1")
    });
    added_up(document)
}

/// An account without minor units.
pub fn yen() -> Document {
    let mut document = with_items(empty(DocumentKind::Invoice, "INV-2026-000130"), &["usage | API calls | | 1000 call | 1000 | 123"]);
    document.items.push(item("subscription | Flat | | 1 month | 1 | 5000"));
    Document { currency: "JPY".to_owned(), minor_digits: 0, taxes: Vec::new(), ..added_up(document) }
}

/// An invoice of that many items.
pub fn long_invoice(lines: usize) -> Document {
    let mut document = empty(DocumentKind::Invoice, "INV-2026-000131");
    document.items = (0..lines)
        .map(|line| {
            let category = if line * 10 < lines * 9 { "usage" } else { "service" };
            item(&format!(
                "{category} | Call to destination {line} | Rate table {} | {}.5 minute | {} | {}.{:05}",
                line % 17,
                line % 900,
                line % 40 + 1,
                line % 30,
                line % 1000 * 7
            ))
        })
        .collect();
    added_up(document)
}

/// All of them, by name.
pub fn all() -> Vec<(&'static str, Document)> {
    vec![
        ("invoice", invoice()),
        ("overpaid", overpaid_invoice()),
        ("debt", invoice_with_a_debt()),
        ("statement", statement()),
        ("statement-open", statement_with_an_open_invoice()),
        ("both-parts", bill_with_both_parts()),
        ("final", final_invoice()),
        ("single-charge", single_charge()),
        ("credit-note", credit_note()),
        ("draft", draft()),
        ("two-rates", two_rates()),
        ("german", german()),
        ("reverse-charge", reverse_charge()),
        ("strange", strange_names()),
        ("yen", yen()),
        ("long", long_invoice(140)),
    ]
}
