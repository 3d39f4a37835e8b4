//! How often somebody may try to log in: counted per account and per address.
//!
//! Invariants: an attempt counts before its password is looked at, so that many at once gain nothing; the
//! memory is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::model::names::UserName;
use crate::model::time::Timestamp;

/// After it the count begins anew.
const WINDOW: Duration = Duration::from_mins(15);
/// Failures of one account within the window.
const PER_ACCOUNT: u32 = 10;
/// Failures from one address within the window; people behind one router share it.
const PER_ADDRESS: u32 = 50;
/// Accounts and addresses that are remembered, each.
const MOST_REMEMBERED: usize = 10_000;

/// The failures of the last quarter of an hour.
#[derive(Debug, Default)]
pub(super) struct LoginAttempts {
    accounts: HashMap<UserName, Count>,
    addresses: HashMap<IpAddr, Count>,
}

#[derive(Debug)]
struct Count {
    attempts: u32,
    ends_at: Timestamp,
}

impl LoginAttempts {
    /// Counts an attempt, or tells how long to wait for the next. Names of accounts that do not exist count as
    /// well, so that the answer tells nothing of them.
    pub(super) fn take(&mut self, name: &UserName, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let address = network_of(address);
        let wait = wait(&self.accounts, name, PER_ACCOUNT, now).max(wait(
            &self.addresses,
            &address,
            PER_ADDRESS,
            now,
        ));
        if let Some(wait) = wait {
            return Err(wait);
        }
        count(&mut self.accounts, name.clone(), now);
        count(&mut self.addresses, address, now);
        Ok(())
    }

    /// Takes an attempt back that did not fail.
    pub(super) fn give_back(&mut self, name: &UserName, address: IpAddr) {
        let counts = [self.accounts.get_mut(name), self.addresses.get_mut(&network_of(address))];
        for count in counts.into_iter().flatten() {
            count.attempts = count.attempts.saturating_sub(1);
        }
    }

    /// Forgets an account's failures, because it logged in.
    pub(super) fn forget(&mut self, name: &UserName, address: IpAddr) {
        self.give_back(name, address);
        self.accounts.remove(name);
    }
}

fn wait<K: Hash + Eq>(counts: &HashMap<K, Count>, key: &K, most: u32, now: Timestamp) -> Option<Duration> {
    let count = counts.get(key)?;
    (count.attempts >= most && count.ends_at > now).then(|| count.ends_at.since(now))
}

fn count<K: Hash + Eq + Clone>(counts: &mut HashMap<K, Count>, key: K, now: Timestamp) {
    if counts.len() >= MOST_REMEMBERED && !counts.contains_key(&key) {
        make_room(counts, now);
    }
    let count = counts.entry(key).or_insert(Count { attempts: 0, ends_at: now.plus(WINDOW) });
    if count.ends_at <= now {
        *count = Count { attempts: 0, ends_at: now.plus(WINDOW) };
    }
    count.attempts += 1;
}

/// Forgets what has ended, else what ends next.
fn make_room<K: Hash + Eq + Clone>(counts: &mut HashMap<K, Count>, now: Timestamp) {
    counts.retain(|_, count| count.ends_at > now);
    if counts.len() >= MOST_REMEMBERED {
        let next = counts.iter().min_by_key(|(_, count)| count.ends_at).map(|(key, _)| key.clone());
        next.map(|key| counts.remove(&key));
    }
}

/// One customer has a whole network of IPv6 addresses.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    const START: Timestamp = Timestamp::from_millis(1_000_000);
    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn the_eleventh_failure_of_an_account_waits_wherever_it_comes_from() {
        let mut attempts = LoginAttempts::default();
        for last in 0..10 {
            let address = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, last));
            attempts.take(&name("alice"), address, START).unwrap();
        }
        let later = START.plus(Duration::from_mins(5));
        assert_eq!(attempts.take(&name("alice"), HOME, later), Err(Duration::from_mins(10)));
        assert!(attempts.take(&name("bob"), HOME, later).is_ok(), "others are not concerned");
        assert!(attempts.take(&name("alice"), HOME, START.plus(WINDOW)).is_ok());
    }

    #[test]
    fn an_address_that_tries_many_accounts_waits_too() {
        let mut attempts = LoginAttempts::default();
        let within = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, host, host, host, host));
        for number in 0..50 {
            attempts.take(&name(&format!("user{number}")), within(number), START).unwrap();
        }
        assert!(attempts.take(&name("other"), within(99), START).is_err());
        assert!(attempts.take(&name("other"), HOME, START).is_ok());
    }

    #[test]
    fn a_login_that_succeeds_counts_for_nothing() {
        let mut attempts = LoginAttempts::default();
        for _ in 0..1000 {
            attempts.take(&name("alice"), HOME, START).unwrap();
            attempts.forget(&name("alice"), HOME);
        }
        for _ in 0..9 {
            attempts.take(&name("alice"), HOME, START).unwrap();
        }
        attempts.take(&name("alice"), HOME, START).unwrap();
        attempts.give_back(&name("alice"), HOME);
        assert!(attempts.take(&name("alice"), HOME, START).is_ok());
        assert!(attempts.take(&name("alice"), HOME, START).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let mut counts = HashMap::new();
        for number in 0..20_000_u32 {
            count(&mut counts, number, START.plus(Duration::from_millis(u64::from(number))));
        }
        assert_eq!(counts.len(), MOST_REMEMBERED);
        assert!(counts.contains_key(&19_999) && !counts.contains_key(&0), "the oldest go first");
    }
}
