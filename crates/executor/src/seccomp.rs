//! The system call filter of a sandboxed process: docker's default profile.
//!
//! Listed calls pass, calls that the kernel knows and the list does not fail
//! with `EPERM`, and calls newer than the list fail with `ENOSYS`, so that
//! programs fall back to what they did before those calls existed.

mod bpf;
mod profile;
mod x32;

use std::sync::LazyLock;

use bpf::Interface;
use bpf::Range;
use bpf::Verdict;
use rustix::thread::CapabilitySet;

use crate::Security;
use crate::caps;

const EPERM: Verdict = Verdict::Return(bpf::errno(1));
const ENOSYS: Verdict = Verdict::Return(bpf::errno(38));
const ALLOW: Verdict = Verdict::Return(bpf::ALLOW);

/// Returns the program for `sys::load_seccomp`; empty when there is no filter.
pub(crate) fn program(security: Security) -> &'static [u8] {
    static DEFAULT: LazyLock<Vec<u8>> =
        LazyLock::new(|| bpf::encode(&bpf::filter(&interfaces(caps::DEFAULT))));
    match security {
        Security::Default => &DEFAULT,
        Security::Insecure => &[],
    }
}

/// Returns the rules of every interface which the running kernel may offer.
#[cfg(target_arch = "x86_64")]
fn interfaces(capabilities: CapabilitySet) -> Vec<Interface> {
    vec![x86_64(capabilities), x86(capabilities)]
}

/// Returns the rules of every interface which the running kernel may offer.
#[cfg(target_arch = "aarch64")]
fn interfaces(capabilities: CapabilitySet) -> Vec<Interface> {
    vec![aarch64(capabilities), arm(capabilities)]
}

/// A system call as a table has it.
type Call = (u32, &'static str);

/// Returns the table of an architecture as calls.
macro_rules! calls {
    ($table:ident) => {
        (0..syscalls::$table::Sysno::table_size())
            .filter_map(|number| Some((number, syscalls::$table::Sysno::new(number)?.name())))
            .map(|(number, name)| (u32::try_from(number).expect("tables are small"), name))
            .collect::<Vec<Call>>()
    };
}

#[cfg(any(target_arch = "x86_64", test))]
fn x86_64(capabilities: CapabilitySet) -> Interface {
    let calls = calls!(x86_64);
    let mut ranges = ranges(&calls, profile::ALLOWED_X86_64, capabilities);
    // The x32 interface is told apart by a bit of the number only.
    ranges.extend(self::ranges(&x32::calls(&calls), profile::ALLOWED_X86_64, capabilities));
    ranges.sort_by_key(|range| range.first);
    Interface { architecture: 0xc000_003e, ranges }
}

#[cfg(any(target_arch = "x86_64", test))]
fn x86(capabilities: CapabilitySet) -> Interface {
    let ranges = ranges(&calls!(x86), profile::ALLOWED_X86, capabilities);
    Interface { architecture: 0x4000_0003, ranges }
}

#[cfg(any(target_arch = "aarch64", test))]
fn aarch64(capabilities: CapabilitySet) -> Interface {
    let ranges = ranges(&calls!(aarch64), profile::ALLOWED_ARM, capabilities);
    Interface { architecture: 0xc000_00b7, ranges }
}

#[cfg(any(target_arch = "aarch64", test))]
fn arm(capabilities: CapabilitySet) -> Interface {
    let mut ranges = ranges(&calls!(arm), profile::ALLOWED_ARM, capabilities);
    // Three calls far above the table, which it does not have: breakpoint,
    // cacheflush and set_tls.
    for first in [0xf_0001, 0xf_0002, 0xf_0005] {
        ranges.push(Range { first, verdict: ALLOW });
        ranges.push(Range { first: first + 1, verdict: ENOSYS });
    }
    // Where one ends the next begins: the beginning, which is the later one, wins.
    ranges.dedup_by(|next, range| {
        next.first == range.first && {
            *range = *next;
            true
        }
    });
    Interface { architecture: 0x4000_0028, ranges }
}

/// Returns the verdicts on the numbers from the table's first to infinity.
fn ranges(calls: &[Call], more: &[&str], capabilities: CapabilitySet) -> Vec<Range> {
    let mut known: Vec<(u32, Verdict)> = calls
        .iter()
        .filter_map(|(number, name)| Some((*number, judge(name, more, capabilities)?)))
        .collect();
    known.sort_by_key(|call| call.0);
    let last = known.last().map_or(0, |call| call.0);
    // x32 numbers have their own base, below which nothing is.
    let mut next = known.first().map_or(0, |call| call.0 & x32::BIT);
    let mut ranges = Vec::new();
    let mut push = |first, verdict| match ranges.last() {
        Some(Range { verdict: before, .. }) if *before == verdict => {}
        _ => ranges.push(Range { first, verdict }),
    };
    for (number, verdict) in known {
        if number > next {
            push(next, EPERM);
        }
        push(number, verdict);
        next = number + 1;
    }
    push(last + 1, ENOSYS);
    ranges
}

/// Returns the verdict on a call that the profile mentions.
fn judge(name: &str, more: &[&str], capabilities: CapabilitySet) -> Option<Verdict> {
    let granted = profile::WITH_CAPABILITY
        .iter()
        .filter(|(_, names)| names.contains(&name))
        .map(|(capability, _)| capabilities.contains(*capability))
        .reduce(|one, other| one || other);
    match (name, granted) {
        (_, Some(true)) => return Some(ALLOW),
        ("clone", _) => return Some(Verdict::FirstHasNoBitOf(profile::CLONE_NAMESPACES)),
        ("clone3", _) => return Some(ENOSYS),
        (_, Some(false)) => return Some(EPERM),
        (_, None) => {}
    }
    match name {
        "personality" => Some(Verdict::FirstIsOneOf(profile::PERSONALITIES)),
        "socket" => Some(Verdict::FirstIsUpTo {
            last: profile::LAST_FAMILY,
            not: profile::REFUSED_FAMILIES,
        }),
        _ if more.contains(&name) => Some(ALLOW),
        _ => profile::ALLOWED.binary_search(&name).ok().map(|_| ALLOW),
    }
}

#[cfg(test)]
mod tests;
