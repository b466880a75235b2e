//! A reader that goes away ends a command quietly, as with other commands: `tollgate account list | head`.
//!
//! The signal SIGPIPE stays ignored. Its default would end the command for a connection that the service has closed, too.

use std::io::{self, ErrorKind, Stdout, Write};

/// What a shell shows for a command that SIGPIPE has ended.
const ENDED_BY_THE_READER: i32 = 128 + 13;

/// Lets `println!` and `eprintln!`, which panic where nobody reads, end the process quietly.
pub fn end_with_the_reader() {
    let other = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to std") && text.contains("Broken pipe") {
            std::process::exit(ENDED_BY_THE_READER);
        }
        other(panic);
    }));
}

/// As `println!`, for a command that acts while it prints: it finishes what it has begun, whether or not anybody reads on.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}
pub(crate) use say;

/// The standard output of a command that writes much.
pub struct Output(Stdout);

/// Returns it.
#[must_use]
pub fn output() -> Output {
    Output(io::stdout())
}

fn or_end<T>(written: io::Result<T>) -> io::Result<T> {
    if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        std::process::exit(ENDED_BY_THE_READER);
    }
    written
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_end(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        or_end(self.0.flush())
    }
}
