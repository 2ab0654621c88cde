//! The only file that prints.
//!
//! Results go to standard output and may fail (a closed pipe ends the command silently);
//! progress and messages go to standard error, where a failure has nobody to be told to.

use std::{
    env,
    fmt::{Display, Write as _},
    io::{self, IsTerminal as _, Read as _, Write as _},
};

use rustix::termios;

/// Prints results.
pub(crate) fn out(text: &str) -> io::Result<()> {
    out_bytes(text.as_bytes())
}

/// Prints raw results.
pub(crate) fn out_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Prints results, one per line, with one write.
pub(crate) fn lines<T: Display>(lines: impl IntoIterator<Item = T>) -> io::Result<()> {
    let mut text = String::new();
    for line in lines {
        writeln!(text, "{line}").expect("writing to a string cannot fail");
    }
    out(&text)
}

/// Prints a message about what happens.
pub(crate) fn err(text: &str) {
    progress(text.as_bytes());
}

/// Writes progress with one write, where the kernel takes it in one.
pub(crate) fn progress(bytes: &[u8]) {
    if !bytes.is_empty() {
        // Without standard error there is no place left to complain at.
        drop(io::stderr().lock().write_all(bytes));
    }
}

/// Tells whether standard input is a terminal.
pub(crate) fn stdin_is_tty() -> bool {
    io::stdin().is_terminal()
}

/// Tells whether standard output is a terminal.
pub(crate) fn stdout_is_tty() -> bool {
    io::stdout().is_terminal()
}

/// Tells whether standard error is a terminal.
pub(crate) fn stderr_is_tty() -> bool {
    io::stderr().is_terminal()
}

/// Size of the terminal at standard error, in columns and rows.
pub(crate) fn size() -> Option<(usize, usize)> {
    let size = termios::tcgetwinsize(io::stderr()).ok()?;
    let known = size.ws_col > 0 && size.ws_row > 0;
    known.then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// Tells whether messages may be coloured (no-color.org).
pub(crate) fn color_wanted() -> bool {
    stderr_is_tty() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Asks a question and returns the answer's line.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    out(question)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for a secret: what is typed is not shown.
pub(crate) fn ask_secret(question: &str) -> io::Result<String> {
    let stdin = io::stdin();
    let before = termios::tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(termios::LocalModes::ECHO);
    termios::tcsetattr(&stdin, termios::OptionalActions::Flush, &silent)?;
    let answer = ask(question);
    termios::tcsetattr(&stdin, termios::OptionalActions::Flush, &before)?;
    out("\n")?;
    answer
}

/// Returns standard input, for a reader on another thread.
pub(crate) fn stdin() -> io::Stdin {
    io::stdin()
}

/// Reads all of standard input.
pub(crate) fn read_stdin() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
