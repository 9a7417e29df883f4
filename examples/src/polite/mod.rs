//! Politeness towards sites that are not ours: what they ask crawlers to leave alone, and how fast.

pub mod pace;
pub mod robots;
