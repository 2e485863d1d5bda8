//! White space that YAML 1.2 forbids, and that Compose (libyaml's grammar) reads: a list in brackets, a mapping in
//! braces or a quoted text that goes on at its key's column or left of it, tabs before such lines, and tabs between `:`
//! and a value. Where the scanner refuses a text, its blanks are put as the scanner wants them; [`Inserted`] knows where
//! everything stood.

/// How many blanks are inserted at most: a hostile text could ask for as many as it has bytes, squared.
const MOST_INSERTED: usize = 8 << 20;

/// A text whose white space the scanner accepts.
pub struct Relaxed {
    pub text: String,
    pub inserted: Inserted,
}

/// The places of inserted blanks.
#[derive(Default)]
pub struct Inserted {
    /// For every run: the byte behind it in the new text, and how many bytes have been inserted up to there.
    runs: Vec<(u32, u32)>,
}

impl Inserted {
    /// The byte of the text as it was for a byte of the new text; a byte of a run stands for the one behind the run.
    pub fn original(&self, byte: usize) -> usize {
        let after = self
            .runs
            .partition_point(|(end, _)| (*end as usize) <= byte);
        let last = after.checked_sub(1).and_then(|last| self.runs.get(last));
        let inserted = last.map_or(0, |(_, total)| *total);
        let plain = byte - inserted as usize;
        match self.runs.get(after) {
            Some((end, total)) => plain.min((end - total) as usize),
            None => plain,
        }
    }
}

/// The text with its white space as the scanner wants it; none where it already is so.
pub fn relaxed(body: &str) -> Option<Relaxed> {
    let mut walk = Walk {
        body,
        at: 0,
        text: String::with_capacity(body.len() + body.len() / 8),
        copied: 0,
        inserted: Inserted::default(),
        total: 0,
        changed: false,
        columns: Vec::new(),
    };
    walk.lines();
    if !walk.changed || walk.total > MOST_INSERTED {
        return None;
    }
    walk.copy();
    walk.text.push_str(body.get(walk.copied..).unwrap_or(""));
    Some(Relaxed {
        text: walk.text,
        inserted: walk.inserted,
    })
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether nothing plain between brackets or braces holds this byte.
fn is_flow_mark(byte: u8) -> bool {
    matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
}

/// What a line of a block goes on with.
enum Next {
    /// More of the same line.
    Value,
    /// The next line.
    Line,
}

struct Walk<'a> {
    body: &'a str,
    at: usize,
    text: String,
    /// How much of the body is in the new text.
    copied: usize,
    inserted: Inserted,
    total: usize,
    changed: bool,
    /// The columns of the block mappings and lists that are open.
    columns: Vec<usize>,
}

