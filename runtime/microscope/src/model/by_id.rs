//! Things by their ids: maps, and how they are written into a trace's snapshot.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::{Job, Source, Span, Task, Timer};

/// Things by id. Ids are small and handed out in order, so they are their own hash.
pub(crate) type ById<T> = HashMap<u64, T, BuildHasherDefault<IdHasher>>;

/// Spreads a counter over the high bits that hash tables look at.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }
    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// The values of a map, by ascending id.
pub(super) fn in_order<T>(map: &ById<T>) -> Vec<&T> {
    let mut values: Vec<(&u64, &T)> = map.iter().collect();
    values.sort_unstable_by_key(|(id, _)| **id);
    values.into_iter().map(|(_, value)| value).collect()
}

/// Something that says its own id.
pub(super) trait Identified {
    fn id(&self) -> u64;
}

macro_rules! identified {
    ($($type:ty),*) => { $(impl Identified for $type {
        fn id(&self) -> u64 {
            self.id
        }
    })* };
}
identified!(Task, Timer, Source, Job, Span);

/// A map of things that say their own id, written as a list of them.
pub(super) mod listed {
    use super::{ById, Identified, in_order};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        map: &ById<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(in_order(map))
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de> + Identified, D: Deserializer<'de>>(
        from: D,
    ) -> Result<ById<T>, D::Error> {
        let list = Vec::<T>::deserialize(from)?;
        Ok(list.into_iter().map(|value| (value.id(), value)).collect())
    }
}
