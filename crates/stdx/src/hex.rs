//! Bytes as lower case hexadecimal text.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Returns `bytes` as lower case hexadecimal digits.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(super::encode(&[0, 9, 16, 171, 255]), "000910abff");
        assert_eq!(super::encode(&[]), "");
    }
}
