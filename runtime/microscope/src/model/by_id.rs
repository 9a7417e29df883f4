//! Things by their ids: maps, and how they are written into a trace's snapshot.

use rustc_hash::FxHashMap;

use super::{Job, Source, Span, Task, Timer};

/// Things by id.
pub(crate) type ById<T> = FxHashMap<u64, T>;

/// The values of a map, by ascending id.
pub(crate) fn in_order<T>(map: &ById<T>) -> Vec<&T> {
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
