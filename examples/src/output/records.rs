//! The pages of a crawl as files: one JSON object in each line, and a table.

use std::io;

use serde_json::Value;

use super::{OutDir, lines};
use crate::crawl::record::Record;
use crate::timings;

/// Writes `pages.jsonl` and `pages.csv`, in the order given. In the table, what was selected from a
/// page is one cell, with a line for each match.
///
/// # Errors
/// Whatever the file system fails with.
pub fn write(dir: &OutDir, records: &[Record]) -> io::Result<()> {
    dir.write("pages.jsonl", |file| lines(file, records))?;
    dir.write("pages.csv", |file| {
        let mut csv = csv::Writer::from_writer(file);
        let before = ["url", "moved_to", "status", "error", "depth", "content_type", "bytes"];
        let times = ["began_ms", "took_ms"].into_iter().chain(timings::COLUMNS);
        let after = ["links", "file", "selected", "skipped", "cut"];
        let columns: Vec<&str> = before.into_iter().chain(times).chain(after).collect();
        csv.write_record(&columns)?;
        for record in records {
            let fields = serde_json::to_value(record)?;
            csv.write_record(columns.iter().map(|column| cell(&fields[*column])))?;
        }
        csv.flush()
    })
}

/// A field of a record as a cell; empty where the record has none.
fn cell(field: &Value) -> String {
    match field {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().map(cell).collect::<Vec<_>>().join("\n"),
        // JSON has 12.0 for a float of twelve.
        other => other.as_f64().map_or_else(|| other.to_string(), |number| number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::Scratch;
    use crate::timings::Timings;
    use std::fs;
    use url::Url;

    #[test]
    fn both_files_whole() {
        let url = |text| Url::parse(text).expect(text);
        let page = Record {
            status: Some(200),
            content_type: "text/html".to_owned(),
            bytes: 1_234,
            began_ms: 0.5,
            took_ms: 12.25,
            timings: Timings([Some(0.25), None, None, None, None, Some(12.0), None]),
            links: 3,
            file: Some("page-h.html".to_owned()),
            selected: vec!["a, \"b\"".to_owned(), "c".to_owned()],
            ..Record::new(url("http://h/"))
        };
        let failed = Record {
            depth: 1,
            error: Some("404 Not Found".into()),
            ..Record::new(url("http://h/x"))
        };
        let scratch = Scratch::new("records");
        let dir = OutDir::open(&scratch.0).expect("there");
        write(&dir, &[page, failed]).expect("written");
        let read = |name: &str| fs::read_to_string(scratch.0.join(name)).expect("read");
        assert_eq!(
            read("pages.jsonl"),
            "{\"url\":\"http://h/\",\"status\":200,\"depth\":0,\"content_type\":\"text/html\",\
             \"bytes\":1234,\"began_ms\":0.5,\"took_ms\":12.25,\
             \"queued_ms\":0.25,\"wait_ms\":12.0,\"links\":3,\
             \"file\":\"page-h.html\",\"selected\":[\"a, \\\"b\\\"\",\"c\"]}\n\
             {\"url\":\"http://h/x\",\"status\":null,\"error\":\"404 Not Found\",\"depth\":1,\
             \"content_type\":\"\",\"bytes\":0,\"began_ms\":0.0,\"took_ms\":0.0,\"links\":0}\n"
        );
        assert_eq!(
            read("pages.csv"),
            "url,moved_to,status,error,depth,content_type,bytes,began_ms,took_ms,\
             queued_ms,dns_ms,connect_ms,tls_ms,send_ms,wait_ms,body_ms,links,file,selected,skipped,cut\n\
             http://h/,,200,,0,text/html,1234,0.5,12.25,0.25,,,,,12,,3,page-h.html,\"a, \"\"b\"\"\nc\",,\n\
             http://h/x,,,404 Not Found,1,,0,0,0,,,,,,,,0,,,,\n"
        );
    }
}
