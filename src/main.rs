//! The command line: parse it, do what it says, exit. 0: done; 1: refused or failed, and stderr says why; 2: no such command line;
//! 3: no answer from the service.

use std::process::ExitCode;

use platform::files::keep_from_others;
use tollgate::cli::pipe::end_with_the_reader;
use tollgate::cli::{CommandLine, failure, output};

// A call allocates many small pieces. With the system's allocator the service's time for a single call was a tenth longer, for a streamed
// debit 4 %.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_from_others();
    let (line, output) = CommandLine::parse_with_output();
    if line.is_for_a_terminal() {
        end_with_the_reader();
    }
    match line.run() {
        Ok(code) => code,
        Err(error) => {
            output::tell(&error, output);
            ExitCode::from(failure::exit_code(&error))
        }
    }
}
