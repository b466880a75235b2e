//! Bank statements as CSV: a line of headings, in whichever order and language banks have them, and a line for each movement.

use jiff::civil::Date;

use super::{Line, Problem, Statement, Unreadable, tidy};
use domain::account::Currency;
use domain::money::DecimalAmount;

/// Headings by what they mean, in lower case.
const DAY: &[&str] = &["date", "booking date", "booked", "buchungstag", "buchungsdatum", "datum", "valuta"];
const AMOUNT: &[&str] = &["amount", "betrag", "umsatz", "betrag (eur)"];
const CURRENCY: &[&str] = &["currency", "währung", "waehrung"];
const PAYER: &[&str] = &[
    "name",
    "payer",
    "counterparty",
    "auftraggeber",
    "beguenstigter/zahlungspflichtiger",
    "name zahlungsbeteiligter",
    "zahlungspflichtiger",
];
const TEXT: &[&str] = &["text", "description", "remittance information", "purpose", "verwendungszweck", "buchungstext"];
const REFERENCE: &[&str] = &["reference", "end-to-end reference", "kundenreferenz", "kundenreferenz (end-to-end)", "referenz"];

/// Reads a statement.
pub fn read(text: &str) -> Result<Statement, Unreadable> {
    let at = |problem, place| Unreadable { problem, place };
    let heading = text.lines().next().unwrap_or_default();
    let count = |mark: char| heading.matches(mark).count();
    let delimiter = [b';', b'\t', b','].into_iter().max_by_key(|mark| count(char::from(*mark))).filter(|mark| count(char::from(*mark)) > 0);
    let Some(delimiter) = delimiter else { return Err(at(Problem::UnknownFormat, 0)) };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let headings = reader.headers().map_err(|_| at(Problem::UnknownFormat, 1))?.clone();
    let column = |names: &[&str]| {
        let is_one = |heading: &str| names.contains(&heading.trim().to_lowercase().as_str());
        headings.iter().position(is_one)
    };
    let needed = |names: &[&'static str]| column(names).ok_or(at(Problem::Missing(names.first().copied().unwrap_or_default()), 1));
    let (day, amount, currency, what_for) = (needed(DAY)?, needed(AMOUNT)?, needed(CURRENCY)?, needed(TEXT)?);
    let (payer, reference) = (column(PAYER), column(REFERENCE));
    let mut statement = Statement::default();
    for (index, record) in reader.records().enumerate() {
        let place = index + 2;
        let record = record.map_err(|_| at(Problem::UnknownFormat, place))?;
        let cell = |column: usize| record.get(column).map(str::trim).unwrap_or_default();
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let amount = read_amount(cell(amount)).ok_or(at(Problem::Amount, place))?;
        if amount.is_negative() || amount.is_zero() {
            statement.others += 1;
            continue;
        }
        statement.lines.push(Line {
            day: read_day(cell(day)).ok_or(at(Problem::Day, place))?,
            amount,
            currency: Currency::parse(&cell(currency).to_uppercase()).ok_or(at(Problem::Currency, place))?,
            payer: payer.map(|column| tidy(cell(column))).unwrap_or_default(),
            text: tidy(cell(what_for)),
            reference: reference.map(|column| tidy(cell(column))).unwrap_or_default(),
            digest: String::new(),
        });
    }
    Ok(statement)
}

/// Reads a day: "2026-11-03", "03.11.2026" or "03.11.26".
fn read_day(text: &str) -> Option<Date> {
    if let Ok(day) = text.parse::<Date>() {
        return Some(day);
    }
    let mut parts = text.split('.').map(|part| part.parse::<i16>().ok());
    let (day, month, year) = (parts.next()??, parts.next()??, parts.next()??);
    let year = if year < 100 { 2000 + year } else { year };
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Reads an amount: with a point or a comma before the fraction, and with or without groups of thousands. What could be either is refused.
fn read_amount(text: &str) -> Option<DecimalAmount> {
    let text: String = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '\'').collect();
    let text = text.replace('−', "-");
    let text = text.strip_prefix('+').unwrap_or(&text);
    let marks: Vec<(usize, char)> = text.char_indices().filter(|(_, letter)| matches!(letter, '.' | ',')).collect();
    let plain = match marks.last() {
        None => text.to_owned(),
        Some((place, mark)) => {
            let fraction = text.get(place + 1..)?;
            let is_single = marks.iter().filter(|(_, other)| other == mark).count() == 1;
            // Three digits behind the only mark may be thousands.
            if !is_single || fraction.len() == 3 || fraction.is_empty() {
                return None;
            }
            let whole: String = text.get(..*place)?.chars().filter(|letter| !matches!(letter, '.' | ',')).collect();
            format!("{whole}.{fraction}")
        }
    };
    DecimalAmount::parse(&plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::Currency;

    #[test]
    fn amounts_are_read_as_banks_write_them_and_what_is_ambiguous_is_not() {
        for (text, amount) in [
            ("1.234,56", "1234.56"),
            ("1,234.56", "1234.56"),
            ("1 234,5", "1234.5"),
            ("1'234.50", "1234.50"),
            ("+19,00", "19.00"),
            ("-5", "-5"),
            ("1.234.567,89", "1234567.89"),
        ] {
            assert_eq!(read_amount(text), Some(DecimalAmount::parse(amount).unwrap()), "{text}");
        }
        for text in ["1.234", "1,234", "1.234.567", "12,", "x", ""] {
            assert_eq!(read_amount(text), None, "{text}");
        }
        assert_eq!(read_day("03.11.26"), read_day("2026-11-03"));
        assert_eq!(read_day("31.02.2026"), None);
    }

    #[test]
    fn columns_are_known_by_their_headings() {
        let text = "Buchungstag;Verwendungszweck;Name;Betrag;Waehrung\n03.11.2026;\"INV-1; danke\";Hafen;190,00;EUR\n04.11.2026;Miete;Haus;-900,00;EUR\n";
        let statement = read(text).unwrap();
        assert_eq!((statement.lines.len(), statement.others), (1, 1));
        let line = &statement.lines[0];
        assert_eq!((line.text.as_str(), line.payer.as_str(), line.currency), ("INV-1; danke", "Hafen", Currency::parse("EUR").unwrap()));
        let problem = |text: &str| read(text).unwrap_err();
        assert_eq!(problem("date,amount,text\n"), Unreadable { problem: Problem::Missing("currency"), place: 1 });
        assert_eq!(problem("date,amount,currency,text\n2026-11-03,1.234,EUR,x"), Unreadable { problem: Problem::Amount, place: 2 });
        assert_eq!(problem("hello").problem, Problem::UnknownFormat);
    }
}
