//! Standard output. `println!` panics when whoever reads has gone, as `head` has after its lines; here that
//! is an error like others, by which a command can end in order.

use std::io::{Result, Write as _, stdout};

/// Prints a line.
pub(crate) fn line(text: &str) -> Result<()> {
    writeln!(stdout(), "{text}")
}

/// Prints a part of a line, to be seen at once.
pub(crate) fn part(text: &str) -> Result<()> {
    let mut stdout = stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
