//! Which dyno of an app gets a request: the one with the fewest open, equals in turn.
//!
//! Invariant: a dyno that refused its last connection is chosen only when there is no other.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use super::access::Access;
use super::destination::Destination;
use super::rescue::ProxyError;
use super::table::{Claim, Service, Upstream};
use super::worker::Worker;

/// How often another upstream, or a newer table, is tried for one request.
pub(super) const ATTEMPTS: usize = 8;

/// Where a request goes.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// None for the control API.
    pub(super) claim: Option<Claim>,
}

/// The upstream with the fewest requests open, claimed. None when all have failed already.
pub(super) fn choose(
    worker: &Worker,
    destination: &mut Destination,
    failed: &[SocketAddr],
    access: &mut Access,
) -> Result<Option<Target>, ProxyError> {
    for _ in 0..ATTEMPTS {
        let app = match destination {
            Destination::Api(address) => {
                let target = Target { address: **address, claim: None };
                return Ok((!failed.contains(address)).then_some(target));
            }
            Destination::App { app, .. } => app,
        };
        let upstreams = match &app.service {
            Service::Maintenance => return Err(ProxyError::Maintenance),
            Service::Upstreams(upstreams) => upstreams,
        };
        let Some(upstream) = least_busy(upstreams, failed, &worker.turn) else {
            // What was retired since the table was read has its successors in a newer one.
            if upstreams.iter().any(|upstream| upstream.is_retired()) {
                destination.refresh(&worker.table.load())?;
                continue;
            }
            return Ok(None);
        };
        if let Some(claim) = upstream.claim() {
            access.goes_to(upstream);
            return Ok(Some(Target { address: upstream.address, claim: Some(claim) }));
        }
        destination.refresh(&worker.table.load())?;
    }
    Ok(None)
}

/// The search starts one further each time, so that equals take turns.
fn least_busy<'a>(
    upstreams: &'a [Arc<Upstream>],
    failed: &[SocketAddr],
    turn: &Cell<usize>,
) -> Option<&'a Arc<Upstream>> {
    let takes = |upstream: &&Arc<Upstream>| !upstream.is_retired() && !failed.contains(&upstream.address);
    // Without a choice its count, which other workers change all the time, is not looked at.
    if let [only] = upstreams {
        return Some(only).filter(takes);
    }
    let start = turn.get().checked_rem(upstreams.len())?;
    turn.set(turn.get().wrapping_add(1));
    let (before, from) = upstreams.split_at(start);
    from.iter()
        .chain(before)
        .filter(takes)
        .min_by_key(|upstream| (upstream.health().is_down(), upstream.in_flight()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::DynoName;

    fn dyno(port: u16) -> Arc<Upstream> {
        Upstream::new(DynoName::new("1", &port.to_string()), ([127, 0, 0, 1], port).into())
    }

    #[test]
    fn the_fewest_open_requests_win_and_equals_take_turns() {
        let (dynos, turn) = ([dyno(1), dyno(2), dyno(3)], Cell::new(0));
        let next = || least_busy(&dynos, &[], &turn).unwrap().address.port();
        assert_eq!([next(), next(), next(), next()], [1, 2, 3, 1]);
        let _busy = (dynos[0].claim(), dynos[2].claim());
        assert_eq!([next(), next(), next()], [2, 2, 2]);
    }

    #[test]
    fn a_dyno_that_refused_is_the_last_choice() {
        let (dynos, turn) = ([dyno(1), dyno(2)], Cell::new(0));
        let _busy = dynos[1].claim();
        assert!(dynos[0].health().went_down());
        assert!(!dynos[0].health().went_down(), "it is probed once");
        let choice = |failed: &[SocketAddr]| least_busy(&dynos, failed, &turn).map(|one| one.address.port());
        assert_eq!([choice(&[]), choice(&[]), choice(&[])], [Some(2); 3]);
        assert_eq!(choice(&[dynos[1].address]), Some(1), "when there is no other");
        dynos[0].health().came_up();
        assert_eq!([choice(&[]), choice(&[])], [Some(1); 2]);
    }
}
