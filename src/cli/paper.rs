//! Papers about an account as files: in which form, and where to.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::client::Client;
use super::failure::Failure;
use super::pipe::output;
use crate::cli::failure::explain;
use crate::grpc::v1::{GetAccountFileRequest, InvoiceForm};

/// The format of a paper, and where to write it.
#[derive(Args, Clone, Debug)]
pub struct PaperOptions {
    /// Write it into a file of this format.
    #[arg(long = "format", alias = "form", value_enum, value_name = "FORMAT")]
    form: Option<Form>,
    /// Write to this file; "-": to the standard output [default: named by what it is, in the current folder]
    #[arg(long, value_name = "PATH", requires = "form")]
    file: Option<PathBuf>,
    /// In CSV, mark text that a spreadsheet would take for a formula as text.
    #[arg(long, requires = "form")]
    for_spreadsheets: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// For archives.
    Pdf,
    /// For the browser and the printer.
    Html,
    /// For spreadsheets and importers.
    Csv,
    /// For machines.
    Json,
}

impl PaperOptions {
    /// Whether a file is asked for.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.form.is_some()
    }

    /// Fetches the file, all of it before anything is written; without a form, as PDF.
    pub async fn write(&self, client: &mut Client, request: GetAccountFileRequest) -> anyhow::Result<()> {
        let form = match self.form {
            Some(Form::Pdf) | None => InvoiceForm::Pdf,
            Some(Form::Html) => InvoiceForm::Html,
            Some(Form::Csv) => InvoiceForm::Csv,
            Some(Form::Json) => InvoiceForm::Json,
        };
        let request = GetAccountFileRequest { form: form.into(), for_spreadsheets: self.for_spreadsheets, ..request };
        let mut parts = client.billing.get_account_file(request).await.map_err(explain)?.into_inner();
        let (mut name, mut content) = (String::new(), Vec::new());
        while let Some(part) = parts.message().await.map_err(explain)? {
            if name.is_empty() {
                name = part.file_name;
            }
            content.extend(part.content);
        }
        save(self.file.as_deref(), &name, &content)
    }
}

/// Writes a file where it was asked for, or by the name that the service gave it.
pub fn save(path: Option<&Path>, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = match path {
        Some(path) if path == Path::new("-") => {
            return output().write_all(content).context("cannot write to the standard output");
        }
        Some(path) => path.to_owned(),
        // The service's word is not taken for a place elsewhere.
        None => PathBuf::from(Path::new(name).file_name().ok_or_else(|| Failure::refused("the service has not named the file"))?),
    };
    std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}
