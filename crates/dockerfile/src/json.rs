//! The JSON form of arguments: an array of strings.
//!
//! Own parser, because each string needs its place in the file, and because
//! what is no JSON must fall back to the shell form without a message.

/// What an argument text is, as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JsonForm {
    /// An array of strings, with the range of each (quotes included).
    Strings(Vec<(String, usize, usize)>),
    /// An array that holds something else at this range.
    NotStrings(usize, usize),
    /// No JSON array.
    Other,
}

/// Nesting beyond this is no JSON form; keeps the recursion bounded.
const DEPTH_LIMIT: usize = 64;

/// Reads the whole of `text` as an array of strings.
pub(crate) fn parse(text: &str) -> JsonForm {
    let mut reader = Reader { bytes: text.as_bytes(), text, position: 0 };
    reader.blanks();
    if reader.peek() != Some(b'[') {
        return JsonForm::Other;
    }
    let mut strings = Vec::new();
    let mut alien = None;
    let complete = reader.array(0, &mut |reader, depth| {
        let start = reader.position;
        if reader.peek() == Some(b'"') {
            let value = reader.string()?;
            strings.push((value, start, reader.position));
        } else {
            reader.value(depth)?;
            alien.get_or_insert((start, reader.position));
        }
        Some(())
    });
    reader.blanks();
    match (complete, alien) {
        (None, _) => JsonForm::Other,
        _ if reader.position != text.len() => JsonForm::Other,
        (Some(()), Some((start, end))) => JsonForm::NotStrings(start, end),
        (Some(()), None) => JsonForm::Strings(strings),
    }
}

/// The string behind `key` in a text that is one JSON object, with its range
/// (quotes included). Of several with the same key the last counts.
pub(crate) fn member(text: &str, key: &str) -> Option<(String, usize, usize)> {
    let mut reader = Reader { bytes: text.as_bytes(), text, position: 0 };
    let mut found = None;
    reader.blanks();
    reader.members(&mut |reader, name| {
        let start = reader.position;
        if name != key {
            return reader.value(1);
        }
        found = None;
        if reader.peek() == Some(b'"') {
            let value = reader.string()?;
            found = Some((value, start, reader.position));
            return Some(());
        }
        reader.value(1)
    })?;
    reader.blanks();
    if reader.position == text.len() { found } else { None }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    position: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.position += 1)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.position += 1;
        }
    }

    /// An array whose elements `element` reads.
    fn array(
        &mut self,
        depth: usize,
        element: &mut dyn FnMut(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        self.eat(b'[')?;
        self.blanks();
        if self.eat(b']').is_some() {
            return Some(());
        }
        loop {
            self.blanks();
            element(self, depth + 1)?;
            self.blanks();
            if self.eat(b',').is_none() {
                return self.eat(b']');
            }
        }
    }

    /// Skips any value.
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'[' => self.array(depth, &mut |reader, depth| reader.value(depth)),
            b'{' => self.object(depth),
            b'-' | b'0'..=b'9' => self.number(),
            _ => ["true", "false", "null"].iter().find_map(|word| {
                self.text[self.position..].starts_with(word).then(|| self.position += word.len())
            }),
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.members(&mut |reader, _| reader.value(depth + 1))
    }

    /// An object whose values `value` reads; it is told their names.
    fn members(&mut self, value: &mut dyn FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        self.eat(b'{')?;
        self.blanks();
        if self.eat(b'}').is_some() {
            return Some(());
        }
        loop {
            self.blanks();
            let name = self.string()?;
            self.blanks();
            self.eat(b':')?;
            self.blanks();
            value(self, &name)?;
            self.blanks();
            if self.eat(b',').is_none() {
                return self.eat(b'}');
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let start = self.position;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.position += 1;
        }
        self.text[start..self.position].parse::<f64>().ok().map(drop)
    }

    fn string(&mut self) -> Option<String> {
        self.eat(b'"')?;
        let mut value = String::new();
        loop {
            let rest = &self.text[self.position..];
            let plain = rest.find(['"', '\\'])?;
            if rest[..plain].bytes().any(|byte| byte < 0x20) {
                return None;
            }
            value.push_str(&rest[..plain]);
            self.position += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Some(value);
            }
            value.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.position += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return None,
        })
    }

    /// Behind `\u`: four hex digits, or a surrogate pair.
    fn unicode(&mut self) -> Option<char> {
        let high = self.hex()?;
        if !(0xD800..0xDC00).contains(&high) {
            return Some(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let mark = self.position;
        if self.eat(b'\\').is_some() && self.eat(b'u').is_some() {
            let low = self.hex()?;
            if (0xDC00..0xE000).contains(&low) {
                return char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
            }
        }
        self.position = mark;
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.position..self.position + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.position += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonForm, parse};

    #[track_caller]
    fn check(text: &str, expected: Option<&[&str]>) {
        let strings = match parse(text) {
            JsonForm::Strings(strings) => Some(strings.into_iter().map(|(s, ..)| s).collect()),
            _ => None,
        };
        let expected: Option<Vec<String>> =
            expected.map(|list| list.iter().map(|&s| s.to_owned()).collect());
        assert_eq!(strings, expected, "{text}");
    }

    #[test]
    fn arrays_of_strings_are_read() {
        check("[]", Some(&[]));
        check(r#" [ "a" , "b c" ] "#, Some(&["a", "b c"]));
        check(r#"["\u00e9\n\"\\\/", "\ud83d\ude00"]"#, Some(&["é\n\"\\/", "😀"]));
    }

    #[test]
    fn anything_else_is_no_json_form() {
        check("['a']", None);
        check(r#"["a",]"#, None);
        check(r#"["a"] b"#, None);
        check(r#"["a"#, None);
        check(r#"["\x"]"#, None);
        check("echo", None);
        assert_eq!(parse(r#"["a", 1]"#), JsonForm::NotStrings(6, 7));
        assert_eq!(parse(&"[".repeat(10_000)), JsonForm::Other);
    }
}
