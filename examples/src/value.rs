//! Values as people write them on a command line, and as they like to read them in a report.

use std::fmt;
use std::time::Duration;

/// The longest duration that is taken from a command line: a year.
///
/// Longer ones are slips of the keyboard, and some clocks cannot add them to the present.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads a duration: numbers with units, such as `250ms`, `1.5s`, `2m` or `1h 30m`; a lone `0` too.
///
/// # Errors
/// Says what is wrong with the text and shows one that would do.
pub fn duration(text: &str) -> Result<Duration, String> {
    const EXAMPLES: &str = "write it like 250ms, 1.5s or 2m";
    if text.starts_with('-') {
        return Err(format!("a duration cannot be negative; {EXAMPLES}"));
    }
    let bare = text.parse::<f64>().is_ok_and(|number| number != 0.0);
    if bare {
        return Err(format!("a duration needs a unit; {EXAMPLES}"));
    }
    // humantime wants a digit before the point.
    let with_digit = if text.starts_with('.') { format!("0{text}") } else { text.to_owned() };
    match humantime::parse_duration(&with_digit) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) | Err(humantime::DurationError::NumberOverflow) => {
            Err("a duration of more than a year".to_owned())
        }
        Err(humantime::DurationError::UnknownUnit { unit, .. }) => {
            Err(format!("{unit:?} is no unit of time; {EXAMPLES}"))
        }
        Err(_) => Err(format!("not a duration; {EXAMPLES}")),
    }
}

/// Reads a number of bytes: a number with or without a unit, such as `4096`, `64kB` or `10MiB`.
///
/// # Errors
/// Says what is wrong with the text and shows one that would do.
pub fn bytes(text: &str) -> Result<u64, String> {
    const EXAMPLES: &str = "write it like 4096, 64kB or 10MiB";
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| format!("not a number of bytes; {EXAMPLES}"))?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(format!("{unit:?} is no unit of size; {EXAMPLES}")),
    };
    number.checked_mul(factor).ok_or_else(|| "more bytes than fit in 64 bits".to_owned())
}

/// A duration as data: in milliseconds, to the microsecond.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A duration for a report: three or four digits and the unit that suits it.
#[derive(Clone, Copy, Debug)]
pub struct Took(pub Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let text = match seconds {
            0.0 => "0 s".to_owned(),
            s if s < 0.000_999_5 => format!("{:.0} µs", s * 1e6),
            s if s < 0.099_95 => format!("{:.1} ms", s * 1e3),
            s if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
            s if s < 99.995 => format!("{s:.3} s"),
            s if s < 3_600.0 => format!("{} min {:02} s", s as u64 / 60, s as u64 % 60),
            s => format!("{} h {:02} min", s as u64 / 3_600, s as u64 % 3_600 / 60),
        };
        f.pad(&text)
    }
}

/// A number of bytes for a report, in powers of a thousand.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0 as f64;
        let text = match self.0 {
            0..1_000 => format!("{} B", self.0),
            1_000..1_000_000 => format!("{:.1} kB", n / 1e3),
            1_000_000..1_000_000_000 => format!("{:.1} MB", n / 1e6),
            _ => format!("{:.1} GB", n / 1e9),
        };
        f.pad(&text)
    }
}

/// A count for a report, with a comma between thousands.
pub use indicatif::HumanCount as Count;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, millis) in [
            ("0", 0),
            ("0ms", 0),
            ("250ms", 250),
            ("1s", 1_000),
            ("1.5s", 1_500),
            (".5s", 500),
            ("2m", 120_000),
            ("2min", 120_000),
            ("1h", 3_600_000),
            ("1h 30m", 5_400_000),
            ("2 sec", 2_000),
            ("1day", 86_400_000),
            ("1500us", 1),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), Ok(millis), "{text}");
        }
    }

    #[test]
    fn a_bad_duration_says_what_is_wrong() {
        for (text, start) in [
            ("-1s", "a duration cannot be negative"),
            ("1", "a duration needs a unit"),
            ("1parsec", "\"parsec\" is no unit of time"),
            ("", "not a duration"),
            ("s", "not a duration"),
            ("1.2.3s", "not a duration"),
            ("1e9s", "\"e\" is no unit of time"),
            ("99999999999999999999y", "a duration of more than a year"),
            ("99999h", "a duration of more than a year"),
        ] {
            let error = duration(text).expect_err(text);
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_as_people_write_them() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("64kB"), Ok(64_000));
        assert_eq!(bytes("10MiB"), Ok(10 << 20));
        for text in
            ["", "-1", "1.5MB", "12 parsec", "99999999999999999999", "18446744073709551615k"]
        {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reports_round_to_what_a_reader_needs() {
        let took = |s: f64| Took(Duration::from_secs_f64(s)).to_string();
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.000_012, "12 µs"),
            (0.000_999_6, "1.0 ms"),
            (0.0123, "12.3 ms"),
            (0.5, "500 ms"),
            (0.9996, "1.000 s"),
            (3.0121, "3.012 s"),
            (125.0, "2 min 05 s"),
            (7_260.0, "2 h 01 min"),
        ] {
            assert_eq!(took(seconds), text);
        }
        assert_eq!(Size(999).to_string(), "999 B");
        assert_eq!(Size(160_123).to_string(), "160.1 kB");
        assert_eq!(Count(7).to_string(), "7");
        assert_eq!(Count(10_000).to_string(), "10,000");
    }
}
