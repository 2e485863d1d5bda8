//! Small grammars of values: lengths of time, sizes, command lines. Pure texts to values and back.

use std::fmt::Write;

/// Why a text is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationError {
    /// It is not written as one.
    Form,
    /// It is longer than the engine can count.
    Long,
}

/// Nanoseconds of a text such as `1m30s`, `1.5h` or `2d`: Go's units and days and weeks.
pub fn duration(text: &str) -> Result<i64, DurationError> {
    let total = nanoseconds(text).ok_or(DurationError::Form)?;
    // Above 2^63 nanoseconds (292 years) the engine has no number for it.
    if total.abs() < 9.2e18 {
        Ok(total.round() as i64)
    } else {
        Err(DurationError::Long)
    }
}

fn nanoseconds(text: &str) -> Option<f64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let factor: f64 = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => 86_400e9,
            "w" => 604_800e9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = next;
    }
    Some(if negative { -total } else { total })
}

/// A length of time as Go prints it: `1h0m0s`, `1m30s`, `500ms`.
pub fn duration_text(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    if nanoseconds < 0 {
        out.push('-');
    }
    let whole = nanoseconds.unsigned_abs();
    if whole < 1_000_000_000 {
        let (unit, size) = match whole {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        let _ = write!(
            out,
            "{}{}{unit}",
            whole / size,
            fraction(whole % size, size)
        );
        return out;
    }
    let seconds = whole / 1_000_000_000;
    if seconds >= 3600 {
        let _ = write!(out, "{}h", seconds / 3600);
    }
    if seconds >= 60 {
        let _ = write!(out, "{}m", seconds / 60 % 60);
    }
    let _ = write!(
        out,
        "{}{}s",
        seconds % 60,
        fraction(whole % 1_000_000_000, 1_000_000_000)
    );
    out
}

fn fraction(rest: u64, size: u64) -> String {
    if rest == 0 {
        return String::new();
    }
    let width = size.ilog10() as usize;
    format!(".{rest:0width$}").trim_end_matches('0').to_owned()
}

/// Why a text is no size, in Compose's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    #[error("invalid size: '{0}'")]
    Form(String),
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
    #[error("invalid size: it has 2^63 bytes or more")]
    Large,
}

/// Bytes of a text such as `64m`, `1.5gb` or `4096`: units are powers of 1024.
pub fn bytes(text: &str) -> Result<i64, SizeError> {
    if text == "-1" {
        return Ok(-1);
    }
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number
        .parse()
        .map_err(|_| SizeError::Form(text.to_owned()))?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(SizeError::Suffix(unit)),
    };
    let bytes = number * 1024f64.powi(power);
    if bytes < 9.2e18 {
        Ok(bytes as i64)
    } else {
        Err(SizeError::Large)
    }
}

/// A command line split into words.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    pub words: Vec<String>,
    /// The byte of the first `;`, `&`, `|`, `<` or `>` outside quotes: Compose drops all from there on.
    pub cut: Option<usize>,
}

/// Splits a command line as Compose does: blanks, quotes and backslashes as in a shell, and no shell; what stands in
/// backticks or in `$(…)` is no words of its own. None where one of these stays open or there are other parentheses
/// outside quotes.
pub fn words(text: &str) -> Option<Words> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    // The character that ends what is open.
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            word.get_or_insert_default().push(c);
            escaped = false;
            continue;
        }
        match (quote, c) {
            (None | Some('"' | '`' | ')'), '\\') => {
                escaped = true;
                word.get_or_insert_default();
            }
            (Some(open), _) if c == open => {
                quote = None;
                if matches!(c, '`' | ')') {
                    word.get_or_insert_default().push(c);
                }
            }
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (None, '`') => {
                quote = Some('`');
                word.get_or_insert_default().push(c);
            }
            (None, '(') if word.as_ref().is_some_and(|word| word.ends_with('$')) => {
                quote = Some(')');
                word.get_or_insert_default().push(c);
            }
            (None, '(' | ')') => return None,
            (None, ';' | '&' | '|' | '<' | '>') => {
                let is_descriptor = c == '>'
                    && word
                        .as_ref()
                        .is_some_and(|w| w.starts_with(|d: char| d.is_ascii_digit()));
                if !is_descriptor {
                    words.extend(word.take());
                }
                return Some(Words {
                    words,
                    cut: Some(at),
                });
            }
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    if escaped || quote.is_some() {
        return None;
    }
    words.extend(word.take());
    Some(Words { words, cut: None })
}

