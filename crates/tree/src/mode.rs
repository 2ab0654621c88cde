//! Changes of permission bits: the argument of `--chmod`, octal or symbolic as chmod(1) has it.
//!
//! A symbolic change is relative to each file (`X` looks at the kind and the execute bits, `g=u`
//! copies), so it is kept as a list of clauses and applied per file.

use crate::metadata::FileKind;

/// How the permission bits of a file are to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ModeChange {
    /// As they are.
    #[default]
    Keep,
    /// To these bits, at most 0o7777.
    Set(u32),
    /// By clauses in turn, as `u=rwX,go=rX`.
    Symbolic(Vec<Clause>),
}

/// One step of a symbolic change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clause {
    /// Mask over the three classes: 0o4 user, 0o2 group, 0o1 others.
    who: u32,
    operator: Operator,
    bits: Bits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Assign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bits {
    /// `rwx` as 0o7; conditional execute (`X`), set-id (`s`) and sticky (`t`) apart.
    Named { rwx: u32, execute_if_sensible: bool, set_id: bool, sticky: bool },
    /// Those of the class at this shift.
    Copied { shift: u32 },
}

/// Text that is not a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    #[error("`{0}` is not a file mode between 0 and 07777")]
    Octal(String),
    #[error("`{0}` is not a symbolic file mode such as `u=rwX,go=rX`")]
    Symbolic(String),
}

impl ModeChange {
    /// Reads octal (`0755`) or symbolic (`a+rX`) text.
    pub fn parse(text: &str) -> Result<Self, ModeError> {
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let octal = || ModeError::Octal(text.to_owned());
            let mode = u32::from_str_radix(text, 8).map_err(|_| octal())?;
            return if mode <= 0o7777 { Ok(Self::Set(mode)) } else { Err(octal()) };
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            parse_clauses(part, &mut clauses)
                .ok_or_else(|| ModeError::Symbolic(text.to_owned()))?;
        }
        Ok(Self::Symbolic(clauses))
    }

    /// Returns the bits that a file of this kind with bits `mode` is to have.
    pub fn apply(&self, mode: u32, kind: FileKind) -> u32 {
        match self {
            Self::Keep => mode,
            Self::Set(bits) => *bits,
            Self::Symbolic(clauses) => {
                clauses.iter().fold(mode, |mode, clause| clause.apply(mode, kind))
            }
        }
    }
}

impl Clause {
    fn apply(self, mode: u32, kind: FileKind) -> u32 {
        let (class_bits, special) = match self.bits {
            Bits::Copied { shift } => ((mode >> shift) & 0o7, 0),
            Bits::Named { rwx, execute_if_sensible, set_id, sticky } => {
                let executable = kind == FileKind::Directory || mode & 0o111 != 0;
                let rwx = rwx | u32::from(execute_if_sensible && executable);
                (rwx, self.special_bits(set_id, sticky))
            }
        };
        let mut bits = special;
        let mut covered = 0;
        for (class, shift) in [(0o4, 6), (0o2, 3), (0o1, 0)] {
            if self.who & class != 0 {
                bits |= class_bits << shift;
                covered |= 0o7 << shift;
            }
        }
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            // As in GNU chmod, `=` leaves a directory's set-id bits alone unless they are named.
            Operator::Assign if kind == FileKind::Directory => (mode & !covered) | bits,
            Operator::Assign => (mode & !(covered | self.special_bits(true, true))) | bits,
        }
    }

    fn special_bits(self, set_id: bool, sticky: bool) -> u32 {
        let user = if set_id && self.who & 0o4 != 0 { 0o4000 } else { 0 };
        let group = if set_id && self.who & 0o2 != 0 { 0o2000 } else { 0 };
        let others = if sticky && self.who & 0o1 != 0 { 0o1000 } else { 0 };
        user | group | others
    }
}

/// Reads `[ugoa]*([-+=]([rwxXst]*|[ugo]))+`.
fn parse_clauses(text: &str, clauses: &mut Vec<Clause>) -> Option<()> {
    let mut rest = text;
    let mut who = 0;
    while let Some(first) = rest.chars().next() {
        who |= match first {
            'u' => 0o4,
            'g' => 0o2,
            'o' => 0o1,
            'a' => 0o7,
            _ => break,
        };
        rest = &rest[1..];
    }
    if who == 0 {
        // chmod(1) applies the umask here; a build has none.
        who = 0o7;
    }
    if rest.is_empty() {
        return None;
    }
    while let Some(first) = rest.chars().next() {
        let operator = match first {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            '=' => Operator::Assign,
            _ => return None,
        };
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |end| end + 1);
        clauses.push(Clause { who, operator, bits: parse_bits(&rest[1..end])? });
        rest = &rest[end..];
    }
    Some(())
}

fn parse_bits(text: &str) -> Option<Bits> {
    match text {
        "u" => return Some(Bits::Copied { shift: 6 }),
        "g" => return Some(Bits::Copied { shift: 3 }),
        "o" => return Some(Bits::Copied { shift: 0 }),
        _ => {}
    }
    let (mut rwx, mut execute_if_sensible, mut set_id, mut sticky) = (0, false, false, false);
    for letter in text.chars() {
        match letter {
            'r' => rwx |= 4,
            'w' => rwx |= 2,
            'x' => rwx |= 1,
            'X' => execute_if_sensible = true,
            's' => set_id = true,
            't' => sticky = true,
            _ => return None,
        }
    }
    Some(Bits::Named { rwx, execute_if_sensible, set_id, sticky })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kind: FileKind, before: u32, after: u32) {
        let change = ModeChange::parse(text).expect(text);
        assert_eq!(change.apply(before, kind), after, "{text} on {before:o}");
    }

    #[test]
    fn modes_change_as_chmod_does() {
        use FileKind::{Directory, Regular};
        check("755", Regular, 0o600, 0o755);
        check("0", Regular, 0o600, 0);
        check("4755", Regular, 0o600, 0o4755);
        check("+x", Regular, 0o644, 0o755);
        check("u=rwX,go=rX", Regular, 0o600, 0o644);
        check("u=rwX,go=rX", Regular, 0o700, 0o755);
        check("u=rwX,go=rX", Directory, 0o600, 0o755);
        check("g=u", Regular, 0o740, 0o770);
        check("g=u", Regular, 0o640, 0o660);
        check("o=", Regular, 0o777, 0o770);
        check("a-w", Regular, 0o666, 0o444);
        check("u+s", Regular, 0o755, 0o4755);
        check("g+s,o+t", Directory, 0o755, 0o3755);
        check("u+x-w", Regular, 0o600, 0o500);
        check("=r", Regular, 0o4777, 0o444);
        check("u=rwx", Regular, 0o4644, 0o744);
        check("g=rx", Directory, 0o2770, 0o2750);
    }

    #[test]
    fn what_is_not_a_mode_is_an_error() {
        for text in ["8", "17777", "-", "u", "u=q", "u=rw,", "", "ug", "07x", "+ü"] {
            match ModeChange::parse(text) {
                Err(_) => {}
                // A bare operator changes nothing and is legal for chmod(1).
                Ok(change) => assert_eq!(text, "-", "{text} gave {change:?}"),
            }
        }
    }
}
