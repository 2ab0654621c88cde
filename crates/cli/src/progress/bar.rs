//! One line for a transfer: a bar, the bytes, the rate and the time left.

use std::time::Duration;

use crate::render::human_size;

const WIDTH: u64 = 30;

/// Draws `[=====>    ]  1.2MB/3.4MB  5.1MB/s  3s left`.
pub(super) fn bar(done: u64, total: Option<u64>, spent: Duration) -> String {
    let rate = rate(done, spent);
    let speed = rate.map(|rate| format!("  {}/s", human_size(rate))).unwrap_or_default();
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("{}{speed}", human_size(done));
    };
    let done = done.min(total);
    let filled = usize::try_from(done.saturating_mul(WIDTH) / total).unwrap_or(0);
    let width = usize::try_from(WIDTH).unwrap_or(0);
    let body = if filled >= width {
        "=".repeat(width)
    } else {
        format!("{}>{}", "=".repeat(filled), " ".repeat(width - filled - 1))
    };
    let left = rate
        .filter(|rate| *rate > 0 && done < total)
        .map(|rate| format!("  {}s left", (total - done).div_ceil(rate)))
        .unwrap_or_default();
    format!("[{body}]  {}/{}{speed}{left}", human_size(done), human_size(total))
}

/// Bytes per second, once there is enough to tell.
fn rate(done: u64, spent: Duration) -> Option<u64> {
    let millis = u64::try_from(spent.as_millis()).ok().filter(|millis| *millis >= 200)?;
    Some(done.saturating_mul(1000) / millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_tells_how_far_how_fast_and_how_long() {
        let check = |done, total, millis, want: &str| {
            assert_eq!(bar(done, total, Duration::from_millis(millis)), want);
        };
        let (half, full) = (15, 30);
        check(
            1_500_000,
            Some(3_000_000),
            1000,
            &format!("[{}>{}]  1.5MB/3MB  1.5MB/s  1s left", "=".repeat(half), " ".repeat(14)),
        );
        check(3_000_000, Some(3_000_000), 1000, &format!("[{}]  3MB/3MB  3MB/s", "=".repeat(full)));
        check(0, Some(10), 0, &format!("[>{}]  0B/10B", " ".repeat(29)));
        check(1000, None, 500, "1kB  2kB/s");
        check(20, Some(10), 0, &format!("[{}]  10B/10B", "=".repeat(full)));
        check(0, Some(0), 0, "0B");
    }
}
