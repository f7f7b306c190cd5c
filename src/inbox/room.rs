//! How many bytes of deliveries may be in memory at once, whoever holds them.
//!
//! Counted as they arrive and not as they are announced, so that a sender who only promises takes nobody's place. A
//! [`Share`] goes where its bytes go, and gives its place back when they are gone. Nobody ever waits for room: whoever
//! waited would hold what it has read so far, and all of them together could wait for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// There is no room for more bytes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deliveries in memory have more than {limit} bytes; send this one again later")]
pub struct NoRoom {
    limit: usize,
}

/// Room for so many bytes; clones share it.
#[derive(Debug, Clone)]
pub struct Room {
    limit: usize,
    taken: Arc<AtomicUsize>,
}

impl Room {
    /// Room for `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: Arc::default(),
        }
    }

    /// A share that takes nothing yet.
    pub fn share(&self) -> Share {
        Share {
            room: self.clone(),
            bytes: 0,
        }
    }

    /// How many bytes are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// The part of a [`Room`] that one delivery takes, for as long as this value lives.
#[derive(Debug)]
pub struct Share {
    room: Room,
    bytes: usize,
}

impl Share {
    /// Takes as much as `bytes` need, or gives back what they do not need any more. A refusal changes nothing.
    pub fn cover(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if bytes > self.bytes {
            let limit = self.room.limit;
            let more = bytes - self.bytes;
            let fits = |taken: usize| taken.checked_add(more).filter(|sum| *sum <= limit);
            self.room
                .taken
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
                .map_err(|_taken| NoRoom { limit })?;
        } else {
            let less = self.bytes - bytes;
            self.room.taken.fetch_sub(less, Ordering::Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_take_no_more_than_there_is_and_give_all_of_it_back() {
        let room = Room::new(10);
        let (mut one, mut other) = (room.share(), room.share());
        one.cover(6).unwrap();
        assert_eq!(other.cover(5), Err(NoRoom { limit: 10 }));
        assert_eq!(room.taken(), 6, "a refusal takes nothing");
        other.cover(4).unwrap();
        one.cover(1).unwrap();
        assert_eq!(room.taken(), 5);
        assert!(other.cover(usize::MAX).is_err());
        drop(one);
        other.cover(10).unwrap();
        drop(other);
        assert_eq!(room.taken(), 0);
    }
}
