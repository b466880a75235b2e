//! stub
use std::process::ExitCode;
/// Options.
#[derive(clap::Args, Debug)]
pub struct DemoOptions {}
impl DemoOptions {
    /// Validates.
    pub fn validate(&self) -> anyhow::Result<()> {
        Ok(())
    }
}
/// Runs.
pub fn run(_options: DemoOptions) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
