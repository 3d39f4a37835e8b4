//! The one source of new ids and random names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::RngExt;
use uuid::Uuid;

/// Makes ids: version 7 in production, a counter in tests so that snapshots need no redaction.
#[derive(Debug, Clone)]
pub struct Ids(Source);

#[derive(Debug, Clone)]
enum Source {
    Random,
    Counter(Arc<AtomicU64>),
}

impl Ids {
    /// Version 7: later ids sort after earlier ones.
    pub fn random() -> Self {
        Self(Source::Random)
    }

    /// `00000000-0000-4000-8000-000000000001` and so on.
    pub fn counter() -> Self {
        Self(Source::Counter(Arc::new(AtomicU64::new(1))))
    }

    /// The next id.
    pub fn next(&self) -> Uuid {
        match &self.0 {
            Source::Random => Uuid::now_v7(),
            Source::Counter(next) => {
                let number = u128::from(next.fetch_add(1, Ordering::SeqCst));
                Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 | number)
            }
        }
    }

    /// Any number, for names that are drawn by chance.
    pub fn number(&self) -> u32 {
        match &self.0 {
            Source::Random => rand::random(),
            Source::Counter(next) => u32::try_from(next.fetch_add(1, Ordering::SeqCst)).unwrap_or(0),
        }
    }

    /// Lower-case letters and digits, for the instance part of a dyno's name.
    pub fn suffix(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut rng = rand::rng();
        (0..length)
            .map(|_| ALPHABET.get(rng.random_range(0..ALPHABET.len())).copied().map_or('x', char::from))
            .collect()
    }
}

/// 256 random bits in hexadecimal: a token's secret.
pub fn random_secret() -> String {
    let bytes: [u8; 32] = rand::random();
    hex::encode(bytes)
}