impl Walk<'_> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.body.as_bytes().get(self.at + ahead).copied()
    }

    fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
    }

    fn rest(&self) -> &str {
        self.body.get(self.at..).unwrap_or("")
    }

    /// How many bytes of white space the line has here, and whether nothing follows them.
    fn white(&self, is_white: fn(u8) -> bool) -> (usize, bool) {
        let rest = self.rest().as_bytes();
        let count = rest.iter().take_while(|byte| is_white(**byte)).count();
        let is_empty = matches!(rest.get(count..), None | Some([] | [b'\r' | b'\n', ..]));
        (count, is_empty)
    }

    fn skip_line(&mut self) {
        let rest = self.rest().as_bytes();
        self.at += rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len());
    }

    fn copy(&mut self) {
        self.text
            .push_str(self.body.get(self.copied..self.at).unwrap_or(""));
        self.copied = self.at;
    }

    /// Writes `count` bytes of white space as blanks, and more of them up to a column.
    fn blanks(&mut self, count: usize, column: usize) {
        let white = self.rest().get(..count).unwrap_or("");
        let more = column.saturating_sub(count);
        let has_tab = white.contains('\t');
        if !has_tab && more == 0 {
            self.at += count;
            return;
        }
        self.copy();
        self.changed = true;
        self.total += more;
        if self.total > MOST_INSERTED {
            // It is given up; nothing more is written.
            self.at = self.body.len();
            self.copied = self.at;
            return;
        }
        self.text.extend(std::iter::repeat_n(' ', count + more));
        if more > 0 {
            let run = (self.text.len() as u32, self.total as u32);
            self.inserted.runs.push(run);
        }
        self.at += count;
        self.copied = self.at;
    }

    /// Whether a line starts here that ends a document or starts one.
    fn is_document_line(&self) -> bool {
        let rest = self.rest();
        (rest.starts_with("---") || rest.starts_with("...")) && self.is_blank(3)
    }

    /// The column that whatever is inside the innermost block must reach.
    fn inside(&self) -> usize {
        self.columns.last().map_or(0, |column| column + 1)
    }

    fn lines(&mut self) {
        while self.at < self.body.len() {
            let (blanks, is_empty) = self.white(|byte| byte == b' ');
            let is_directive = blanks == 0 && self.byte(0) == Some(b'%');
            let line = self.at;
            if blanks == 0 && self.is_document_line() {
                self.columns.clear();
                self.at += 3;
            } else if !is_empty && !is_directive {
                while self.columns.last().is_some_and(|column| *column >= blanks) {
                    self.columns.pop();
                }
                self.at += blanks;
            } else {
                self.skip_line();
            }
            while let Next::Value = self.value(line) {}
            if self.at < self.body.len() {
                self.at += 1;
            }
        }
    }

    /// One step within a line of a block.
    fn value(&mut self, line: usize) -> Next {
        let (white, is_empty) = self.white(is_space);
        self.at += white;
        let Some(byte) = self.byte(0).filter(|_| !is_empty) else {
            self.skip_line();
            return Next::Line;
        };
        let column = self.at - line;
        let before = self.body.as_bytes().get(line..self.at);
        let is_apart = before
            .and_then(|before| before.last())
            .is_none_or(|byte| is_space(*byte));
        match byte {
            b'#' if is_apart => {
                self.skip_line();
                return Next::Line;
            }
            b'-' | b'?' | b':' if self.is_blank(1) => {
                self.open(column);
                self.at += 1;
                return Next::Value;
            }
            b'&' | b'!' => {
                while !self.is_blank(0) {
                    self.at += 1;
                }
                return Next::Value;
            }
            b'|' | b'>' => {
                self.skip_line();
                self.deeper_lines(false);
                return Next::Line;
            }
            b'"' | b'\'' => self.quoted(byte),
            b'[' | b'{' => self.flow(),
            _ => return self.plain(column),
        }
        let (white, _) = self.white(is_space);
        if self.byte(white) == Some(b':') && self.is_blank(white + 1) {
            self.at += white + 1;
            self.open(column);
            self.after_colon();
        }
        Next::Value
    }

    fn open(&mut self, column: usize) {
        if self.columns.last().is_none_or(|last| *last < column) {
            self.columns.push(column);
        }
    }

    /// Blanks for the tabs between a `:` and its value on the same line.
    fn after_colon(&mut self) {
        let (white, is_empty) = self.white(is_space);
        if !is_empty {
            self.blanks(white, 0);
        }
    }

    /// A plain text of a block: it is a key, or it goes on over the lines that are indented deeper.
    fn plain(&mut self, column: usize) -> Next {
        let rest = self.rest();
        let line = rest.split('\n').next().unwrap_or("");
        let bytes = line.as_bytes();
        let is_white = |at: usize| matches!(bytes.get(at), None | Some(b' ' | b'\t' | b'\r'));
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b':' && is_white(at + 1) {
                self.at += at + 1;
                self.open(column);
                self.after_colon();
                return Next::Value;
            }
            if *byte == b'#' && at > 0 && is_white(at - 1) {
                self.skip_line();
                return Next::Line;
            }
        }
        self.skip_line();
        self.deeper_lines(true);
        Next::Line
    }

    /// Passes over the lines that are deeper than the innermost block; stands at the end of the last one.
    fn deeper_lines(&mut self, until_comment: bool) {
        let inside = self.inside();
        while self.byte(0) == Some(b'\n') {
            let end = self.at;
            self.at += 1;
            let (blanks, is_empty) = self.white(|byte| byte == b' ');
            let is_comment = until_comment && self.byte(blanks) == Some(b'#');
            if !is_empty && (blanks < inside || is_comment || self.is_document_line()) {
                self.at = end;
                return;
            }
            self.skip_line();
        }
    }

    /// The start of a line within a quoted text or brackets; false where the document ends.
    fn next_line(&mut self) -> bool {
        self.at += 1;
        if self.is_document_line() {
            self.at = self.body.len();
            return false;
        }
        let (white, is_empty) = self.white(is_space);
        if !is_empty {
            self.blanks(white, self.inside());
        }
        true
    }

    fn quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            match byte {
                b'\n' => {
                    if !self.next_line() {
                        return;
                    }
                }
                b'\\' if quote == b'"' && self.byte(1) != Some(b'\n') => self.at += 2,
                b'\'' if quote == b'\'' && self.byte(1) == Some(b'\'') => self.at += 2,
                _ => {
                    self.at += 1;
                    if byte == quote {
                        return;
                    }
                }
            }
        }
        self.at = self.at.min(self.body.len());
    }

    /// A list in brackets or a mapping in braces, up to its end.
    fn flow(&mut self) {
        let mut depth = 0_usize;
        let mut in_plain = false;
        let mut after_white = false;
        while let Some(byte) = self.byte(0) {
            let was_white = std::mem::replace(&mut after_white, false);
            match byte {
                b'\n' => {
                    if !self.next_line() {
                        return;
                    }
                    after_white = true;
                    continue;
                }
                b' ' | b'\t' | b'\r' => after_white = true,
                b'#' if was_white => {
                    self.skip_line();
                    continue;
                }
                b'[' | b'{' => {
                    depth += 1;
                    in_plain = false;
                }
                b']' | b'}' => {
                    depth -= 1;
                    in_plain = false;
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                b',' => in_plain = false,
                b':' if !in_plain || self.is_blank(1) || self.byte(1).is_some_and(is_flow_mark) => {
                    in_plain = false;
                    self.at += 1;
                    self.after_colon();
                    after_white = true;
                    continue;
                }
                b'"' | b'\'' if !in_plain => {
                    self.quoted(byte);
                    continue;
                }
                b'&' | b'!' if !in_plain => {
                    while !self.is_blank(0) && !self.byte(0).is_some_and(is_flow_mark) {
                        self.at += 1;
                    }
                    continue;
                }
                _ => in_plain = true,
            }
            self.at += 1;
        }
    }
}
