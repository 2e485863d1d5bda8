//! What a plain scalar means: the core schema of YAML 1.2, with the leftovers of YAML 1.1 that Compose files rely on
//! (octal numbers with a leading zero, underscores in numbers). `yes`, `no`, `on` and `off` are texts here; where a key
//! wants a boolean they are understood later, with a warning.

use std::sync::Arc;

use crate::file::tree::Value;

/// The value that a plain (unquoted, untagged) scalar stands for.
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::Text(Arc::from(text)))
}

/// The number that a text is in YAML, where it is one.
pub fn number(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(value) = integer(&plain) {
        return Some(value);
    }
    is_decimal(&plain)
        .then(|| plain.parse().ok().map(Value::Float))
        .flatten()
}

/// A whole number from -2^63 to 2^64 - 1; one beyond is a float, as in Compose.
fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let signed = if negative {
        format!("-{digits}")
    } else {
        digits.to_owned()
    };
    let small = i64::from_str_radix(&signed, radix).map(Value::Integer);
    small
        .or_else(|_| u64::from_str_radix(&signed, radix).map(Value::Large))
        .ok()
}

// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the core schema's float.
fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        ),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if exponent.is_some_and(|part| part.is_empty() || !digits(part)) {
        return false;
    }
    match mantissa.split_once('.') {
        Some(("", after)) => !after.is_empty() && digits(after),
        Some((before, after)) => digits(before) && digits(after),
        None => !mantissa.is_empty() && digits(mantissa),
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use crate::file::number::float_text;
    use crate::file::tree::Value;

    fn shown(text: &str) -> String {
        match resolve(text) {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => format!("bool {value}"),
            Value::Integer(value) => format!("int {value}"),
            Value::Large(value) => format!("large {value}"),
            Value::Float(value) => format!("float {}", float_text(value)),
            Value::Text(text) => format!("text {text}"),
            Value::Sequence(_) | Value::Mapping(_) => "no scalar".to_owned(),
        }
    }

    #[test]
    fn plain_scalars_mean_what_compose_reads() {
        for (text, meaning) in [
            ("", "null"),
            ("~", "null"),
            ("True", "bool true"),
            ("yes", "text yes"),
            ("off", "text off"),
            ("22:22", "text 22:22"),
            ("0440", "int 288"),
            ("0o440", "int 288"),
            ("08", "float 8"),
            ("0", "int 0"),
            ("-0x1F", "int -31"),
            ("1_000", "int 1000"),
            ("9223372036854775807", "int 9223372036854775807"),
            ("9223372036854775808", "large 9223372036854775808"),
            ("0xFFFFFFFFFFFFFFFF", "large 18446744073709551615"),
            ("18446744073709551616", "float 1.8446744073709552e+19"),
            ("-9223372036854775809", "float -9.223372036854776e+18"),
            ("1.10", "float 1.1"),
            ("1e3", "float 1000"),
            ("999999.5", "float 999999.5"),
            ("1000000.0", "float 1e+06"),
            ("123456789.5", "float 1.234567895e+08"),
            ("1e30", "float 1e+30"),
            ("1.2.3", "text 1.2.3"),
            ("-", "text -"),
            (".", "text ."),
            ("+", "text +"),
        ] {
            assert_eq!(shown(text), meaning, "{text}");
        }
    }
}
