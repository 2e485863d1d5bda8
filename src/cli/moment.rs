//! Moments and spans of time as people and Compose write them: `42m`, `2026-08-20T10:00:00`, a Unix time; and back as
//! words, `Up 3 minutes`.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A moment given on the command line, in seconds since 1970: a Go duration before `now` (`1h30m`), a Unix time, or a
/// date with or without time and zone (without one it is local).
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(span) = parse_duration(text) {
        let span = SignedDuration::try_from(span).map_err(|error| error.to_string())?;
        return now.checked_sub(span).map_err(|error| error.to_string());
    }
    if let Some(moment) = parse_unix(text) {
        return Ok(moment);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    text.parse::<DateTime>()
        .and_then(|local| local.to_zoned_datetime(TimeZone::system()))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| {
            format!("`{text}` is no moment: write 42m, 2026-08-20T10:00:00, with or without Z, or a Unix time")
        })
}

fn parse_unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let digits = format!("{fraction:0<9}");
    let nanoseconds: i32 = digits.get(..9)?.parse().ok()?;
    Timestamp::new(seconds, nanoseconds).ok()
}

/// A duration as Go writes it: numbers with units, `1h30m`, `1.5s`, `300ms`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        total += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = next;
    }
    Duration::try_from_secs_f64(total).ok()
}

/// How long ago, in words as the docker client has them: `Less than a second`, `5 seconds`, `About a minute`,
/// `3 minutes`, `About an hour`, `2 hours`, `3 days`, `2 weeks`, `4 months`, `2 years`.
pub fn words(span: Duration) -> String {
    let seconds = span.as_secs();
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

/// Seconds with one digit, as progress lines end: `0.4s`, `12.0s`.
pub fn seconds(span: Duration) -> String {
    format!("{:.1}s", span.as_secs_f64())
}

/// A moment as the engine takes it, to the nanosecond.
pub fn exact(moment: Timestamp) -> String {
    format!("{}.{:09}", moment.as_second(), moment.subsec_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_duration, words};
    use std::time::Duration;

    #[test]
    fn a_moment_is_read_in_all_its_forms() {
        let now = "2026-08-20T10:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("1h30m", "2026-08-20T08:30:00Z"),
            ("1.5s", "2026-08-20T09:59:58.5Z"),
            ("1771581600", "2026-02-20T10:00:00Z"),
            ("1771581600.25", "2026-02-20T10:00:00.25Z"),
            ("2026-08-20T10:00:00+02:00", "2026-08-20T08:00:00Z"),
        ] {
            assert_eq!(parse(text, now).unwrap().to_string(), expected, "{text}");
        }
        assert!(parse("yesterday", now).is_err());
    }

    #[test]
    fn a_duration_needs_units() {
        assert_eq!(parse_duration("1m2s"), Some(Duration::from_secs(62)));
        for wrong in ["", "5", "m", "1x", "1m2"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_span_is_told_as_the_docker_client_tells_it() {
        for (seconds, expected) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (90, "About a minute"),
            (180, "3 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (3 * 86400, "3 days"),
            (21 * 86400, "3 weeks"),
            (100 * 86400, "3 months"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), expected);
        }
    }
}
