//! One line that says what is going on, for a person who watches; nothing for a file or a pipe.

use std::io::{self, IsTerminal, Write};

/// Draws on standard error when that is a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    watched: bool,
}

impl Progress {
    /// Looks whether a person watches.
    pub(super) fn new() -> Self {
        Self { watched: io::stderr().is_terminal() }
    }

    /// Shows what is being done, in place of what was shown before.
    pub(super) fn show(&self, what: &str) {
        self.draw(&format!("{what} …"));
    }

    /// Clears the line, before a result is printed.
    pub(super) fn clear(&self) {
        self.draw("");
    }

    fn draw(&self, line: &str) {
        if self.watched {
            // Carriage return and "erase to the end of the line"; progress is worth no error.
            write!(io::stderr(), "\r\x1b[K{line}").and_then(|()| io::stderr().flush()).ok();
        }
    }
}
