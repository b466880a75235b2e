//! A bounded queue that serves its sources in turn, one item each.
//!
//! Each source has a share that adapts to the load: it may have at most as many items waiting as places are free. So one source alone may
//! fill half of the queue, three together three quarters, and there is always room for one that comes new.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::source::Source;

/// How large the queue of a source stays when it is empty: what a crowd once needed is given back.
const KEPT_CAPACITY: usize = 1024;

/// A queue of items from several sources.
#[derive(Debug)]
pub struct FairQueue<T> {
    most: usize,
    length: usize,
    /// Where the queue of each source with waiting items is.
    places: HashMap<Source, usize, BuildHasherDefault<SourceHasher>>,
    queues: Vec<VecDeque<T>>,
    /// Queues that belong to nobody.
    free: Vec<usize>,
    /// The sources with waiting items, in the order in which they are served.
    turns: VecDeque<(Source, usize)>,
}

impl<T> FairQueue<T> {
    /// An empty queue with this many places.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, length: 0, places: HashMap::default(), queues: Vec::new(), free: Vec::new(), turns: VecDeque::new() }
    }

    /// Adds an item, or gives it back if its source has no more room.
    pub fn push(&mut self, source: Source, item: T) -> Result<(), T> {
        let free = self.most - self.length;
        let place = self.places.get(&source).copied();
        let own = place.and_then(|place| self.queues.get(place)).map_or(0, VecDeque::len);
        if own >= free {
            return Err(item);
        }
        let place = place.unwrap_or_else(|| self.begin(source));
        let Some(queue) = self.queues.get_mut(place) else { return Err(item) };
        queue.push_back(item);
        self.length += 1;
        Ok(())
    }

    /// Takes the oldest item of the source whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let (source, place) = self.turns.pop_front()?;
        let queue = self.queues.get_mut(place)?;
        let item = queue.pop_front()?;
        self.length -= 1;
        if queue.is_empty() {
            queue.shrink_to(KEPT_CAPACITY);
            self.places.remove(&source);
            self.free.push(place);
        } else {
            self.turns.push_back((source, place));
        }
        Some(item)
    }

    /// How many items would be served before the last of so many more of a source.
    #[must_use]
    pub fn ahead(&self, source: Source, more: usize) -> usize {
        let own = self.places.get(&source).and_then(|place| self.queues.get(*place)).map_or(0, VecDeque::len);
        own.saturating_add(more).saturating_mul(self.turns.len()).min(self.length)
    }

    /// How many items wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many sources have waiting items.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.turns.len()
    }

    fn begin(&mut self, source: Source) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.queues.push(VecDeque::new());
            self.queues.len() - 1
        });
        self.places.insert(source, place);
        self.turns.push_back((source, place));
        place
    }
}

/// Sources are numbered one after another: to multiply spreads them.
#[derive(Debug, Default)]
struct SourceHasher(u64);

impl Hasher for SourceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_served_in_turn_and_each_in_its_order() {
        let (one, other, third) = (Source::new(), Source::new(), Source::new());
        let mut queue = FairQueue::new(100);
        for (source, item) in [(one, "a1"), (one, "a2"), (one, "a3"), (other, "b1"), (other, "b2"), (third, "c1")] {
            queue.push(source, item).unwrap();
        }
        assert_eq!((queue.len(), queue.sources()), (6, 3));
        // Who comes new waits for one of each of the others, whatever they have waiting.
        assert_eq!((queue.ahead(Source::new(), 1), queue.ahead(third, 1), queue.ahead(one, 1)), (3, 6, 6));
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(served, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert!(queue.is_empty() && queue.sources() == 0);
    }

    #[test]
    fn a_source_may_have_as_many_items_as_places_are_free() {
        let (greedy, other, late) = (Source::new(), Source::new(), Source::new());
        let mut queue = FairQueue::new(16);
        let fill = |queue: &mut FairQueue<()>, source| (0..).take_while(|_| queue.push(source, ()).is_ok()).count();
        assert_eq!(fill(&mut queue, greedy), 8);
        assert_eq!(fill(&mut queue, other), 4);
        assert_eq!(fill(&mut queue, greedy), 0);
        assert_eq!(fill(&mut queue, late), 2);
    }
}
