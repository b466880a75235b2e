//! `tollgate invoice files`: all documents of a month, each in a file of its own, in a folder or in one archive.
//!
//! A file gets its name when it is whole, and what is there is not fetched again: what broke off is repeated. Ctrl-C ends the command as if
//! the rest had failed, so that also an archive keeps what was fetched.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use zip::ZipArchive;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::failure::explain;
use crate::cli::output::{instant, to_message};
use crate::cli::pages;
use crate::grpc::v1::{GetInvoiceFileRequest, Invoice, InvoiceCause, InvoiceForm, InvoiceState, ListInvoicesRequest};

/// How many files are fetched at once.
const AT_ONCE: usize = 4;

/// How many errors are shown.
const SHOWN: usize = 20;

/// Which documents to write, and where.
#[derive(Args, Debug)]
pub struct FilesOptions {
    /// The billing month, such as 2026-10.
    #[arg(long, value_name = "MONTH")]
    month: Month,
    /// What to write.
    #[arg(long = "format", alias = "form", value_enum, default_value_t = Form::Pdf)]
    form: Form,
    /// The folder; or the archive, if it ends in .zip.
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A page for the printer.
    Pdf,
    /// A page for the browser.
    Html,
    /// All of it, for machines.
    Json,
    /// The usage records that it bills.
    Csv,
}

impl Form {
    fn of_message(self) -> (InvoiceForm, &'static str) {
        match self {
            Self::Pdf => (InvoiceForm::Pdf, "pdf"),
            Self::Html => (InvoiceForm::Html, "html"),
            Self::Json => (InvoiceForm::Json, "json"),
            Self::Csv => (InvoiceForm::Csv, "csv"),
        }
    }
}

/// A month of the calendar, by its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Month(Date);

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = text.split_once('-').and_then(|(year, month)| Some((year.parse().ok()?, month.parse().ok()?)));
        let first = first.filter(|_| text.len() == 7).and_then(|(year, month)| Date::new(year, month, 1).ok());
        first.map(Self).ok_or_else(|| "must be a month such as 2026-10".to_owned())
    }
}

impl fmt::Display for Month {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.strftime("%Y-%m"))
    }
}

impl Month {
    /// Instants before and behind it, whatever the time zone.
    fn around(self) -> anyhow::Result<(Timestamp, Timestamp)> {
        let (before, behind) = (self.0.checked_sub(1.day())?, self.0.checked_add(1.month())?.checked_add(2.days())?);
        Ok((before.to_zoned(TimeZone::UTC)?.timestamp(), behind.to_zoned(TimeZone::UTC)?.timestamp()))
    }

    /// Whether a document is of it: a period ends where the next one begins.
    fn has(self, invoice: &Invoice) -> bool {
        let Some(cut_at) = instant(invoice.period_to) else { return false };
        let zone = TimeZone::get(&invoice.time_zone).unwrap_or(TimeZone::UTC);
        let last = if invoice.cause() == InvoiceCause::PeriodEnd { cut_at - 1.millisecond() } else { cut_at };
        last.to_zoned(zone).date().first_of_month() == self.0
    }
}

