//! Prints the demo's tables.

use std::time::Duration;

use comfy_table::{Cell, Color};

use super::stage::{Check, Stage, show};
use crate::cli::credit::mode_name;
use crate::cli::table::{Listing, table};

/// Prints everything; returns whether all checks were met.
pub async fn print(stage: &Stage, took: Duration, documents: &[String]) -> anyhow::Result<bool> {
    println!("\nWhat happened (amounts in USD)\n{}", events(stage));
    println!("\nThe customers now\n{}", customers(stage).await?);
    println!("\nWhat the service advised on the conversions");
    for advice in &stage.advice {
        println!("  - {advice}");
    }
    let total: u64 = stage.log.counts().values().sum();
    println!("\nThe calls: {total} in {:.1} s, many at a time (those within streams counted singly)\n{}", took.as_secs_f64(), calls(stage));
    println!("\nAnother month ended, and the bills were issued. One document of each kind:");
    for document in documents {
        println!("\n{document}");
    }
    println!("\nThe checks\n{}", checks(&stage.checks));
    let failed = stage.checks.iter().filter(|check| !check.is_met()).count();
    match failed {
        0 => println!("All {} checks are met.", stage.checks.len()),
        _ => println!("{failed} of {} checks FAILED.", stage.checks.len()),
    }
    Ok(failed == 0)
}

fn events(stage: &Stage) -> Listing {
    let mut table = table(["when", "who", "what", "usable then"], 3);
    table.add_rows(stage.events.iter().map(|event| [event.when.as_str(), event.who, &event.what, &event.usable]));
    table
}

async fn customers(stage: &Stage) -> anyhow::Result<Listing> {
    let mut table = table(["account", "name", "mode", "balance", "unbilled", "due", "limit", "usable"], 3);
    for customer in &stage.customers {
        let credit = customer.credit().await?;
        let [balance, unbilled, due, limit, usable] =
            [&credit.balance, &credit.unbilled, &credit.amount_due, &credit.credit_limit, &credit.usable].map(|amount| show(amount));
        table.add_row([
            customer.id.clone(),
            customer.name.to_owned(),
            mode_name(credit.mode()).to_owned(),
            balance?,
            unbilled?,
            due?,
            limit?,
            usable?,
        ]);
    }
    Ok(table)
}

fn calls(stage: &Stage) -> Listing {
    let mut table = table(["call", "outcome", "count"], 2);
    for ((call, outcome), count) in stage.log.counts() {
        table.add_row([call, outcome, &count.to_string()]);
    }
    table
}

fn checks(checks: &[Check]) -> Listing {
    let mut table = table(["", "what", "must be", "is"], 2);
    for check in checks {
        let mark = if check.is_met() { Cell::new("✓").fg(Color::Green) } else { Cell::new("✗").fg(Color::Red) };
        table.add_row([mark, Cell::new(&check.what), Cell::new(&check.expected), Cell::new(&check.found)]);
    }
    table
}