/// The boolean that a text means, and whether YAML 1.2 agrees.
pub fn boolean(text: &str) -> Option<(bool, Spelling)> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some((true, Spelling::Yaml)),
        "false" => Some((false, Spelling::Yaml)),
        "y" | "yes" | "on" => Some((true, Spelling::Old)),
        "n" | "no" | "off" => Some((false, Spelling::Old)),
        _ => None,
    }
}

/// How a boolean is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `true` or `false`.
    Yaml,
    /// `yes`, `no`, `on`, `off`, `y`, `n`: YAML 1.1.
    Old,
}

/// Whether a text may be the key of a service, network or volume.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// The candidate that a misspelt word was most likely meant to be.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = match word.chars().count() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    candidates
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most)
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

/// What to write instead of the name of a service that is not there.
pub fn known(name: &str, services: &[&str]) -> String {
    if let Some(near) = nearest(name, services.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let shown: Vec<String> = services
        .iter()
        .take(5)
        .map(|service| format!("`{service}`"))
        .collect();
    match services.len() {
        0 => "add a service of this name".to_owned(),
        1 => format!("the other service is {}", shown.join(", ")),
        2..=5 => format!("the other services are {}", shown.join(", ")),
        _ => format!("the other services are {} and more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{DurationError, SizeError, bytes, duration, duration_text, nearest, words};

    #[test]
    fn durations_are_read_and_printed_as_in_go() {
        for (text, printed) in [
            ("10s", "10s"),
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1d", "24h0m0s"),
            ("1w", "168h0m0s"),
            ("1h5m30s20ms", "1h5m30.02s"),
            ("1.5s", "1.5s"),
            ("0", "0s"),
            ("500ms", "500ms"),
            ("1500us", "1.5ms"),
            ("-1m", "-1m0s"),
        ] {
            assert_eq!(
                duration(text).map(duration_text).as_deref(),
                Ok(printed),
                "{text}"
            );
        }
        for wrong in ["", "10", "s", "1x", "1 s", "1.2.3s", "5m3"] {
            assert_eq!(duration(wrong), Err(DurationError::Form), "{wrong}");
        }
        assert_eq!(duration("999999999w"), Err(DurationError::Long));
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(bytes("64m"), Ok(67_108_864));
        assert_eq!(bytes("1.5GB"), Ok(1_610_612_736));
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("-1"), Ok(-1));
        assert_eq!(bytes("12zz"), Err(SizeError::Suffix("zz".to_owned())));
        assert_eq!(bytes("m"), Err(SizeError::Form("m".to_owned())));
        assert_eq!(bytes("99999999p"), Err(SizeError::Large));
    }

    #[test]
    fn command_lines_are_split_without_a_shell() {
        let all = |text: &str| words(text).map(|words| words.words.join("|"));
        assert_eq!(
            all("sh -c 'echo \"a b\"'  x\\ y \"\" #z").as_deref(),
            Some("sh|-c|echo \"a b\"|x y||#z")
        );
        assert_eq!(all("").as_deref(), Some(""));
        assert_eq!(all("a \"b"), None);
        // As docker compose 2.40.3 has them.
        assert_eq!(
            all("echo $(date +%s) `a b` c\\td \"e\\nf\" x$(y z)w").as_deref(),
            Some("echo|$(date +%s)|`a b`|ctd|enf|x$(y z)w")
        );
        for open in ["a (b)", "a `b", "a $(b", "a\\"] {
            assert_eq!(all(open), None, "{open}");
        }
        let cut = words("echo a && echo b").unwrap();
        assert_eq!((cut.words.join("|").as_str(), cut.cut), ("echo|a", Some(7)));
    }

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        let keys = ["ports", "image", "networks", "network_mode"];
        assert_eq!(nearest("prots", keys.into_iter()), Some("ports"));
        assert_eq!(nearest("Image", keys.into_iter()), Some("image"));
        assert_eq!(nearest("subnet", keys.into_iter()), None);
    }
}
