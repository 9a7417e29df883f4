//! The movies that a crawl of the demo site has found, as files.

use std::io;

use super::{OutDir, lines};
use crate::site::movies::Movie;

/// Writes `movies.jsonl` and `movies.csv`, in the order given, and one `{id}.json` per movie.
///
/// # Errors
/// Whatever the file system fails with.
pub fn write(dir: &OutDir, movies: &[Movie]) -> io::Result<()> {
    dir.write("movies.jsonl", |file| lines(file, movies))?;
    dir.write("movies.csv", |file| {
        let mut csv = csv::Writer::from_writer(file);
        for movie in movies {
            csv.serialize(movie).map_err(io::Error::other)?;
        }
        csv.flush()
    })?;
    for movie in movies {
        dir.write(&format!("{}.json", movie.id), |file| {
            serde_json::to_writer_pretty(&mut *file, movie)?;
            file.write_all(b"\n")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::Scratch;
    use std::fs;

    #[test]
    fn the_three_kinds_of_file_whole() {
        let movie = |id, description: Option<&str>| Movie {
            id,
            title: "The \"Last\", Ferry".to_owned(),
            director: "Zoë Strand".to_owned(),
            year: 1999,
            score: 7.3,
            description: description.map(str::to_owned),
        };
        let scratch = Scratch::new("movies");
        let dir = OutDir::open(&scratch.0).expect("there");
        write(&dir, &[movie(2, None), movie(10, Some("One line."))]).expect("written");
        assert_eq!(scratch.files(), ["10.json", "2.json", "movies.csv", "movies.jsonl"]);
        let read = |name: &str| fs::read_to_string(scratch.0.join(name)).expect("read");
        assert_eq!(
            read("movies.jsonl"),
            "{\"id\":2,\"title\":\"The \\\"Last\\\", Ferry\",\"director\":\"Zoë Strand\",\
             \"year\":1999,\"score\":7.3,\"description\":null}\n\
             {\"id\":10,\"title\":\"The \\\"Last\\\", Ferry\",\"director\":\"Zoë Strand\",\
             \"year\":1999,\"score\":7.3,\"description\":\"One line.\"}\n"
        );
        assert_eq!(
            read("movies.csv"),
            "id,title,director,year,score,description\n\
             2,\"The \"\"Last\"\", Ferry\",Zoë Strand,1999,7.3,\n\
             10,\"The \"\"Last\"\", Ferry\",Zoë Strand,1999,7.3,One line.\n"
        );
        assert_eq!(
            read("2.json"),
            "{\n  \"id\": 2,\n  \"title\": \"The \\\"Last\\\", Ferry\",\n  \
             \"director\": \"Zoë Strand\",\n  \"year\": 1999,\n  \"score\": 7.3,\n  \
             \"description\": null\n}\n"
        );
    }
}
