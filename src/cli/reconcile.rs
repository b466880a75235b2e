//! `tollgate reconcile`: shows where ledger and billing store differ, and what the ledger has lost, and, if told to, has them go on together.
//!
//! Exit codes: 0, nothing differs, or it was reconciled; 1, something differs, or cannot be reconciled so; 3, a store was unavailable.

use std::process::ExitCode;

use clap::Args;

use super::failure::{REFUSED, stores_failure};
use super::pipe::say;
use super::table::table;
use crate::app::Stores;
use crate::billing::reconcile::lost::{accept_loss, reapply_lost};
use crate::billing::reconcile::numbering::NextNumber;
use crate::billing::reconcile::reapply::{Applied, Reapplied, ReapplyTarget, reapply};
use crate::billing::reconcile::torn::finish_step;
use crate::billing::reconcile::{Decision, Difference, RemovedRecords};
use crate::billing::words::words;
use crate::billing::{Billing, Record};
use crate::config::StoresOptions;
use crate::ledger::{Block, Ledger};

/// What to do about it.
#[derive(Args, Debug)]
pub struct ReconcileOptions {
    /// Where ledger and billing store are.
    #[command(flatten)]
    pub stores: StoresOptions,
    /// Only this partition.
    #[arg(long, value_name = "NUMBER")]
    pub partition: Option<u16>,
    /// Go on where nothing differs any more: a partition was stopped, and its cause is gone, for instance because another ledger was
    /// aggregated for a while. Nothing is changed but that.
    #[arg(long, conflicts_with_all = ["reapply", "accept_loss"], requires = "actor", requires = "reason")]
    pub resume: bool,
    /// Ask the ledger again for what it has lost, by the same request ids, and go on: for what only the billing store has, and for what was
    /// acknowledged. Where only the latter is meant, services may go on meanwhile, and there need be no billing store.
    #[arg(long, conflicts_with = "accept_loss", requires = "actor", requires = "reason")]
    pub reapply: bool,
    /// With --reapply: also what was asked longer ago than request ids are remembered. What was repeated since is then done twice, unless
    /// the journal still shows it.
    #[arg(long, requires = "reapply")]
    pub accept_repeats: bool,
    /// Give up what the ledger has lost, and go on: what only the billing store has is taken out of it.
    #[arg(long, requires = "actor", requires = "reason")]
    pub accept_loss: bool,
    /// Finish a step of the ledger that was torn: its entries are in the journal, and what else it had to write is written behind them.
    /// Services may go on meanwhile.
    #[arg(long, conflicts_with_all = ["resume", "reapply", "accept_loss", "accept_gap", "next_number"], requires = "actor", requires = "reason")]
    pub finish: bool,
    /// Go on behind a gap: the billing store was restored from a backup that is older than the journal. What neither has is given up,
    /// and the ledger is believed: each account gets one amount that is not itemized. Stop the services for it.
    #[arg(long, conflicts_with_all = ["resume", "reapply", "accept_loss"], requires = "actor", requires = "reason")]
    pub accept_gap: bool,
    /// Say how a series of numbers goes on behind a gap, such as INV-=1043; until then nothing is issued in it.
    #[arg(long, value_name = "PREFIX=NUMBER", conflicts_with_all = ["resume", "reapply", "accept_loss", "accept_gap"], requires = "actor", requires = "reason")]
    pub next_number: Vec<NextNumber>,
    /// Who decides so; recorded.
    #[arg(long, env = "TOLLGATE_ACTOR", value_name = "NAME")]
    pub actor: Option<String>,
    /// Why; recorded.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// How many entries of a partition are shown.
const MOST_SHOWN: usize = 50;

impl ReconcileOptions {
    /// Says what does not go together, before anything is opened: without a billing store, only torn steps, and what was lost, are looked for.
    pub fn validate(&self) -> anyhow::Result<()> {
        let needs_billing = self.resume || self.accept_gap || !self.next_number.is_empty();
        if needs_billing { self.stores.validate() } else { self.stores.validate_some() }
    }
}

/// Shows what differs, and reconciles it.
pub async fn run(options: ReconcileOptions) -> anyhow::Result<ExitCode> {
    let (ledger, billing) = Stores::open_some(&options.stores).await.map_err(stores_failure)?;
    if options.finish {
        return finish(&ledger, billing.as_ref(), &options).await;
    }
    let is_any_torn = show_torn(&ledger, &options).await?;
    let lost = show_lost(&ledger, &options).await?;
    let code = match &billing {
        Some(billing) => reconcile_with(billing, &ledger, &options).await?,
        None => ExitCode::SUCCESS,
    };
    let mut is_left = false;
    if options.reapply || options.accept_loss {
        is_left = !decide_on_lost(&ledger, billing.as_ref(), &lost, &options).await?;
    } else if !lost.is_empty() {
        // What was asked for besides is done.
        is_left = !(options.resume || options.accept_gap || !options.next_number.is_empty());
        say!("of what was lost: --reapply asks the ledger again, by the same request ids; --accept-loss gives it up");
    }
    Ok(if is_any_torn || is_left { ExitCode::from(REFUSED) } else { code })
}

/// Shows what was acknowledged, and is lost; returns it by partition.
async fn show_lost(ledger: &Ledger, options: &ReconcileOptions) -> anyhow::Result<Vec<(u16, Vec<Block>)>> {
    let mut lost = Vec::new();
    let mut shown = table(["lost", "account", "what", "units", "request id"], 3);
    for partition in partitions(ledger, options) {
        let blocks = ledger.engine().lost_blocks(partition).await?;
        let (Some(first), Some(end)) = (blocks.first(), blocks.iter().map(Block::end).max()) else { continue };
        let count: usize = blocks.iter().map(|block| block.entries.len()).sum();
        say!(
            "partition {partition}: {count} entries were acknowledged, and the ledger has lost them: from {} to {}",
            first.first_sequence,
            end.max(first.first_sequence + 1) - 1
        );
        if blocks.iter().any(|block| block.entries.is_empty()) {
            say!(
                "partition {partition}: of others, nobody has kept what they were; only their callers can repeat them, and --accept-loss goes on"
            );
        }
        for (sequence, entry) in blocks.iter().flat_map(|block| (block.first_sequence..).zip(&block.entries)).take(MOST_SHOWN) {
            let (what, amount) = (words(&entry.kind()), entry.amount().to_string());
            shown.add_row([format!("{partition}-{sequence}"), entry.account.to_string(), what, amount, entry.request_id.to_string()]);
        }
        lost.push((partition, blocks));
    }
    if !shown.is_empty() {
        say!("{shown}");
    }
    Ok(lost)
}

/// Applies what was lost again, or gives it up. Returns whether nothing of it waits any more.
async fn decide_on_lost(
    ledger: &Ledger,
    billing: Option<&Billing>,
    lost: &[(u16, Vec<Block>)],
    options: &ReconcileOptions,
) -> anyhow::Result<bool> {
    let decision = decision(options, ledger);
    let again = ReapplyTarget { billing, ledger, accept_repeats: options.accept_repeats };
    let mut is_settled = true;
    for (partition, blocks) in lost {
        if options.reapply {
            let is_all_known = blocks.iter().all(|block| !block.entries.is_empty());
            let is_done = show_reapplied(reapply_lost(&again, *partition, blocks, &decision).await?) && is_all_known;
            if !is_done {
                say!("partition {partition}: what was not done stays kept aside, until it is applied or --accept-loss gives it up");
            }
            is_settled &= is_done;
        } else {
            accept_loss(billing, ledger, *partition, blocks, &decision).await?;
            say!("partition {partition}: what was lost is given up");
        }
    }
    Ok(is_settled)
}

/// Shows what came of each entry; returns whether nothing of them waits any more.
fn show_reapplied(reapplied: Vec<Reapplied>) -> bool {
    let mut done = table(["entry", "account", "what", "outcome"], 4);
    let is_settled = reapplied.iter().all(|reapplied| reapplied.outcome.is_settled);
    let is_any_too_old = reapplied.iter().any(|reapplied| reapplied.outcome.is_too_old());
    for Reapplied { id, account, kind, outcome: Applied { text, .. } } in reapplied {
        done.add_row([id, account.into(), words(&kind), text]);
    }
    say!("{done}");
    if is_any_too_old {
        say!(
            "REQUEST_TOO_OLD: its request id is no longer remembered, so it is unknown whether its client has repeated it. Ask the client, and \
             then --reapply --accept-repeats, or --accept-loss"
        );
    }
    is_settled
}

/// The partitions that are looked at.
fn partitions(ledger: &Ledger, options: &ReconcileOptions) -> impl Iterator<Item = u16> {
    let wanted = options.partition;
    (0..ledger.partitions()).filter(move |partition| wanted.is_none_or(|wanted| wanted == *partition))
}

/// Shows the steps that were torn; returns whether there is one.
async fn show_torn(ledger: &Ledger, options: &ReconcileOptions) -> anyhow::Result<bool> {
    let mut is_any = false;
    for partition in partitions(ledger, options) {
        if let Some(block) = ledger.engine().torn_step(partition).await? {
            is_any = true;
            say!("partition {partition}: a step was torn: {} are in the journal, and not in the accounts", entries_of(&block));
        }
    }
    if is_any {
        say!("nothing is decided there until --finish writes what is missing, by the journal");
    }
    Ok(is_any)
}

/// Finishes the steps that were torn, and records it where there is a billing store.
async fn finish(ledger: &Ledger, billing: Option<&Billing>, options: &ReconcileOptions) -> anyhow::Result<ExitCode> {
    let decision = decision(options, ledger);
    let mut count = 0;
    for partition in partitions(ledger, options) {
        if let Some(block) = finish_step(ledger, billing, partition, &decision).await? {
            count += 1;
            say!("partition {partition}: the torn step is finished, with {}; it goes on", entries_of(&block));
        }
    }
    if count == 0 {
        say!("no step was torn");
    }
    Ok(ExitCode::SUCCESS)
}

fn entries_of(block: &Block) -> String {
    match block.entries.len() {
        1 => format!("entry {}", block.first_sequence),
        _ => format!("entries {} to {}", block.first_sequence, block.end() - 1),
    }
}

async fn reconcile_with(billing: &Billing, ledger: &Ledger, options: &ReconcileOptions) -> anyhow::Result<ExitCode> {
    if !options.next_number.is_empty() {
        let decision = decision(options, ledger);
        for next in &options.next_number {
            billing.go_on_with(next, &decision).await?;
            say!("series {}: the next number is {}", next.prefix, next.place);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut differences = billing.inspect(ledger).await?;
    differences.retain(|difference| options.partition.is_none_or(|partition| partition == difference.partition));
    show(&differences);
    show_entries(billing, &differences).await?;
    show_held(billing).await?;
    differences.retain(|difference| !difference.is_none());
    let gaps = gaps(billing, ledger, &differences).await?;
    if options.accept_gap {
        return accept_gaps(billing, ledger, &gaps, &decision(options, ledger)).await;
    }
    if differences.is_empty() && !options.reapply {
        say!("nothing differs");
        return Ok(ExitCode::SUCCESS);
    }
    if !options.reapply && !options.accept_loss && !options.resume {
        if differences.iter().any(Difference::is_mended) {
            say!("to go on where the cause is gone, and nothing differs any more: --resume");
        }
        if !gaps.is_empty() {
            say!(
                "to go on behind the gap: a backup of the billing store that is newer, or a journal from before; else --accept-gap gives up what \
                 neither has, and believes the ledger"
            );
            return Ok(ExitCode::from(REFUSED));
        }
        say!(
            "to go on: --reapply asks the ledger again for what only the billing store has; --accept-loss takes it out of the billing store"
        );
        return Ok(ExitCode::from(REFUSED));
    }
    let decision = decision(options, ledger);
    if options.resume {
        return resume(billing, &differences, &decision).await;
    }
    reconcile(billing, ledger, &differences, &decision, options).await
}

fn decision(options: &ReconcileOptions, ledger: &Ledger) -> Decision {
    Decision {
        actor: options.actor.clone().unwrap_or_default(),
        reason: options.reason.clone().unwrap_or_default(),
        at: ledger.clock().now(),
        reapply: options.reapply,
    }
}

/// The partitions whose journal begins behind what the billing store has.
async fn gaps(billing: &Billing, ledger: &Ledger, differences: &[Difference]) -> anyhow::Result<Vec<Difference>> {
    let mut gaps = Vec::new();
    for difference in differences {
        if let Some(missing) = billing.gap(ledger, difference).await? {
            say!("partition {}: {missing} entries are neither in the journal nor in the billing store", difference.partition);
            gaps.push(difference.clone());
        }
    }
    Ok(gaps)
}

async fn accept_gaps(billing: &Billing, ledger: &Ledger, gaps: &[Difference], decision: &Decision) -> anyhow::Result<ExitCode> {
    for gap in gaps {
        let accounts = billing.accept_gap(ledger, gap, decision).await?;
        say!("partition {}: {accounts} accounts have amounts that are not itemized; it goes on", gap.partition);
    }
    if gaps.is_empty() {
        say!("there is no gap");
        return Ok(ExitCode::from(REFUSED));
    }
    show_held(billing).await?;
    Ok(ExitCode::SUCCESS)
}

async fn show_held(billing: &Billing) -> anyhow::Result<()> {
    for NextNumber { prefix, place } in billing.held_series().await? {
        say!(
            "series {prefix}: the last number known is {place}, others may have been given; nothing is issued in it until --next-number \
             {prefix}=NUMBER, or another prefix is used"
        );
    }
    Ok(())
}

/// Resumes the partitions whose stop has no cause any more; the others stay as they are.
async fn resume(billing: &Billing, differences: &[Difference], decision: &Decision) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for difference in differences {
        if difference.is_mended() {
            billing.accept(difference, decision).await?;
            say!("partition {}: it goes on", difference.partition);
        } else {
            say!("partition {}: it stays as it is, because ledger and billing store still differ", difference.partition);
            code = ExitCode::from(REFUSED);
        }
    }
    Ok(code)
}

async fn reconcile(
    billing: &Billing,
    ledger: &Ledger,
    differences: &[Difference],
    decision: &Decision,
    options: &ReconcileOptions,
) -> anyhow::Result<ExitCode> {
    for difference in differences {
        let RemovedRecords { entries, by_hand } = billing.accept(difference, decision).await?;
        say!("partition {}: {entries} entries were taken out of the billing store; it goes on", difference.partition);
        if by_hand > 0 {
            say!("with them, {by_hand} acts of operators are undone that allocated payments by hand since then: ask for them again");
        }
    }
    let is_settled = !decision.reapply || show_reapplied(reapply(billing, ledger, options.accept_repeats).await?);
    Ok(if is_settled { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn show(differences: &[Difference]) {
    let mut shown = table(["partition", "ledger goes on with", "SQL waits for", "only in SQL", "stopped because"], 0);
    for difference in differences {
        shown.add_row([
            difference.partition.to_string(),
            difference.next_in_ledger.to_string(),
            difference.next_in_sql.to_string(),
            difference.only_in_sql().map_or_else(|| "unknown".to_owned(), |count| count.to_string()),
            difference.stopped.clone().unwrap_or_default(),
        ]);
    }
    say!("{shown}");
}

/// Shows what only the billing store has, with amounts in the account's smallest units.
async fn show_entries(billing: &Billing, differences: &[Difference]) -> anyhow::Result<()> {
    let mut shown = table(["only in SQL", "account", "what", "units", "request id"], 3);
    for difference in differences {
        for Record { entry, sequence, partition, .. } in billing.entries_only_in_sql(difference, MOST_SHOWN).await? {
            let (what, amount) = (words(&entry.kind()), entry.amount().to_string());
            shown.add_row([format!("{partition}-{sequence}"), entry.account.into(), what, amount, entry.request_id.into()]);
        }
    }
    if !shown.is_empty() {
        say!("{shown}");
    }
    Ok(())
}
