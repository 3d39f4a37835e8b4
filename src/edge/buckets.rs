//! A hash map of which a changed copy shares what did not change.
//!
//! Invariant: a change copies the list of buckets and one bucket, whatever else the map holds, so that one route
//! among ten thousand is published in microseconds.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

/// Ten thousand keys are ten a bucket.
const BUCKETS: usize = 1024;

/// The entries of the keys whose hashes agree in their lowest bits; `None` for an empty one.
type Bucket<K, V> = Option<Arc<[Entry<K, V>]>>;

/// The map. Copies share everything until one of them is changed.
#[derive(Debug, Clone)]
pub(super) struct Buckets<K, V> {
    hasher: RandomState,
    buckets: Arc<[Bucket<K, V>]>,
}

#[derive(Debug, Clone)]
struct Entry<K, V> {
    hash: u64,
    key: K,
    value: V,
}

impl<K, V> Default for Buckets<K, V> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), buckets: (0..BUCKETS).map(|_| None).collect() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Buckets<K, V> {
    /// The value of a key.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let bucket = self.buckets.get(place(hash))?.as_ref()?;
        let found = bucket.iter().find(|entry| entry.hash == hash && entry.key.borrow() == key);
        found.map(|entry| &entry.value)
    }

    /// Every value, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.buckets.iter().flatten().flat_map(|bucket| bucket.iter()).map(|entry| &entry.value)
    }

    /// Sets the value of a key in this copy.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let hash = self.hasher.hash_one(&key);
        self.change(hash, &key.clone(), Some(Entry { hash, key, value }));
    }

    /// Takes a key out of this copy.
    pub(super) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        self.change(hash, key, None);
    }

    fn change<Q>(&mut self, hash: u64, key: &Q, new: Option<Entry<K, V>>)
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(bucket) = Arc::make_mut(&mut self.buckets).get_mut(place(hash)) else { return };
        let others = bucket.iter().flat_map(|bucket| bucket.iter());
        let kept = others.filter(|entry| entry.hash != hash || entry.key.borrow() != key).cloned();
        let changed: Arc<[Entry<K, V>]> = kept.chain(new).collect();
        *bucket = (!changed.is_empty()).then_some(changed);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest bits are what is asked for")]
fn place(hash: u64) -> usize {
    hash as usize % BUCKETS
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_copy_keeps_what_it_had() {
        let mut map: Buckets<Arc<str>, u32> = Buckets::default();
        map.insert("a".into(), 1);
        let before = map.clone();
        map.insert("a".into(), 2);
        map.remove("b");
        assert_eq!((before.get("a"), map.get("a"), map.get("b")), (Some(&1), Some(&2), None));
        map.remove("a");
        assert_eq!((before.get("a"), map.get("a")), (Some(&1), None));
    }

    #[test]
    fn ten_thousand_keys_are_spread_over_small_buckets() {
        let mut map = Buckets::default();
        for number in 0..10_000_u32 {
            map.insert(number, number);
        }
        assert!((0..10_000).all(|number| map.get(&number) == Some(&number)));
        let longest = map.buckets.iter().flatten().map(|bucket| bucket.len()).max().unwrap();
        assert!(longest < 60, "{longest} keys share a bucket");
    }

    #[test]
    fn a_change_leaves_all_other_buckets_shared() {
        let mut map = Buckets::default();
        for number in 0..10_000_u32 {
            map.insert(number, number);
        }
        let before = map.clone();
        map.insert(20_000, 0);
        let same = |(a, b): (&Bucket<u32, u32>, &Bucket<u32, u32>)| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let changed = before.buckets.iter().zip(map.buckets.iter()).filter(|pair| !same(*pair)).count();
        assert_eq!(changed, 1);
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_of_the_standard_library_holds(
            steps in proptest::collection::vec((0_u8..20, proptest::option::of(0_u32..9)), 0..60)
        ) {
            let (mut map, mut model) = (Buckets::default(), HashMap::new());
            for (key, value) in steps {
                if let Some(value) = value {
                    map.insert(key, value);
                    model.insert(key, value);
                } else {
                    map.remove(&key);
                    model.remove(&key);
                }
                prop_assert!((0..20).all(|key| map.get(&key) == model.get(&key)));
                prop_assert_eq!(map.values().count(), model.len());
            }
        }
    }
}
