//! What a caller may have of the service, unless its grant says something else.

use std::num::NonZeroU32;

use clap::Args;

/// The share of each caller.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Load")]
pub struct CallerOptions {
    /// How many requests each caller may send a second to this process, and as many at once; more are refused (CALLER_LIMIT): what all may
    /// serve, divided by the processes. A grant in the access file goes before it [default: any number]
    #[arg(long, env = "TOLLGATE_CALLER_REQUESTS_PER_SECOND", value_name = "COUNT")]
    pub caller_requests_per_second: Option<NonZeroU32>,
    /// How many calls each caller may have under way in this process; more are refused (CALLER_LIMIT). A grant in the access file goes before it
    /// [default: any number]
    #[arg(long, env = "TOLLGATE_CALLER_CONCURRENT_CALLS", value_name = "COUNT")]
    pub caller_concurrent_calls: Option<NonZeroU32>,
}
