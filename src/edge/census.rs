//! How many connections each client address has open, where that is limited.
//!
//! Invariant: an address without a connection takes no memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

/// The connections of all workers. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Census {
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection; dropping it counts it out.
#[derive(Debug)]
pub(super) struct Counted {
    census: Census,
    address: IpAddr,
}

/// What a connection counts as wherever their number is limited; dropping it counts it out.
#[derive(Debug)]
pub(super) struct Room {
    _permit: OwnedSemaphorePermit,
    _counted: Option<Counted>,
}

impl Room {
    /// That of one with a permit of its worker's, and counted for its address where that is limited.
    pub(super) fn new(permit: OwnedSemaphorePermit, counted: Option<Counted>) -> Self {
        Self { _permit: permit, _counted: counted }
    }
}

impl Census {
    /// Admits `most` connections of each address; zero admits any number, and counts none.
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// Counts a connection in. `Err` when the address has as many as it may.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Option<Counted>, ()> {
        if self.most == 0 {
            return Ok(None);
        }
        let address = address.to_canonical();
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return Err(());
        }
        *count += 1;
        drop(open);
        Ok(Some(Counted { census: self.clone(), address }))
    }

    /// Whether addresses are counted.
    pub(super) fn is_limited(&self) -> bool {
        self.most > 0
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.census.open();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_number_of_connections_and_no_more() {
        let census = Census::new(2);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = census.admit(one).unwrap();
        let _second = census.admit("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert!(census.admit(one).is_err());
        assert!(census.admit(other).is_ok());
        drop(first);
        assert!(census.admit(one).is_ok());
        assert_eq!(census.open().len(), 1);
        assert!(Census::new(0).admit(one).unwrap().is_none());
    }
}
