//! PAX extended header records: `<length> <key>=<value>\n`.

/// Prefix of the keys of extended attributes (star's, and since then everybody's).
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Appends one record. The length counts itself.
pub(super) fn append(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // ' ', '=' and '\n'.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if rest + digits(length) != length {
        length = rest + digits(length);
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Cuts the first record off; `None` when it is malformed. The length decides where it ends: a
/// value may hold newlines.
pub(super) fn cut(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    if length <= space + 1 || length > records.len() || records[length - 1] != b'\n' {
        return None;
    }
    let record = &records[space + 1..length - 1];
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    // As Go: keys are never empty; NUL is only allowed in values of attributes.
    if key.is_empty() || (value.contains(&0) && !key.starts_with(XATTR)) {
        return None;
    }
    Some((key, value, &records[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_themselves() {
        for size in (0..120).chain([980, 984, 985, 986, 987, 988, 999, 1000, 9981, 9990]) {
            let value = vec![b'x'; size];
            let mut records = Vec::new();
            append(&mut records, b"path", &value);
            append(&mut records, b"k", b"v");
            let (key, found, rest) = cut(&records).expect("well formed");
            assert_eq!((key, found), (&b"path"[..], &value[..]), "{size}");
            assert_eq!(rest, b"6 k=v\n");
        }
    }

    #[test]
    fn values_may_hold_newlines() {
        let mut records = Vec::new();
        append(&mut records, b"SCHILY.xattr.user.a", b"1\n7 path=x\n\0");
        let (_, value, rest) = cut(&records).expect("well formed");
        assert_eq!((value, rest), (&b"1\n7 path=x\n\0"[..], &b""[..]));
    }

    #[test]
    fn malformed_records_are_refused() {
        for records in [
            &b""[..],
            b"x",
            b"6 k=v",
            b"7 k=v\n",
            b"5 k=v\n",
            b"0 k=v\n",
            b"-6 k=v\n",
            b"5 kv\n",
            b"5 =v\n",
            b"8 k=v\0\0\n",
            b"99999999999999999999 k=v\n",
        ] {
            assert_eq!(cut(records), None, "{:?}", String::from_utf8_lossy(records));
        }
    }
}
