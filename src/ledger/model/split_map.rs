//! A map in many parts, of which only one moves when it grows.
//!
//! A hash table that is full moves all that it holds into a larger one, within one insertion: with ten million request ids, nothing is charged for
//! about a second. A part of a thousandth moves in about a millisecond.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// How many parts there are: a power of two.
const PARTS: usize = 1024;

/// A map in parts.
#[derive(Clone, Debug)]
pub struct SplitMap<K, V, S = RandomState> {
    parts: Vec<HashMap<K, V, S>>,
    /// The same as that of the parts.
    hasher: S,
    len: usize,
}

/// A map of keys that are digests: nobody can choose them so that they fall into one place, so they need no slow hash.
pub type DigestMap<K, V> = SplitMap<K, V, foldhash::quality::RandomState>;

impl<K, V, S: BuildHasher + Clone + Default> Default for SplitMap<K, V, S> {
    fn default() -> Self {
        let hasher = S::default();
        Self { parts: (0..PARTS).map(|_| HashMap::with_hasher(hasher.clone())).collect(), hasher, len: 0 }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> SplitMap<K, V, S> {
    /// The part of a key: by bits of its hash that have no say in its place within the part, unless that is huge.
    fn part<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        usize::try_from((self.hasher.hash_one(key) >> 40) % PARTS as u64).unwrap_or(0)
    }

    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.parts.get(self.part(key))?.get(key)
    }

    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let part = self.part(key);
        self.parts.get_mut(part)?.get_mut(key)
    }

    /// Returns the value that it replaces.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let part = self.part(&key);
        let before = self.parts.get_mut(part)?.insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let part = self.part(key);
        let removed = self.parts.get_mut(part)?.remove(key);
        self.len -= usize::from(removed.is_some());
        removed
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn clear(&mut self) {
        self.parts.iter_mut().for_each(HashMap::clear);
        self.len = 0;
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(HashMap::iter)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.parts.iter().flat_map(HashMap::keys)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.parts.iter_mut().flat_map(HashMap::values_mut)
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Clone + Default> FromIterator<(K, V)> for SplitMap<K, V, S> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Self {
        let mut map = Self::default();
        pairs.into_iter().for_each(|(key, value)| drop(map.insert(key, value)));
        map
    }
}

impl<K: Eq + Hash, V: PartialEq, S: BuildHasher> PartialEq for SplitMap<K, V, S> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Eq + Hash, V: Eq, S: BuildHasher> Eq for SplitMap<K, V, S> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insertion_moves_no_more_than_a_small_part_of_what_the_map_holds() {
        const COUNT: u32 = 300_000;
        let mut map = SplitMap::<_, _>::default();
        let mut most_moved = 0;
        for key in 0..COUNT {
            let part = map.part(&key);
            let (held, capacity) = (map.parts[part].len(), map.parts[part].capacity());
            assert_eq!(map.insert(key, key), None);
            if map.parts[part].capacity() != capacity {
                most_moved = most_moved.max(held);
            }
        }
        assert!((1..COUNT as usize / 500).contains(&most_moved), "{most_moved} of {COUNT} moved at once");
        assert_eq!((map.len(), map.iter().count(), map.keys().count()), (COUNT as usize, COUNT as usize, COUNT as usize));
    }

    #[test]
    fn it_holds_what_a_map_holds() {
        let (mut map, mut known) = (DigestMap::default(), HashMap::new());
        for (step, key) in (0..20_000_u32).map(|step| (step, step.wrapping_mul(2_654_435_761) % 3_000)) {
            if step % 3 == 0 {
                assert_eq!(map.remove(&key), known.remove(&key));
            } else {
                assert_eq!(map.insert(key, step), known.insert(key, step));
            }
            assert_eq!((map.get(&key), map.len()), (known.get(&key), known.len()));
        }
        let other: DigestMap<_, _> = known.into_iter().collect();
        assert_eq!(map, other);
        map.values_mut().for_each(|step| *step += 1);
        assert_ne!(map, other);
        map.clear();
        assert_eq!((map.len(), map.iter().count()), (0, 0));
    }
}
