//! `.dockerignore`: which files of a build context the engine does not get. Patterns as in Go's `filepath.Match` with
//! `**`; the last one that matches counts, `!` takes a file back in, and what is under an excluded folder is excluded.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// The patterns of an ignore file.
#[derive(Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    matcher: GlobMatcher,
    takes_in: bool,
}

impl Ignore {
    /// Reads the text of an ignore file. The error names the line that is not a pattern.
    pub fn parse(text: &str) -> Result<Ignore, String> {
        let mut patterns = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (takes_in, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let pattern = clean(pattern);
            if pattern.is_empty() || pattern == "." {
                continue;
            }
            let glob = GlobBuilder::new(&pattern)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| format!("`{line}`: {error}"))?;
            patterns.push(Pattern {
                matcher: glob.compile_matcher(),
                takes_in,
            });
        }
        Ok(Ignore { patterns })
    }

    /// Whether a file or folder, by its path inside the context, is left out.
    pub fn excludes(&self, path: &Path) -> bool {
        let mut excluded = false;
        for pattern in &self.patterns {
            if pattern.takes_in == excluded
                && path.ancestors().any(|part| pattern.matcher.is_match(part))
            {
                excluded = !pattern.takes_in;
            }
        }
        excluded
    }

    /// Whether something below an excluded folder may be taken back in, so that it has to be looked into.
    pub fn takes_back(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.takes_in)
    }
}

/// The pattern without needless parts: `./a/` is `a`.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Ignore;

    #[test]
    fn patterns_exclude_as_documented() {
        let ignore = Ignore::parse("# comment\n*/temp*\n*/*/deep\n/log/\nnode_modules\n**/*.o\n*.md\n!README.md\nsecret?\n").unwrap();
        for (path, expected) in [
            ("a/temporary.txt", true),
            ("a/temp/x", true),
            ("temp", false),
            ("a/b/deep/er", true),
            ("log/today", true),
            ("x/log/today", false),
            ("node_modules/a/b", true),
            ("src/node_modules", false),
            ("x.o", true),
            ("a/b/c.o", true),
            ("notes.md", true),
            ("README.md", false),
            ("secret1", true),
            ("secret", false),
        ] {
            assert_eq!(ignore.excludes(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn the_last_match_counts() {
        let ignore = Ignore::parse("docs\n!docs/keep\ndocs/keep/not\n").unwrap();
        assert!(ignore.excludes(Path::new("docs/a")));
        assert!(!ignore.excludes(Path::new("docs/keep/a")));
        assert!(ignore.excludes(Path::new("docs/keep/not")));
        assert!(ignore.takes_back());
    }
}
