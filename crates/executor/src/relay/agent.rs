//! Requests to an SSH agent, as far as a builder has to know them.
//!
//! `draft-miller-ssh-agent`: a request is its length in four bytes, big endian,
//! then as many bytes of which the first is its type. Pure.

/// Types that pass: list the keys, sign with one of them.
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
/// A reserved type, which every agent answers with a failure. What may not pass
/// is replaced by it, so that the answers keep their order.
const REFUSED: [u8; 5] = [0, 0, 0, 1, 24];
/// Longest request that OpenSSH's agent takes.
const LONGEST: u32 = 256 << 10;
const HEADER: usize = 5;

/// What no agent would understand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbage;

/// A stream of requests, cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Requests {
    header: Vec<u8>,
    /// Bytes to come of the request that has begun.
    rest: usize,
    verdict: Verdict,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    #[default]
    Pass,
    Drop,
}

impl Requests {
    /// Appends to `output` what may pass of `input`.
    pub(super) fn pass(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> Result<(), Garbage> {
        while !input.is_empty() {
            if self.rest == 0 {
                let (header, after) = input.split_at(input.len().min(HEADER - self.header.len()));
                self.header.extend_from_slice(header);
                input = after;
                self.begin(output)?;
                continue;
            }
            let (body, after) = input.split_at(input.len().min(self.rest));
            if self.verdict == Verdict::Pass {
                output.extend_from_slice(body);
            }
            self.rest -= body.len();
            input = after;
        }
        Ok(())
    }

    /// Judges the request as soon as its header is complete.
    fn begin(&mut self, output: &mut Vec<u8>) -> Result<(), Garbage> {
        let Some(length) = self.header.first_chunk::<4>() else { return Ok(()) };
        let length = u32::from_be_bytes(*length);
        if length == 0 || length > LONGEST {
            return Err(Garbage);
        }
        let Some(&kind) = self.header.get(HEADER - 1) else { return Ok(()) };
        if matches!(kind, REQUEST_IDENTITIES | SIGN_REQUEST) {
            self.verdict = Verdict::Pass;
            output.extend_from_slice(&self.header);
        } else {
            self.verdict = Verdict::Drop;
            output.extend_from_slice(&REFUSED);
        }
        self.rest = length as usize - 1;
        self.header.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 1).unwrap();
        [&length.to_be_bytes()[..], &[kind], body].concat()
    }

    /// Whole, and byte by byte.
    #[track_caller]
    fn check(input: &[u8], expected: &Result<&[u8], Garbage>) {
        for size in [input.len().max(1), 1, 3] {
            let (mut requests, mut output) = (Requests::default(), Vec::new());
            let result = input.chunks(size).try_for_each(|part| requests.pass(part, &mut output));
            match expected {
                Ok(expected) => assert_eq!((result, &output[..]), (Ok(()), *expected), "{size}"),
                Err(Garbage) => assert_eq!(result, Err(Garbage), "{size}"),
            }
        }
    }

    #[test]
    fn listing_and_signing_pass_unchanged() {
        let both = [request(11, b""), request(13, b"key and data"), request(11, b"")].concat();
        check(&both, &Ok(&both));
        check(b"", &Ok(b""));
        check(&[0, 0, 0], &Ok(b""));
    }

    #[test]
    fn what_changes_the_agent_is_replaced_by_what_fails() {
        for kind in [0, 1, 9, 17, 18, 19, 20, 22, 23, 25, 27, 255] {
            let three = [request(11, b""), request(kind, &[7; 300]), request(13, b"x")].concat();
            let expected = [request(11, b""), REFUSED.to_vec(), request(13, b"x")].concat();
            check(&three, &Ok(&expected));
        }
    }

    #[test]
    fn other_protocols_are_garbage() {
        check(b"GET / HTTP/1.1\r\n", &Err(Garbage));
        check(&[0; 8], &Err(Garbage));
        check(&[request(11, b""), b"SSH-2.0-x\r\n".to_vec()].concat(), &Err(Garbage));
    }
}