/// Writes them, and says what could not be written.
pub async fn run(client: &mut Client, options: FilesOptions) -> anyhow::Result<ExitCode> {
    let (form, ending) = options.form.of_message();
    let numbers = numbers(client, options.month).await?;
    if numbers.is_empty() {
        println!("no documents were issued for {}", options.month);
        return Ok(ExitCode::SUCCESS);
    }
    let mut target = Target::open(&options.to)?;
    let all = numbers.len();
    let missing: Vec<_> = numbers.into_iter().filter(|number| !target.has(&file_name(number, ending))).collect();
    let (wanted, bar) = (missing.len(), progress(missing.len()));
    let mut fetched = stream::iter(missing)
        .map(|number| {
            let client = client.clone();
            async move {
                let content = fetch(client, &number, form).await;
                (number, content)
            }
        })
        .buffer_unordered(AT_ONCE);
    let (mut errors, mut written) = (Vec::new(), 0);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let next = tokio::select! {
            _ = &mut interrupted => break,
            next = fetched.next() => next,
        };
        match next {
            None => break,
            Some((number, Ok(content))) => {
                target.write(&file_name(&number, ending), &content)?;
                written += 1;
            }
            Some((number, Err(error))) => errors.push(format!("{number}: {error:#}")),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    target.finish()?;
    println!("{written} written, {} were there, {} not written: {}", all - wanted, wanted - written, options.to.display());
    for error in errors.iter().take(SHOWN) {
        eprintln!("{error}");
    }
    match wanted - written {
        0 => Ok(ExitCode::SUCCESS),
        count => Err(Failure::refused(format!("{count} of {all} documents were not written; repeat the command for them")).into()),
    }
}

fn progress(count: usize) -> ProgressBar {
    let bar = ProgressBar::new(count as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} documents, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// The numbers of what was issued for a month.
async fn numbers(client: &mut Client, month: Month) -> anyhow::Result<Vec<String>> {
    let (from, to) = month.around()?;
    let wanted = ListInvoicesRequest {
        state: InvoiceState::Issued.into(),
        cut_from: Some(to_message(from)),
        cut_to: Some(to_message(to)),
        ..Default::default()
    };
    let page =
        async |page_size, page_token| client.billing.list_invoices(ListInvoicesRequest { page_size, page_token, ..wanted.clone() }).await;
    let found = pages::fetch(None, page).await?.invoices;
    Ok(found.into_iter().filter(|invoice| month.has(invoice)).map(|invoice| invoice.number).collect())
}

async fn fetch(mut client: Client, number: &str, form: InvoiceForm) -> anyhow::Result<Vec<u8>> {
    let request = GetInvoiceFileRequest { number: number.to_owned(), form: form.into(), ..GetInvoiceFileRequest::default() };
    let parts = client.billing.get_invoice_file(request).await.map_err(explain)?.into_inner();
    let whole = parts.try_fold(Vec::new(), |mut whole, part| async move {
        whole.extend(part.content);
        Ok(whole)
    });
    whole.await.map_err(explain)
}

/// Where files go.
enum Target {
    Folder(PathBuf),
    Archive { path: PathBuf, part: PathBuf, names: HashSet<String>, writer: Box<ZipWriter<File>> },
}

impl Target {
    fn open(path: &Path) -> anyhow::Result<Self> {
        if path.extension().is_none_or(|ending| ending != "zip") {
            std::fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
            return Ok(Self::Folder(path.to_owned()));
        }
        // The archive that is there stays as it is until the new one is whole.
        let part = path.with_extension("zip.part");
        let cannot = || format!("cannot write {}", part.display());
        let (mut names, mut writer) = (HashSet::new(), None);
        if path.exists() {
            let is_none = || format!("{} is not an archive", path.display());
            let archive = ZipArchive::new(File::open(path).with_context(is_none)?).with_context(is_none)?;
            names.extend(archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())));
            std::fs::copy(path, &part).with_context(cannot)?;
            let file = File::options().read(true).write(true).open(&part).with_context(cannot)?;
            writer = Some(ZipWriter::new_append(file).with_context(cannot)?);
        }
        let writer = match writer {
            Some(writer) => writer,
            None => ZipWriter::new(File::create(&part).with_context(cannot)?),
        };
        Ok(Self::Archive { path: path.to_owned(), part, names, writer: Box::new(writer) })
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).exists(),
            Self::Archive { names, .. } => names.contains(name),
        }
    }

    fn write(&mut self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Folder(folder) => {
                let part = folder.join(format!("{name}.part"));
                std::fs::write(&part, content)
                    .and_then(|()| std::fs::rename(&part, folder.join(name)))
                    .with_context(|| format!("cannot write {name} into {}", folder.display()))
            }
            Self::Archive { writer, .. } => {
                writer.start_file(name, SimpleFileOptions::default())?;
                writer.write_all(content).with_context(|| format!("cannot write {name} into the archive"))
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        if let Self::Archive { path, part, writer, .. } = self {
            writer.finish()?.sync_all()?;
            std::fs::rename(&part, &path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// The name of a document's file. What may not stand in a name everywhere is escaped, so that two numbers never share a file.
fn file_name(number: &str, ending: &str) -> String {
    let escaped = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let name: String = number.bytes().map(escaped).collect();
    format!("{name}.{ending}")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_document_is_of_the_month_that_it_covers() {
        let of = |cut: &str, cause: InvoiceCause, zone: &str| Invoice {
            period_to: Some(to_message(cut.parse().unwrap())),
            cause: cause.into(),
            time_zone: zone.to_owned(),
            ..Invoice::default()
        };
        let october: Month = "2026-10".parse().unwrap();
        assert_eq!(october, Month(date(2026, 10, 1)));
        assert!(october.has(&of("2026-11-01T00:00:00Z", InvoiceCause::PeriodEnd, "UTC")));
        assert!(!october.has(&of("2026-11-01T00:00:00Z", InvoiceCause::Conversion, "UTC")));
        assert!(!october.has(&of("2026-10-01T00:00:00Z", InvoiceCause::PeriodEnd, "UTC")));
        assert!(october.has(&of("2026-09-30T22:00:00Z", InvoiceCause::Refund, "Europe/Berlin")));
        assert!(["2026-13", "2026-1", "26-10", "october"].iter().all(|text| text.parse::<Month>().is_err()));
    }
    #[test]
    fn two_numbers_never_share_a_file() {
        assert_eq!(file_name("INV-2026_1.000001", "pdf"), "INV-2026_1.000001.pdf");
        assert_eq!(file_name("A/2026:000001", "csv"), "A%2F2026%3A000001.csv");
        assert_ne!(file_name("A/1", "pdf"), file_name("A%2F1", "pdf"));
    }
}
