//! One JSON object an event: Compose's `{"id": …, "status": …}` for each line, with the facts behind it under `event`,
//! and facts that concern no single resource by themselves.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::apply::event::{Event, Listener};
use crate::cli::render::words::{Speaker, title};
use crate::cli::render::{Stream, say};

/// The JSON renderer.
pub struct Json {
    stream: Stream,
    dry_run: bool,
    speaker: Mutex<Speaker>,
}

impl Json {
    /// A renderer that writes to this stream; a prefix means a dry run and becomes a key.
    pub fn new(stream: Stream, prefix: &'static str) -> Json {
        Json {
            stream,
            dry_run: !prefix.is_empty(),
            speaker: Mutex::default(),
        }
    }
}

impl Listener for Json {
    fn hear(&self, event: &Event) {
        // A speaker is only a set of names: what a thread that panicked left of it is still right.
        let mut speaker = self.speaker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut value = value(&mut speaker, event);
        if self.dry_run
            && let Some(object) = value.as_object_mut()
        {
            object.insert("dry-run".to_owned(), Value::Bool(true));
        }
        say(self.stream, &value.to_string());
    }
}

/// The object for an event.
pub fn value(speaker: &mut Speaker, event: &Event) -> Value {
    let fact = serde_json::to_value(event).unwrap_or(Value::Null);
    match speaker.line(event) {
        Some(line) if line.detail.is_empty() => {
            json!({"id": title(&line.id), "status": line.status, "event": fact})
        }
        Some(line) => json!({
            "id": title(&line.id),
            "status": line.status,
            "details": line.detail,
            "event": fact,
        }),
        None => json!({"event": fact}),
    }
}
