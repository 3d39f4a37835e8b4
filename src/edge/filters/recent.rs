//! A bounded map of what was used last.
//!
//! Invariant: it holds at most twice its capacity, and each step costs the same however full it is: when the young
//! half is full it becomes the old one, and what was in the old one and was not used since is forgotten.

use std::collections::HashMap;
use std::hash::Hash;

#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
}

impl<K: Eq + Hash, V: Copy> Recent<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), capacity }
    }

    /// What is remembered of a key, which is now the most recent one.
    pub(super) fn get(&mut self, key: K) -> Option<V> {
        if let Some(value) = self.young.get(&key) {
            return Some(*value);
        }
        let value = self.old.remove(&key)?;
        self.put(key, value);
        Some(value)
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut recent = Recent::new(100);
        for number in 0..10_000 {
            recent.put(number, number);
            assert_eq!(recent.get(0), Some(0), "{number}");
            assert!(recent.young.len() + recent.old.len() <= 200);
        }
        assert_eq!(recent.get(9_999), Some(9_999));
        assert_eq!(recent.get(5_000), None);
    }
}
