//! What the two output streams are and may be sent: a terminal or not, colours or not, how wide.

use std::io::IsTerminal;

use crate::cli::global::When;
use crate::cli::settings::Settings;

/// The streams, looked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    pub output_is_terminal: bool,
    pub error_is_terminal: bool,
    /// Colours on standard output.
    pub output_colour: bool,
    /// Colours on standard error.
    pub error_colour: bool,
    /// Whether the cursor may be moved on standard error.
    pub movable: bool,
}

impl Screen {
    /// By the streams, `--ansi` and the environment (`NO_COLOR`, `TERM`).
    pub fn look(ansi: Option<When>, settings: &Settings) -> Screen {
        let output_is_terminal = std::io::stdout().is_terminal();
        let error_is_terminal = std::io::stderr().is_terminal();
        Screen::decide(ansi, settings, output_is_terminal, error_is_terminal)
    }

    fn decide(ansi: Option<When>, settings: &Settings, output: bool, error: bool) -> Screen {
        let dumb = settings.variable("TERM") == Some("dumb");
        let plain = settings.variable("NO_COLOR").is_some();
        let colour = |terminal: bool| match ansi.unwrap_or(When::Auto) {
            When::Never => false,
            When::Always => true,
            When::Auto => terminal && !plain && !dumb,
        };
        Screen {
            output_is_terminal: output,
            error_is_terminal: error,
            output_colour: colour(output),
            error_colour: colour(error),
            movable: match ansi.unwrap_or(When::Auto) {
                When::Never => false,
                When::Always => true,
                When::Auto => error && !dumb,
            },
        }
    }
}

/// Columns and lines of the terminal that standard error is; 80 and 24 where it does not tell.
pub fn size() -> (usize, usize) {
    match terminal_size::terminal_size_of(std::io::stderr()) {
        Some((width, height)) if width.0 > 0 && height.0 > 0 => {
            (usize::from(width.0), usize::from(height.0))
        }
        Some(_) | None => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::Screen;
    use crate::cli::global::When;
    use crate::cli::settings::Settings;

    #[test]
    fn colours_need_a_terminal_and_consent() {
        let none = Settings::default();
        let no_colour = Settings::new([("NO_COLOR".to_owned(), "1".to_owned())]);
        let decide = |ansi, settings: &Settings| Screen::decide(ansi, settings, false, true);
        assert!(decide(None, &none).error_colour && !decide(None, &none).output_colour);
        assert!(!decide(None, &no_colour).error_colour && decide(None, &no_colour).movable);
        assert!(decide(Some(When::Always), &no_colour).output_colour);
        assert!(!decide(Some(When::Never), &none).movable);
    }
}
