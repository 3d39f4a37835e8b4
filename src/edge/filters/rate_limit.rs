//! The type `rate-limit`: a token bucket for each client.
//!
//! A bucket is one instant, the one at which it will be full again (GCRA). All workers share the buckets, because a
//! client's connections are spread over them. At most 32,768 are remembered; a client that was forgotten, because
//! others came meanwhile, begins with a full bucket.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::recent::Recent;
use crate::model::filter::RateLimitOptions;

const SHARDS: usize = 16;
/// Buckets of a shard that are remembered for certain; as many more may be.
const CAPACITY: usize = 1024;

#[derive(Debug)]
pub(super) struct RateLimit {
    options: RateLimitOptions,
    began: Instant,
    hasher: RandomState,
    /// When each bucket will be full again, since the beginning.
    full: Vec<Mutex<Recent<IpAddr, Duration>>>,
}

impl RateLimit {
    pub(super) fn new(options: RateLimitOptions) -> Self {
        let full = (0..SHARDS).map(|_| Mutex::new(Recent::new(CAPACITY))).collect();
        Self { options, began: Instant::now(), hasher: RandomState::new(), full }
    }

    pub(super) fn is_for(&self, options: &RateLimitOptions) -> bool {
        self.options == *options
    }

    /// Takes one request out of a client's bucket; when it is empty, tells the seconds to wait.
    pub(super) fn take(&self, client: IpAddr) -> Result<(), u64> {
        self.take_at(client, self.began.elapsed())
    }

    fn take_at(&self, client: IpAddr, now: Duration) -> Result<(), u64> {
        let client = bucket_of(client);
        let shard = usize::try_from(self.hasher.hash_one(client) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.full.get(shard) else { return Ok(()) };
        let (interval, size) = (self.options.interval(), self.options.interval() * self.options.burst);
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let full = buckets.get(client).unwrap_or_default().max(now) + interval;
        if full <= now + size {
            buckets.put(client, full);
            return Ok(());
        }
        drop(buckets);
        Err(full.saturating_sub(now + size).as_secs() + 1)
    }
}

/// Whoever has one address of IPv6 mostly has the whole /64.
fn bucket_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(requests: u32, period: u32, burst: u32) -> RateLimit {
        RateLimit::new(RateLimitOptions::new(requests, Some(period), Some(burst)).unwrap())
    }

    #[test]
    fn a_burst_passes_and_then_one_request_an_interval() {
        let limit = limit(60, 60, 3);
        let (client, at) = ("10.0.0.1".parse().unwrap(), Duration::from_millis);
        for _ in 0..3 {
            assert_eq!(limit.take_at(client, at(0)), Ok(()));
        }
        assert_eq!(limit.take_at(client, at(0)), Err(2));
        assert_eq!(limit.take_at(client, at(999)), Err(1));
        assert_eq!(limit.take_at(client, at(1000)), Ok(()));
        assert_eq!(limit.take_at(client, at(1000)), Err(2));
        assert_eq!(limit.take_at("10.0.0.2".parse().unwrap(), at(1000)), Ok(()));
        for _ in 0..3 {
            assert_eq!(limit.take_at(client, at(60_000)), Ok(()));
        }
        assert!(limit.take_at(client, at(60_000)).is_err());
    }

    #[test]
    fn a_network_of_ipv6_and_an_address_in_either_form_share_a_bucket() {
        let limit = limit(1, 3600, 1);
        let take = |client: &str| limit.take_at(client.parse().unwrap(), Duration::ZERO);
        assert_eq!(take("2001:db8::1"), Ok(()));
        assert!(take("2001:db8::ffff:1").is_err());
        assert_eq!(take("2001:db8:0:1::1"), Ok(()));
        assert_eq!(take("10.0.0.1"), Ok(()));
        assert!(take("::ffff:10.0.0.1").is_err());
    }

    proptest! {
        #[test]
        fn no_more_pass_than_the_burst_and_what_the_time_grants(
            pauses in prop::collection::vec(0_u64..5_000, 1..200), burst in 1_u32..20
        ) {
            let limit = limit(1, 1, burst);
            let (mut now, mut passed) = (0, 0);
            for pause in pauses {
                now += pause;
                let taken = limit.take_at("10.0.0.1".parse().unwrap(), Duration::from_millis(now));
                passed += u64::from(taken.is_ok());
                prop_assert!(passed <= u64::from(burst) + now / 1000);
            }
        }
    }
}
