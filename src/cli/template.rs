//! The part of Go's templates that people give to `--format`: `{{.Name}}`, `{{.A}}\t{{.B}}`, `table {{.A}}`, the
//! functions `json`, `upper`, `lower`, `title`, `println`-free pipes `{{.A | upper}}`, and `{{json .}}`.
//! Anything more (range, if, variables) is refused with a sentence.

use serde_json::{Map, Value};

/// A template that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Whether headings come before the rows (`table …`).
    pub with_headings: bool,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The path after the dot, and the functions it goes through.
    Field(Vec<String>, Vec<Function>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Json,
    Upper,
    Lower,
    Title,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Template, String> {
        let (with_headings, text) = match text.strip_prefix("table ") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, tail) = after
                .split_once("}}")
                .ok_or_else(|| "template parsing error: unclosed action".to_owned())?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(action(inside.trim())?);
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template {
            with_headings,
            parts,
        })
    }

    /// One row filled in.
    pub fn fill(&self, row: &Map<String, Value>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Field(path, functions) => text.push_str(&filled(row, path, functions)?),
            }
        }
        Ok(text)
    }

    /// The line of headings: the fields' names in capitals.
    pub fn headings(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Field(path, _) => path
                    .last()
                    .map(|name| name.to_uppercase())
                    .unwrap_or_default(),
            })
            .collect()
    }

    /// All rows, one a line; with `table`, headings first and columns (separated by tabs) in line.
    pub fn print(&self, rows: &[Map<String, Value>]) -> Result<String, String> {
        let mut lines = Vec::new();
        if self.with_headings {
            lines.push(self.headings());
        }
        for row in rows {
            lines.push(self.fill(row)?);
        }
        if self.with_headings {
            lines = aligned(&lines);
        }
        Ok(lines.iter().map(|line| format!("{line}\n")).collect())
    }
}

fn aligned(lines: &[String]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        for (index, cell) in line.split('\t').enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(index) {
                Some(known) => *known = (*known).max(width),
                None => widths.push(width),
            }
        }
    }
    lines
        .iter()
        .map(|line| {
            let cells: String = line
                .split('\t')
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}   "))
                .collect();
            cells.trim_end().to_owned()
        })
        .collect()
}

fn action(text: &str) -> Result<Part, String> {
    let unknown = |what: &str| {
        format!(
            "template: `{{{{{text}}}}}`: {what}; known are fields such as .Name and the functions json, upper, lower, title"
        )
    };
    let function = |word: &str| match word {
        "json" => Ok(Function::Json),
        "upper" => Ok(Function::Upper),
        "lower" => Ok(Function::Lower),
        "title" => Ok(Function::Title),
        _ => Err(unknown(&format!("function `{word}` not defined"))),
    };
    let mut pipe = text.split('|').map(str::trim);
    let first = pipe.next().unwrap_or_default();
    let mut functions = Vec::new();
    let field = match first.split_whitespace().collect::<Vec<_>>().as_slice() {
        [field] => *field,
        [name, field] => {
            functions.push(function(name)?);
            *field
        }
        _ => return Err(unknown("too many words")),
    };
    let path = field
        .strip_prefix('.')
        .ok_or_else(|| unknown("a field begins with a dot"))?;
    for name in pipe {
        functions.push(function(name)?);
    }
    let path = path
        .split('.')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    Ok(Part::Field(path, functions))
}

fn filled(
    row: &Map<String, Value>,
    path: &[String],
    functions: &[Function],
) -> Result<String, String> {
    let whole = Value::Object(row.clone());
    let mut value = &whole;
    for name in path {
        value = value.get(name).ok_or_else(|| {
            let known: Vec<&str> = row.keys().map(String::as_str).collect();
            format!(
                "template: there is no field `.{name}`; known are {}",
                known.join(", ")
            )
        })?;
    }
    let mut text = match (value, functions.first()) {
        (value, Some(Function::Json)) => value.to_string(),
        (Value::String(text), _) => text.clone(),
        (value, _) => value.to_string(),
    };
    for function in functions {
        text = match function {
            Function::Json => text,
            Function::Upper => text.to_uppercase(),
            Function::Lower => text.to_lowercase(),
            Function::Title => {
                let mut letters = text.chars();
                letters
                    .next()
                    .map(|first| first.to_uppercase().chain(letters).collect())
                    .unwrap_or_default()
            }
        };
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::Template;
    use serde_json::{Map, Value, json};

    fn rows() -> Vec<Map<String, Value>> {
        [
            json!({"Name": "lab-web-1", "State": "running", "Labels": {"a": "b"}}),
            json!({"Name": "x", "State": "exited", "Labels": {}}),
        ]
        .into_iter()
        .filter_map(|row| row.as_object().cloned())
        .collect()
    }

    fn print(text: &str) -> Result<String, String> {
        Template::parse(text).and_then(|template| template.print(&rows()))
    }

    #[test]
    fn fields_functions_and_tables_are_known() {
        assert_eq!(
            print("{{.Name}} is {{ .State | upper }}").unwrap(),
            "lab-web-1 is RUNNING\nx is EXITED\n"
        );
        assert_eq!(print("{{json .Labels}}").unwrap(), "{\"a\":\"b\"}\n{}\n");
        assert_eq!(
            print("table {{.Name}}\\t{{.State}}").unwrap(),
            "NAME        STATE\nlab-web-1   running\nx           exited\n"
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for wrong in [
            "{{range .}}{{end}}",
            "{{.Name",
            "{{.Nmae}}",
            "{{Name}}",
            "{{.Name | shout}}",
        ] {
            assert!(print(wrong).is_err(), "{wrong}");
        }
    }
}
