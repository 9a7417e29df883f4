//! The catalogue of the demo site: movies that nobody ever shot.
//!
//! Every movie is a pure function of its id, so that the site holds no data, any number of pages
//! can be served, and a test knows what a crawl must find. Titles, people and plots are put
//! together from word lists made up for this project.

use serde::{Deserialize, Serialize};

/// One movie, as the site knows it and as a crawl extracts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Movie {
    /// Its number in the catalogue, from 1.
    pub id: u32,
    /// Its title.
    pub title: String,
    /// Who directed it.
    pub director: String,
    /// The year it was released.
    pub year: u16,
    /// What the audience gave it, from 0 to 10 with one decimal.
    pub score: f32,
    /// One line on what it is about; about one movie in eight has none.
    pub description: Option<String>,
}

// Lists of words, one on each line.
const ADJECTIVES: &str = include_str!("words/adjectives.txt");
const NOUNS: &str = include_str!("words/nouns.txt");
const FIRST_NAMES: &str = include_str!("words/first_names.txt");
const LAST_NAMES: &str = include_str!("words/last_names.txt");
const HEROES: &str = include_str!("words/heroes.txt");
const VERBS: &str = include_str!("words/verbs.txt");
const OBJECTS: &str = include_str!("words/objects.txt");

impl Movie {
    /// The movie with this number. The same number gives the same movie, always.
    pub fn with_id(id: u32) -> Movie {
        let mut dice = Dice(u64::from(id));
        let adjective = dice.pick(ADJECTIVES);
        let noun = dice.pick(NOUNS);
        let title = match dice.below(4) {
            0 => format!("{adjective} {noun}"),
            1 => format!("The {noun}'s {}", dice.pick(NOUNS)),
            2 => format!("{noun} & {}", dice.pick(NOUNS)),
            _ => format!("The {adjective} {noun}"),
        };
        let director = format!("{} {}", dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES));
        let year = 1931 + dice.below(94) as u16;
        let score = (45 + dice.below(53)) as f32 / 10.0;
        let description = (dice.below(8) != 0).then(|| {
            let (hero, verb) = (dice.pick(HEROES), dice.pick(VERBS));
            let (first, rest) = hero.split_at(1);
            format!("{}{rest} {verb} {}.", first.to_uppercase(), dice.pick(OBJECTS))
        });
        Movie { id, title, director, year, score, description }
    }

    /// Numbers of three other movies of a catalogue of `count`, for the links at the foot of a
    /// page.
    ///
    /// Fewer than three if the catalogue is too small, and never the movie itself.
    pub fn related(&self, count: u32) -> Vec<u32> {
        let mut dice = Dice(u64::from(self.id) ^ 0x5eed_5eed);
        let mut related: Vec<u32> = Vec::new();
        for _ in 0..3.min(count.saturating_sub(1)) {
            let mut other = 1 + dice.below(u64::from(count)) as u32;
            while other == self.id || related.contains(&other) {
                other = other % count + 1;
            }
            related.push(other);
        }
        related
    }
}

/// Splitmix64: a few lines that turn neighbouring ids into unrelated numbers.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick(&mut self, words: &'static str) -> &'static str {
        let place = self.below(words.lines().count() as u64);
        words.lines().nth(place as usize).expect("a place in the list")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_is_the_same_movie() {
        assert_eq!(Movie::with_id(7), Movie::with_id(7));
        assert_ne!(Movie::with_id(7).title, Movie::with_id(8).title);
    }

    #[test]
    fn some_movies_of_the_first_hundred_have_no_description() {
        let without = (1..=100).filter(|&id| Movie::with_id(id).description.is_none()).count();
        assert!((5..=25).contains(&without), "{without} of 100");
    }

    #[test]
    fn years_and_scores_stay_in_range() {
        for id in 1..=2_000 {
            let movie = Movie::with_id(id);
            assert!((1931..=2024).contains(&movie.year), "{movie:?}");
            assert!((4.5..=9.8).contains(&movie.score), "{movie:?}");
        }
    }

    #[test]
    fn related_movies_are_others_of_the_catalogue() {
        for count in [1, 2, 3, 4, 100] {
            for id in 1..=count {
                let related = Movie::with_id(id).related(count);
                assert_eq!(related.len() as u32, 3.min(count - 1));
                for (at, other) in related.iter().enumerate() {
                    assert!((1..=count).contains(other) && *other != id);
                    assert!(!related[..at].contains(other), "{related:?}");
                }
            }
        }
    }
}
