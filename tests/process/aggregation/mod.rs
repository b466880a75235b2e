//! The aggregator commits each entry exactly once, whatever is killed, stalled or cut off meanwhile; and what does not go on as it must
//! stops visibly. On a real PostgreSQL and a real Redis, with the aggregator as its own process; and on SQLite.

mod again;
mod check;
mod embedded;
mod full;
mod idle;
mod kills;
mod load;
pub mod process;
mod receivables;
mod receivables_as_of;
mod recovery;
mod repartitioned;
mod stops;
