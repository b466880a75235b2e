//! Bank statements as ISO 20022 camt.053, of whichever version: elements are known by their names, whatever the namespace.

use jiff::civil::Date;
use roxmltree::{Document, Node, ParsingOptions};

use super::{Line, MOST_LINES, Problem, Statement, Unreadable, tidy};
use domain::account::Currency;
use domain::money::DecimalAmount;

/// The most nodes of a document. Entities are not declared in it: `roxmltree` refuses a DTD.
const MOST_NODES: u32 = 200_000;

/// Reads a statement.
pub fn read(text: &str) -> Result<Statement, Unreadable> {
    let at = |problem, place| Unreadable { problem, place };
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|_| at(Problem::UnknownFormat, 0))?;
    let statements: Vec<_> = document.root().descendants().filter(|node| node.has_tag_name_of("Stmt")).collect();
    if statements.is_empty() {
        return Err(at(Problem::UnknownFormat, 0));
    }
    let mut read = Statement::default();
    for (index, entry) in statements.iter().flat_map(|statement| statement.children_of("Ntry")).enumerate() {
        entry_of(entry, index + 1, &mut read)?;
        if read.lines.len() > MOST_LINES {
            return Err(at(Problem::TooLarge, index + 1));
        }
    }
    Ok(read)
}

/// Reads an entry: one line, or one for each of its transactions if the bank has put several together.
fn entry_of(entry: Node, place: usize, read: &mut Statement) -> Result<(), Unreadable> {
    let at = |problem| Unreadable { problem, place };
    let status = entry.child("Sts").map(|status| status.child("Cd").unwrap_or(status).said()).unwrap_or_default();
    let is_reversal = entry.child("RvslInd").is_some_and(|node| matches!(node.said().as_str(), "true" | "1"));
    let is_in = entry.child("CdtDbtInd").is_some_and(|node| node.said() == "CRDT") && !is_reversal;
    if !is_in || !(status.is_empty() || status == "BOOK") {
        read.others += 1;
        return Ok(());
    }
    let day = entry.child("BookgDt").ok_or(at(Problem::Missing("BookgDt")))?;
    let day = day.child("Dt").or_else(|| day.child("DtTm")).map(|node| node.said()).unwrap_or_default();
    let day: Date = day.get(..10).and_then(|day| day.parse().ok()).ok_or(at(Problem::Day))?;
    let whole = entry.child("Amt").ok_or(at(Problem::Missing("Amt")))?;
    let details: Vec<_> = entry.children_of("NtryDtls").flat_map(|details| details.children_of("TxDtls").collect::<Vec<_>>()).collect();
    if details.len() < 2 {
        let line = line_of(details.first().copied().unwrap_or(entry), entry, day, whole, place)?;
        read.lines.push(line);
        return Ok(());
    }
    for one in details {
        // Within what came in, taken together, single movements may go out.
        if one.child("CdtDbtInd").is_some_and(|node| node.said() == "DBIT") {
            read.others += 1;
            continue;
        }
        let of_details = one.child("AmtDtls").and_then(|details| details.child("TxAmt")).and_then(|amount| amount.child("Amt"));
        let amount = one.child("Amt").or(of_details).ok_or(at(Problem::Missing("TxDtls/Amt")))?;
        read.lines.push(line_of(one, entry, day, amount, place)?);
    }
    Ok(())
}

fn line_of(details: Node, entry: Node, day: Date, amount: Node, place: usize) -> Result<Line, Unreadable> {
    let at = |problem| Unreadable { problem, place };
    let currency = amount.attribute("Ccy").unwrap_or_default();
    let amount = DecimalAmount::parse(&amount.said()).ok().filter(|amount| !amount.is_negative() && !amount.is_zero());
    let debtor = details.child("RltdPties").and_then(|parties| parties.child("Dbtr"));
    let payer = debtor.and_then(|debtor| debtor.child("Nm").or_else(|| debtor.child("Pty").and_then(|party| party.child("Nm"))));
    let remittance = details.child("RmtInf");
    let mut said: Vec<String> = remittance.iter().flat_map(|node| node.children_of("Ustrd")).map(|node| node.said()).collect();
    let structured = remittance.iter().flat_map(|node| node.children_of("Strd"));
    said.extend(structured.filter_map(|node| Some(node.child("CdtrRefInf")?.child("Ref")?.said())));
    said.extend(entry.child("AddtlNtryInf").filter(|_| said.is_empty()).map(|node| node.said()));
    let references = details.child("Refs");
    let end_to_end = references.and_then(|references| references.child("EndToEndId")).map(|node| node.said());
    let of_bank = references.and_then(|references| references.child("AcctSvcrRef")).or_else(|| entry.child("AcctSvcrRef"));
    let is_said = |text: &String| !text.is_empty() && text != "NOTPROVIDED";
    let reference = end_to_end.filter(is_said).or_else(|| of_bank.map(|node| node.said())).unwrap_or_default();
    Ok(Line {
        day,
        amount: amount.ok_or(at(Problem::Amount))?,
        currency: Currency::parse(currency).ok_or(at(Problem::Currency))?,
        payer: payer.map(|node| tidy(&node.said())).unwrap_or_default(),
        text: tidy(&said.join(" ")),
        reference: tidy(&reference),
        digest: String::new(),
    })
}

/// Elements by their names alone.
trait Named<'a>: Sized {
    fn has_tag_name_of(&self, name: &str) -> bool;
    fn child(&self, name: &str) -> Option<Self>;
    fn children_of(&self, name: &str) -> impl Iterator<Item = Self>;
    fn said(&self) -> String;
}

impl<'a> Named<'a> for Node<'a, 'a> {
    fn has_tag_name_of(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }

    fn child(&self, name: &str) -> Option<Self> {
        self.children().find(|node| node.has_tag_name_of(name))
    }

    fn children_of(&self, name: &str) -> impl Iterator<Item = Self> {
        self.children().filter(move |node| node.has_tag_name_of(name))
    }

    fn said(&self) -> String {
        self.text().unwrap_or_default().trim().to_owned()
    }
}
