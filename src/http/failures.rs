//! Counts failed verifications by address, so that whoever keeps guessing is told to wait.
//!
//! Only failures are counted and only failures are refused: a valid signature is never limited, whoever else shares its
//! sender's address. Each process counts for itself; where processes share their counts, the larger number decides.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::hints::SharedCounts;

/// More addresses than this are not remembered in one minute; an attacker with so many is not stopped by counting.
const MAX_ADDRESSES: usize = 100_000;

pub(super) struct FailedVerifications {
    limit: u32,
    minute: Mutex<Minute>,
    everywhere: SharedCounts,
}

#[derive(Default)]
struct Minute {
    number: i64,
    failures: HashMap<IpAddr, u32>,
}

impl FailedVerifications {
    pub(super) fn new(limit: u32, everywhere: SharedCounts) -> Self {
        Self {
            limit,
            minute: Mutex::new(Minute::default()),
            everywhere,
        }
    }

    /// Counts one failure; answers how long to wait once there are more than the limit in this minute.
    pub(super) async fn record(&self, address: Option<IpAddr>, now: Timestamp) -> Option<Duration> {
        let address = address?.to_canonical();
        if address.is_loopback() {
            return None;
        }
        let network = network(address);
        let number = now.seconds().div_euclid(60);
        let limit = u64::from(self.limit);
        let mut failures = self.count_here(network, number)?;
        // Who is over the limit already costs the others nothing more.
        if failures <= limit {
            let everywhere = self.everywhere.failed_verification(network, number).await;
            failures = failures.max(everywhere.unwrap_or(0));
        }
        let rest = u64::try_from(60 - now.seconds().rem_euclid(60)).unwrap_or(60);
        (failures > limit).then(|| Duration::from_secs(rest))
    }

    /// Counts one failure in this process; nothing when too many addresses are known already.
    fn count_here(&self, network: IpAddr, number: i64) -> Option<u64> {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.number != number {
            *minute = Minute {
                number,
                failures: HashMap::new(),
            };
        }
        if minute.failures.len() >= MAX_ADDRESSES && !minute.failures.contains_key(&network) {
            return None;
        }
        let count = minute.failures.entry(network).or_insert(0);
        *count = count.saturating_add(1);
        Some(u64::from(*count))
    }
}

/// One customer of a provider has a whole /64 of IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// One that shares its counts with nobody, and so never waits.
    fn alone(limit: u32) -> FailedVerifications {
        FailedVerifications::new(limit, SharedCounts::default())
    }

    fn record(
        failures: &FailedVerifications,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<Duration> {
        failures.record(address, now).now_or_never().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(1_200 + second)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_waits_for_the_next_minute_only_after_the_limit() {
        let failures = alone(2);
        let (one, other) = (address("203.0.113.7"), address("203.0.113.8"));
        assert_eq!(record(&failures, Some(one), at(0)), None);
        assert_eq!(record(&failures, Some(one), at(1)), None);
        assert_eq!(
            record(&failures, Some(one), at(20)),
            Some(Duration::from_secs(40))
        );
        assert_eq!(record(&failures, Some(other), at(20)), None);
        assert_eq!(record(&failures, Some(one), at(60)), None);
    }

    #[test]
    fn loopback_and_unknown_addresses_are_exempt() {
        let failures = alone(0);
        for exempt in [
            None,
            Some(address("127.0.0.1")),
            Some(address("::1")),
            Some(address("::ffff:127.0.0.1")),
        ] {
            assert_eq!(record(&failures, exempt, at(0)), None, "{exempt:?}");
        }
    }

    #[test]
    fn one_network_is_one_address() {
        let failures = alone(1);
        assert_eq!(record(&failures, Some(address("2001:db8::1")), at(0)), None);
        assert!(record(&failures, Some(address("2001:db8::2")), at(0)).is_some());
        assert_eq!(
            record(&failures, Some(address("2001:db8:0:1::1")), at(0)),
            None
        );
        assert_eq!(record(&failures, Some(address("203.0.113.7")), at(0)), None);
        assert!(record(&failures, Some(address("::ffff:203.0.113.7")), at(0)).is_some());
    }
}
