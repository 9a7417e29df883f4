//! Moments as Celery writes them: ISO 8601.

use std::time::{Duration, SystemTime};

/// A moment as Python's `isoformat` writes it, in UTC.
#[must_use]
pub fn iso(moment: SystemTime) -> String {
    let text = humantime::format_rfc3339_micros(moment).to_string();
    text.trim_end_matches('Z').to_owned() + "+00:00"
}

/// Reads a moment; one without an offset is in UTC, as by Celery's default. `None` for what is none,
/// and for those before 1970.
#[must_use]
pub fn parse_iso(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let offset_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, offset) = rest.split_at(offset_at);
    let time = time.trim_start_matches(['T', 't', ' ']).trim_end();
    let time = match time.len() {
        0 => "00:00:00".to_owned(),
        5 => format!("{time}:00"),
        _ => time.to_owned(),
    };
    let local = humantime::parse_rfc3339_weak(&format!("{date}T{time}")).ok()?;
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let seconds = match digits.len() {
        0 => 0,
        2 => digits.parse::<u64>().ok()? * 3600,
        4 => digits[..2].parse::<u64>().ok()? * 3600 + digits[2..].parse::<u64>().ok()? * 60,
        _ => return None,
    };
    let offset_by = Duration::from_secs(seconds);
    if offset.starts_with('-') {
        local.checked_add(offset_by)
    } else {
        local.checked_sub(offset_by)
    }
}

/// Seconds since 1970.
#[must_use]
pub fn seconds(moment: SystemTime) -> f64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_however_python_writes_them() {
        for (text, expected) in [
            ("1970-01-02T00:00:00+00:00", Some(86_400.0)),
            ("1970-01-02T01:30:00.500000+01:30", Some(86_400.5)),
            ("1970-01-01T22:00:00-0200", Some(86_400.0)),
            ("1970-01-01T22:00:00-02", Some(86_400.0)),
            ("1970-01-02T00:00:00.25Z", Some(86_400.25)),
            ("1970-01-02 00:00", Some(86_400.0)),
            ("1970-01-02", Some(86_400.0)),
            ("1970-01-02T00:00:00", Some(86_400.0)),
            ("1970-13-02T00:00:00", None),
            ("1969-12-31T00:00:00Z", None),
            ("soon", None),
            ("in an hour or so", None),
            ("1970-01-02T00:00:00+1", None),
            ("", None),
            ("äöüäöüäöü", None),
        ] {
            assert_eq!(parse_iso(text).map(seconds), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001);
        assert_eq!(iso(moment), "2023-11-14T22:13:20.000001+00:00");
        assert_eq!(parse_iso(&iso(moment)), Some(moment));
    }
}
