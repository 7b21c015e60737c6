//! How many requests a second plugins' webhooks take.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

/// Limits, each of which may be absent. Who has not used up a second's requests may send them at once.
pub struct Rates {
    plugin: Option<DefaultKeyedRateLimiter<String>>,
    path: Option<DefaultKeyedRateLimiter<String>>,
}

impl Rates {
    /// So many requests a second for each plugin, and for each path of one; 0 for any number.
    pub fn new(per_plugin: u32, per_path: u32) -> Self {
        let limiter = |rate| {
            NonZeroU32::new(rate)
                .map(|rate| DefaultKeyedRateLimiter::keyed(Quota::per_second(rate)))
        };
        Rates { plugin: limiter(per_plugin), path: limiter(per_path) }
    }

    /// Counts a request. `path` is a declared one, so there are not many.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub fn check(&self, plugin_id: &str, path: &str) -> Result<(), Duration> {
        let check = |limiter: &Option<DefaultKeyedRateLimiter<String>>,
                     key: &dyn Fn() -> String| {
            let Some(limiter) = limiter else { return Ok(()) };
            limiter
                .check_key(&key())
                .map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
        };
        check(&self.path, &|| format!("{plugin_id}{path}"))?;
        check(&self.plugin, &|| plugin_id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_plugin_have_their_rates() {
        let passed = |rates: &Rates, plugin: &str, path: &str| {
            (0..100).filter(|_| rates.check(plugin, path).is_ok()).count()
        };
        let free = Rates::new(0, 0);
        assert_eq!(passed(&free, "a", "/"), 100);
        let rates = Rates::new(50, 20);
        assert_eq!(passed(&rates, "a", "/one"), 20);
        // What its path refuses does not count for the plugin.
        assert_eq!(passed(&rates, "a", "/two") + passed(&rates, "a", "/three"), 30);
        assert_eq!(passed(&rates, "b", "/one"), 20);
        assert!(rates.check("b", "/one").unwrap_err() < Duration::from_secs(1));
    }
}
