//! How often somebody may try.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota};
use quick_cache::sync::Cache;

use crate::error::Error;

/// The code of a refusal.
pub const CODE: &str = "too_many_requests";

/// Above this number of keys those that have recovered are forgotten.
const MANY: usize = 10_000;
/// How many pairs of account and address are remembered.
const REMEMBERED: usize = 10_000;

/// Bounds the attempts to sign in, for each account and for each address that they come from, and the
/// number of accounts that one address makes.
///
/// An account counts attempts from everywhere together, but not those from an address from which
/// somebody has signed in to it before, which have a generous count of their own: who attacks an account
/// does not keep its owner out, and programs may sign in as often as they need.
pub struct Throttle {
    accounts: DefaultKeyedRateLimiter<String>,
    at_home: DefaultKeyedRateLimiter<(String, IpAddr)>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    signups: DefaultKeyedRateLimiter<IpAddr>,
    familiar: Cache<(String, IpAddr), ()>,
}

impl Default for Throttle {
    fn default() -> Self {
        Throttle {
            accounts: DefaultKeyedRateLimiter::keyed(quota(10, Duration::from_secs(30))),
            at_home: DefaultKeyedRateLimiter::keyed(quota(300, Duration::from_secs(1))),
            addresses: DefaultKeyedRateLimiter::keyed(quota(100, Duration::from_secs(1))),
            signups: DefaultKeyedRateLimiter::keyed(quota(500, Duration::from_secs(2))),
            familiar: Cache::new(REMEMBERED),
        }
    }
}

/// So many at once, and one more each time `period` has passed.
fn quota(burst: u32, period: Duration) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    // `None` is for a period of nothing.
    Quota::with_period(period).unwrap_or(Quota::per_second(burst)).allow_burst(burst)
}

impl Throttle {
    /// Counts an attempt to sign in. `account` is the key of the address that was given, be there such
    /// an account or not.
    ///
    /// # Errors
    /// When there were too many.
    pub fn sign_in(&self, account: &str, from: Option<IpAddr>) -> Result<(), Error> {
        if let Some(from) = from.map(network) {
            let pair = (account.to_owned(), from);
            if self.familiar.get(&pair).is_some() {
                return check(&self.at_home, &pair);
            }
            check(&self.addresses, &from)?;
        }
        check(&self.accounts, &account.to_owned())
    }

    /// Notes that somebody has signed in.
    pub fn signed_in(&self, account: &str, from: Option<IpAddr>) {
        if let Some(from) = from {
            self.familiar.insert((account.to_owned(), network(from)), ());
        }
    }

    /// Counts a new account.
    ///
    /// # Errors
    /// When there were too many.
    pub fn sign_up(&self, from: Option<IpAddr>) -> Result<(), Error> {
        match from {
            Some(from) => check(&self.signups, &network(from)),
            None => Ok(()),
        }
    }
}

/// What one party has: of IPv6 that is a /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

fn check<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Error> {
    if limiter.len() > MANY {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|refused| {
        let wait = refused.wait_time_from(governor::clock::DefaultClock::default().now());
        let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX) + 1;
        let message = format!("Too many attempts; try again in {seconds} s");
        Error::new(CODE, message).with("retryAfter", seconds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_account_is_guarded_from_everywhere_but_its_owner_gets_in() {
        let throttle = Throttle::default();
        throttle.sign_in("ada", from("10.0.0.1")).unwrap();
        throttle.signed_in("ada", from("10.0.0.1"));
        let tried = (0..100)
            .filter(|n| throttle.sign_in("ada", from(&format!("10.1.0.{n}"))).is_ok())
            .count();
        assert_eq!(tried, 9);
        let refused = throttle.sign_in("ada", from("10.1.0.1")).unwrap_err();
        assert_eq!(refused.code, CODE);
        assert!(matches!(refused.extensions["retryAfter"], crate::value::Value::Int(1..=31)));
        for _ in 0..100 {
            throttle.sign_in("ada", from("10.0.0.1")).unwrap();
        }
        throttle.sign_in("bob", from("10.1.0.1")).unwrap();
    }

    #[test]
    fn an_address_tries_so_many_accounts_only() {
        let throttle = Throttle::default();
        let tried = |one: &dyn Fn(u32) -> String| {
            (0..150).filter(|n| throttle.sign_in(&format!("u{n}"), from(&one(*n))).is_ok()).count()
        };
        assert_eq!(tried(&|_| "10.0.0.1".into()), 100);
        // All of a /64 is one party.
        assert_eq!(tried(&|n| format!("2001:db8::{n:x}")), 100);
    }
}
