//! Events as numbers and back: the one table that the JSON trace, its header and the hash share.
//!
//! A row of the table names a kind's number in files, its name, and its fields in their order. The
//! numbers are for ever: a kind that is retired leaves a hole, a new one takes the next number.

use mainspring::observe::{
    CancelEffect, CancelOrigin, CauseKind, Direction, Kind, LoopExit, PollOutcome, SourceKind,
    TryOutcome, WakeEffect,
};

/// A value that a kind's field can hold, as one number.
pub(crate) trait Field: Sized {
    /// `number`, `time`, `bool`, or the name of an enum in [`ENUMS`].
    const TYPE: &'static str;
    fn to_wire(&self) -> i64;
    fn from_wire(wire: i64) -> Option<Self>;
}

impl Field for u64 {
    const TYPE: &'static str = "number";
    // "Never" is -1, and so is what is 292 years away: JavaScript has no integer as large.
    fn to_wire(&self) -> i64 {
        i64::try_from(*self).unwrap_or(-1)
    }
    fn from_wire(wire: i64) -> Option<Self> {
        if wire == -1 { Some(u64::MAX) } else { u64::try_from(wire).ok() }
    }
}

macro_rules! small_integers {
    ($($type:ty),*) => { $(
        impl Field for $type {
            const TYPE: &'static str = "number";
            fn to_wire(&self) -> i64 {
                i64::from(*self)
            }
            fn from_wire(wire: i64) -> Option<Self> {
                Self::try_from(wire).ok()
            }
        }
    )* };
}
small_integers!(u32, i32);

impl Field for bool {
    const TYPE: &'static str = "bool";
    fn to_wire(&self) -> i64 {
        i64::from(*self)
    }
    fn from_wire(wire: i64) -> Option<Self> {
        Some(wire != 0)
    }
}

macro_rules! enums {
    ($($type:ident: $($number:literal $variant:ident $word:literal),*;)*) => {
        /// Every enum that fields use, with the words for its values by number.
        pub(crate) const ENUMS: &[(&str, &[&str])] = &[$((stringify!($type), &[$($word),*])),*];
        $(
            impl Field for $type {
                const TYPE: &'static str = stringify!($type);
                fn to_wire(&self) -> i64 {
                    match self { $($type::$variant => $number),* }
                }
                fn from_wire(wire: i64) -> Option<Self> {
                    match wire { $($number => Some($type::$variant),)* _ => None }
                }
            }
            impl Word for $type {
                fn word(self) -> &'static str {
                    match self { $($type::$variant => $word),* }
                }
            }
        )*
    };
}

/// The word a file and a sentence use for a value.
pub(crate) trait Word {
    fn word(self) -> &'static str;
}

enums! {
    LoopExit: 0 MainDone "main_done", 1 MainPanicked "main_panicked", 2 TurnDone "turn_done",
        3 Idle "idle", 4 Stalled "stalled", 5 Shutdown "shutdown";
    WakeEffect: 0 Scheduled "scheduled", 1 Coalesced "coalesced", 2 Deferred "deferred",
        3 Stale "stale";
    CauseKind: 0 Outside "outside", 1 Spawn "spawn", 2 Task "task", 3 Timer "timer",
        4 Source "source", 5 Join "join", 6 Job "job", 7 Thread "thread", 8 Cancel "cancel",
        9 Shutdown "shutdown";
    PollOutcome: 0 Pending "pending", 1 Ready "ready", 2 Panicked "panicked";
    CancelOrigin: 0 Handle "handle", 1 HandleDropped "handle_dropped", 2 Remote "remote",
        3 Shutdown "shutdown";
    CancelEffect: 0 Queued "queued", 1 Deferred "deferred", 2 Ignored "ignored";
    Direction: 0 Read "read", 1 Write "write";
    SourceKind: 0 Listener "listener", 1 Stream "stream", 2 Foreign "foreign";
    TryOutcome: 0 Done "done", 1 WouldBlock "would_block", 2 Eof "eof", 3 Failed "failed",
        4 Short "short", 5 Cleared "cleared";
}

macro_rules! kinds {
    ($($number:literal $name:literal $variant:ident { $($field:ident: $type:ty),* };)*) => {
        /// Every kind: its number, its name, and its fields with their types.
        pub(crate) const KINDS: &[(u8, &str, &[(&str, &str)])] = &[
            $(($number, $name, &[$((stringify!($field), <$type as Field>::TYPE)),*])),*
        ];

        /// The number of a kind, and its fields as numbers appended to `fields`.
        ///
        /// `None` for a kind younger than this table.
        pub(crate) fn encode(kind: &Kind, fields: &mut Vec<i64>) -> Option<u8> {
            match kind {
                $(Kind::$variant { $($field),* } => {
                    $(fields.push($field.to_wire());)*
                    Some($number)
                })*
                _ => None,
            }
        }

        /// The kind of that number with those fields; `None` if there is no such thing.
        pub(crate) fn decode(number: u8, fields: &[i64]) -> Option<Kind> {
            let mut fields = fields.iter();
            match number {
                $($number => Some(Kind::$variant {
                    $($field: <$type as Field>::from_wire(*fields.next()?)?),*
                }),)*
                _ => None,
            }
        }
    };
}

