//! A scene as one HTML file that needs nothing else: the drawing, and the same as text for search and copying.

use crate::draw::scene::Scene;
use crate::draw::svg::{escaped, svg};
use crate::draw::text::text;

/// The scene as a whole HTML document, with a final line break.
pub fn html(scene: &Scene) -> String {
    let project = escaped(&scene.project);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{project}: networks</title>\n\
         <style>body {{ margin: 1rem; font: 13px monospace }} svg {{ max-width: 100%; height: auto }} \
         pre {{ overflow-x: auto }}</style>\n{}<pre>{}</pre>\n</html>\n",
        svg(scene),
        escaped(&text(scene))
    )
}
