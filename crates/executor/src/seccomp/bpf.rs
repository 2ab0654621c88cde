//! Classic BPF for seccomp, written by hand: it needs five instructions.
//!
//! The system call number is found by binary search over ranges. That is not
//! for the calls themselves (since Linux 5.11 the kernel remembers which
//! numbers are always allowed) but for loading: to remember them, the kernel
//! runs the program once for every number, and a linear one of 400 comparisons
//! would cost more than the whole rest of a container's start.

/// Result of a system call that is let through.
pub(crate) const ALLOW: u32 = 0x7fff_0000;
/// Result that ends the process with SIGSYS.
pub(crate) const KILL: u32 = 0x8000_0000;

/// Returns the result that makes the call fail with an error number.
pub(crate) const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

// Offsets in `struct seccomp_data`; both architectures are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT_0: u32 = 16;

/// One instruction: `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    code: u16,
    on_true: u8,
    on_false: u8,
    value: u32,
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

impl Instruction {
    const fn new(code: u16, value: u32) -> Self {
        Self { code, on_true: 0, on_false: 0, value }
    }

    const fn branch(code: u16, value: u32, on_true: u8, on_false: u8) -> Self {
        Self { code, on_true, on_false, value }
    }
}

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A fixed result.
    Return(u32),
    /// Allowed when the first argument is one of these; `EPERM` otherwise.
    FirstIsOneOf(&'static [u32]),
    /// Allowed when the first argument has none of these bits.
    FirstHasNoBitOf(u32),
    /// Allowed when the first argument is at most `last` and none of `not`.
    FirstIsUpTo { last: u32, not: &'static [u32] },
}

const EPERM: u32 = errno(1);

/// Returns the code for a verdict; it never falls through its end.
fn verdict(verdict: Verdict) -> Vec<Instruction> {
    let mut code = vec![Instruction::new(LOAD, ARGUMENT_0)];
    match verdict {
        Verdict::Return(value) => return vec![Instruction::new(RETURN, value)],
        // The upper half of the argument is not looked at: the kernel takes
        // these arguments as 32 bits wide.
        Verdict::FirstIsOneOf(values) => {
            for value in values {
                code.push(Instruction::branch(IF_EQUAL, *value, 0, 1));
                code.push(Instruction::new(RETURN, ALLOW));
            }
            code.push(Instruction::new(RETURN, EPERM));
        }
        Verdict::FirstHasNoBitOf(bits) => {
            code.push(Instruction::branch(IF_ANY_BIT, bits, 0, 1));
            code.push(Instruction::new(RETURN, EPERM));
            code.push(Instruction::new(RETURN, ALLOW));
        }
        Verdict::FirstIsUpTo { last, not } => {
            code.push(Instruction::branch(IF_AT_LEAST, last + 1, 0, 1));
            code.push(Instruction::new(RETURN, EPERM));
            for value in not {
                code.push(Instruction::branch(IF_EQUAL, *value, 0, 1));
                code.push(Instruction::new(RETURN, EPERM));
            }
            code.push(Instruction::new(RETURN, ALLOW));
        }
    }
    code
}

/// Numbers from `first` up to the next range, all with one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) verdict: Verdict,
}

/// Returns the search through ranges, which are sorted and start at 0. The
/// number is in the accumulator.
fn search(ranges: &[Range]) -> Vec<Instruction> {
    if let [range] = ranges {
        return verdict(range.verdict);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let lower = search(low);
    let mut code = at_least(high[0].first, &lower);
    code.extend(search(high));
    code
}

/// Returns a branch over `skipped`, taken from `value` on, and `skipped`.
fn at_least(value: u32, skipped: &[Instruction]) -> Vec<Instruction> {
    let mut code = Vec::new();
    if let Ok(length) = u8::try_from(skipped.len()) {
        code.push(Instruction::branch(IF_AT_LEAST, value, length, 0));
    } else {
        // A branch reaches 255 instructions, a jump any number.
        let length = u32::try_from(skipped.len()).expect("a filter has at most 4096");
        code.push(Instruction::branch(IF_AT_LEAST, value, 0, 1));
        code.push(Instruction::new(JUMP, length));
    }
    code.extend_from_slice(skipped);
    code
}

/// The rules of one system call interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    /// `AUDIT_ARCH_…`.
    pub(crate) architecture: u32,
    pub(crate) ranges: Vec<Range>,
}

/// Returns the whole filter; a call through any other interface kills.
pub(crate) fn filter(interfaces: &[Interface]) -> Vec<Instruction> {
    let mut code = vec![Instruction::new(LOAD, ARCHITECTURE)];
    for interface in interfaces {
        let mut body = vec![Instruction::new(LOAD, NUMBER)];
        body.extend(search(&interface.ranges));
        let length = u32::try_from(body.len()).expect("a filter has at most 4096");
        code.push(Instruction::branch(IF_EQUAL, interface.architecture, 1, 0));
        code.push(Instruction::new(JUMP, length));
        code.extend(body);
    }
    code.push(Instruction::new(RETURN, KILL));
    code
}

/// Returns the bytes of `struct sock_filter`s in native order.
pub(crate) fn encode(code: &[Instruction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(code.len() * 8);
    for instruction in code {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.on_true, instruction.on_false]);
        bytes.extend(instruction.value.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs a filter as the kernel would.
    pub(crate) fn run(code: &[Instruction], architecture: u32, number: u32, argument: u32) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let Instruction { code, on_true, on_false, value } = code[at];
            at += 1;
            let branch = |taken| usize::from(if taken { on_true } else { on_false });
            match code {
                LOAD => {
                    accumulator = match value {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        ARGUMENT_0 => argument,
                        offset => panic!("load from {offset}"),
                    };
                }
                JUMP => at += value as usize,
                IF_EQUAL => at += branch(accumulator == value),
                IF_AT_LEAST => at += branch(accumulator >= value),
                IF_ANY_BIT => at += branch(accumulator & value != 0),
                RETURN => return value,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn every_number_gets_the_verdict_of_its_range() {
        let verdicts = [ALLOW, EPERM, errno(38)];
        let ranges: Vec<Range> = (0..700)
            .map(|first| Range {
                first: first * 3,
                verdict: Verdict::Return(verdicts[first as usize % 3]),
            })
            .collect();
        let code = filter(&[Interface { architecture: 7, ranges }]);
        for number in 0..2100 {
            assert_eq!(run(&code, 7, number, 0), verdicts[(number / 3) as usize % 3], "{number}");
        }
        assert_eq!(run(&code, 8, 0, 0), KILL);
    }

    #[test]
    fn arguments_decide_where_they_should() {
        let cases = [
            (Verdict::FirstIsOneOf(&[0, 8]), vec![(0, ALLOW), (8, ALLOW), (1, EPERM)]),
            (Verdict::FirstHasNoBitOf(6), vec![(9, ALLOW), (4, EPERM), (7, EPERM)]),
            (
                Verdict::FirstIsUpTo { last: 9, not: &[3] },
                vec![(9, ALLOW), (10, EPERM), (3, EPERM), (0, ALLOW)],
            ),
        ];
        for (verdict, expected) in cases {
            let ranges = vec![Range { first: 0, verdict }];
            let code = filter(&[Interface { architecture: 7, ranges }]);
            for (argument, result) in expected {
                assert_eq!(run(&code, 7, 5, argument), result, "{verdict:?} {argument}");
            }
        }
    }
}