kinds! {
    1 "loop_entered" LoopEntered {};
    2 "loop_left" LoopLeft { why: LoopExit };
    3 "turn_started" TurnStarted { ready: u32, turn: u64 };
    4 "turn_ended" TurnEnded {};
    5 "parked" Parked { timeout: u64 };
    6 "unparked" Unparked { events: u32 };
    7 "clock_jumped" ClockJumped { to: u64 };
    8 "decided" Decided { among: u32, chosen: u32 };
    9 "advanced" Advanced { from: u32, count: u32 };
    20 "spawned" Spawned { parent: u64 };
    21 "woken" Woken { effect: WakeEffect, by: CauseKind, id: u64 };
    22 "poll_started" PollStarted { holders: u32 };
    23 "poll_ended" PollEnded { outcome: PollOutcome, requeued: bool, holders: u32 };
    24 "done" Done { panicked: bool, beat_cancel: bool };
    25 "cancelled" Cancelled { origin: CancelOrigin, by: u64 };
    26 "cancel_requested" CancelRequested { effect: CancelEffect, by: u64 };
    27 "detached" Detached {};
    28 "output_taken" OutputTaken {};
    29 "panic_unseen" PanicUnseen {};
    40 "waits_for_task" WaitsForTask { on: u64 };
    41 "waits_for_source" WaitsForSource { direction: Direction, source: u32 };
    42 "waits_for_timer" WaitsForTimer { timer: u32 };
    43 "waits_for_job" WaitsForBlocking { job: u32 };
    44 "task_wait_dropped" TaskWaitDropped { on: u64 };
    45 "source_wait_dropped" SourceWaitDropped { direction: Direction, source: u32 };
    50 "timer_armed" TimerArmed { timer: u32, deadline: u64 };
    51 "timer_fired" TimerFired { timer: u32, late: u64 };
    52 "timer_dropped" TimerDropped { timer: u32 };
    60 "source_registered" SourceRegistered { source_kind: SourceKind, source: u32, fd: i32 };
    61 "source_ready" SourceReady { readable: bool, writable: bool, source: u32 };
    62 "source_tried" SourceTried {
        direction: Direction, outcome: TryOutcome, source: u32, bytes: u32
    };
    63 "source_closed" SourceClosed { source: u32 };
    70 "job_queued" JobQueued { job: u32 };
    71 "job_ended" JobEnded { job: u32, ran: u64 };
    72 "job_dropped" JobDropped { job: u32 };
    80 "span_opened" SpanOpened { span: u32, parent: u32, label: u32 };
    81 "span_closed" SpanClosed { span: u32, completed: bool, polls: u32 };
    82 "marked" Marked { label: u32 };
    90 "observer_paused" ObserverPaused { took: u64 };
}

/// The name of a kind, or `unknown`.
pub(crate) fn name_of(number: u8) -> &'static str {
    KINDS.iter().find(|(n, ..)| *n == number).map_or("unknown", |(_, name, _)| name)
}

/// Lets serde write an enum of the core as the number it has in files.
pub(crate) mod wire {
    use super::Field;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Field, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(value.to_wire())
    }

    pub(crate) fn deserialize<'de, T: Field, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let wire = i64::deserialize(from)?;
        T::from_wire(wire).ok_or_else(|| D::Error::custom(format!("{wire} is no {}", T::TYPE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_in_the_table_survives_the_way_out_and_back() {
        for (number, name, fields) in KINDS {
            // 0 and 1 are values of every type.
            for wire in [0, 1] {
                let values = vec![wire; fields.len()];
                let kind = decode(*number, &values).expect(name);
                let mut back = Vec::new();
                assert_eq!((encode(&kind, &mut back), back), (Some(*number), values), "{name}");
            }
        }
    }

    #[test]
    fn never_is_minus_one_and_a_missing_or_mistyped_field_is_nothing() {
        let mut fields = Vec::new();
        assert_eq!(encode(&Kind::Parked { timeout: u64::MAX }, &mut fields), Some(5));
        assert_eq!(fields, [-1]);
        assert_eq!(decode(5, &fields), Some(Kind::Parked { timeout: u64::MAX }));
        assert_eq!(decode(5, &[]), None);
        assert_eq!(decode(5, &[-2]), None);
        assert_eq!(decode(2, &[99]), None);
        assert_eq!(decode(99, &[]), None);
    }
}
