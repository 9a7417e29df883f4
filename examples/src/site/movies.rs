//! The catalogue of the demo site: movies that nobody ever shot.
//!
//! Every movie is a pure function of its id, so that the site holds no data, any number of pages
//! can be served, and a test knows what a crawl must find. Titles, people and plots are put
//! together from word lists made up for this project.

use fastrand::Rng;
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
        let mut dice = Rng::with_seed(u64::from(id));
        let adjective = pick(&mut dice, ADJECTIVES);
        let noun = pick(&mut dice, NOUNS);
        let title = match dice.u8(..4) {
            0 => format!("{adjective} {noun}"),
            1 => format!("The {noun}'s {}", pick(&mut dice, NOUNS)),
            2 => format!("{noun} & {}", pick(&mut dice, NOUNS)),
            _ => format!("The {adjective} {noun}"),
        };
        let director = format!("{} {}", pick(&mut dice, FIRST_NAMES), pick(&mut dice, LAST_NAMES));
        let year = 1931 + dice.u16(..94);
        let score = f32::from(45 + dice.u8(..53)) / 10.0;
        let description = (dice.u8(..8) != 0).then(|| {
            let (hero, verb) = (pick(&mut dice, HEROES), pick(&mut dice, VERBS));
            let (first, rest) = hero.split_at(1);
            format!("{}{rest} {verb} {}.", first.to_uppercase(), pick(&mut dice, OBJECTS))
        });
        Movie { id, title, director, year, score, description }
    }

    /// Numbers of three other movies of a catalogue of `count`, for the links at the foot of a
    /// page.
    ///
    /// Fewer than three if the catalogue is too small, and never the movie itself.
    pub fn related(&self, count: u32) -> Vec<u32> {
        let mut dice = Rng::with_seed(u64::from(self.id) ^ 0x5eed_5eed);
        let mut related: Vec<u32> = Vec::new();
        for _ in 0..3.min(count.saturating_sub(1)) {
            let mut other = dice.u32(1..=count);
            while other == self.id || related.contains(&other) {
                other = other % count + 1;
            }
            related.push(other);
        }
        related
    }
}

/// One of the words in a list.
fn pick(dice: &mut Rng, words: &'static str) -> &'static str {
    let place = dice.usize(..words.lines().count());
    words.lines().nth(place).expect("a place in the list")
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
