//! How long to wait before something is tried again.

use std::time::Duration;

use uuid::Uuid;

/// The wait after so many attempts, from 1: `first`, doubled for each attempt before, up to `longest`. A
/// fifth more or less keeps those that failed together apart.
pub fn after(attempt: u32, first: Duration, longest: Duration) -> Duration {
    let doubled =
        first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let random = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    doubled.min(longest).mul_f64(0.8 + 0.4 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_the_first_to_the_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(3_600));
        for (attempt, seconds) in [(1, 1.0), (2, 2.0), (5, 16.0), (13, 3600.0), (100, 3600.0)] {
            let wait = after(attempt, first, longest).as_secs_f64();
            assert!((0.8 * seconds..=1.2 * seconds).contains(&wait), "{attempt}: {wait}");
        }
    }
}
