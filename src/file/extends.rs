//! `extends`: a service takes another as its base, from this file or another one, and so on; the base is merged under
//! it. Chains are followed without recursion, so their length does not matter; a cycle is told as the chain it is.

use std::collections::{HashMap, HashSet};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::file::environment::Environment;
use crate::file::grammar::Kind;
use crate::file::grammar::service::SERVICE;
use crate::file::load::{Loader, Paths, TOP};
use crate::file::merge;
use crate::file::paths;
use crate::file::remote;
use crate::file::shape;
use crate::file::tree::{Mark, Node, Path, Value};
use crate::file::value;
use crate::source::{Arrival, Origin, SourceId, Span};

const SERVICE_KIND: Kind = Kind::Object(&SERVICE);

/// That a service took another as its base: for the notes of diagnostics that point into the base.
#[derive(Debug, Clone)]
pub struct Extension {
    pub service: Arc<str>,
    pub base: Arc<str>,
    /// Where the base is written.
    pub span: Span,
    /// The key `extends` that asks for it.
    pub from: Span,
}

/// A file with services: the document itself, or one that is extended from.
struct Book {
    services: Node,
    source: SourceId,
    /// The folder of the file, for those whose paths do not start from the project's.
    folder: Option<PathBuf>,
    directory: PathBuf,
}

type Place = (usize, Arc<str>);

struct Resolver<'a, 'l> {
    loader: &'a mut Loader<'l>,
    environment: &'a Environment,
    books: Vec<Book>,
    by_path: HashMap<PathBuf, Option<usize>>,
    done: HashMap<Place, Node>,
    failed: HashSet<Place>,
}

/// Replaces every service of a document that extends another by the merged one.
pub fn apply(
    loader: &mut Loader,
    document: &mut Node,
    source: SourceId,
    directory: &FilePath,
    environment: &Environment,
) {
    let Some(services) = document.get("services").and_then(Node::as_mapping) else {
        return;
    };
    let wanted: Vec<Arc<str>> = services
        .iter()
        .filter(|entry| entry.node.get("extends").is_some())
        .map(|entry| entry.key.clone())
        .collect();
    if wanted.is_empty() {
        return;
    }
    let Some(services) = document.get("services").cloned() else {
        return;
    };
    let book = Book {
        services,
        source,
        folder: None,
        directory: directory.to_owned(),
    };
    let mut resolver = Resolver {
        loader,
        environment,
        books: vec![book],
        by_path: HashMap::new(),
        done: HashMap::new(),
        failed: HashSet::new(),
    };
    let mut merged: Vec<(Arc<str>, Option<Node>)> = Vec::new();
    for name in wanted {
        let node = resolver.resolve((0, name.clone()));
        merged.push((name, node));
    }
    let failed = &mut loader.unextended;
    let Some(services) = document.get_mut("services").and_then(Node::as_mapping_mut) else {
        return;
    };
    for (name, node) in merged {
        let Some(there) = services.get_mut(&name) else {
            continue;
        };
        match node {
            Some(node) => *there = node,
            None => {
                failed.insert(name);
                let there = there.as_mapping_mut();
                drop(there.and_then(|mapping| mapping.remove("extends")));
            }
        }
    }
}

/// What `extends` asks for.
struct Wish {
    service: Arc<str>,
    service_span: Span,
    file: Option<(String, Span)>,
    span: Span,
}

impl Resolver<'_, '_> {
    fn resolve(&mut self, start: Place) -> Option<Node> {
        let mut chain: Vec<(Place, Wish)> = Vec::new();
        let mut seen: HashSet<Place> = HashSet::new();
        let mut place = start;
        let mut base = loop {
            if let Some(node) = self.done.get(&place) {
                break Some(node.clone());
            }
            if self.failed.contains(&place) {
                break None;
            }
            if !seen.insert(place.clone()) {
                self.cycle(&chain, &place);
                break None;
            }
            let node = self.service(&place)?;
            let wish = match self.wish(&place, &node) {
                Some(Ok(wish)) => wish,
                Some(Err(())) => {
                    self.failed.insert(place);
                    break None;
                }
                None => {
                    self.done.insert(place, node.clone());
                    break Some(node);
                }
            };
            let next = self.target(&place, &wish);
            chain.push((place.clone(), wish));
            match next {
                Some(next) => place = next,
                None => break None,
            }
        };
        while let Some((place, wish)) = chain.pop() {
            let mut own = self.service(&place)?;
            if let Some(mapping) = own.as_mapping_mut() {
                mapping.remove("extends");
            }
            let Some(mut below) = base.take() else {
                self.failed.insert(place);
                base = None;
                continue;
            };
            clear(&mut below);
            self.loader.extensions.push(Extension {
                service: place.1.clone(),
                base: wish.service.clone(),
                span: below.span,
                from: wish.span,
            });
            let own_span = own.span;
            // `!override` is about other files' services of this name, not about what this one extends.
            let mark = std::mem::replace(&mut own.mark, Mark::None);
            let root = Path::ROOT;
            let services = root.key("services");
            let path = services.key(&place.1);
            let mut merged = merge::merge(
                below,
                own,
                &SERVICE_KIND,
                &path,
                &self.loader.sources,
                &mut self.loader.told,
            );
            merged.span = own_span;
            merged.mark = mark;
            self.done.insert(place, merged.clone());
            base = Some(merged);
        }
        base
    }

    /// A service as its file has it; one of another file with its paths resolved from there.
    fn service(&mut self, place: &Place) -> Option<Node> {
        let book = self.books.get(place.0)?;
        let node = book.services.get(&place.1)?.clone();
        let Some(folder) = book.folder.clone() else {
            return Some(node);
        };
        let root = Path::ROOT;
        let services = root.key("services");
        let path = services.key(&place.1);
        let loader = &mut *self.loader;
        let mut node = shape::canonical(
            node,
            &SERVICE_KIND,
            &path,
            loader.variables,
            &loader.sources,
            &mut loader.told,
        )?;
        if loader.paths == Paths::Absolute {
            paths::resolve_service(&mut node, &loader.base(&folder), &mut loader.told);
        }
        Some(node)
    }

    fn wish(&mut self, place: &Place, node: &Node) -> Option<Result<Wish, ()>> {
        let entry = node.as_mapping()?.entry("extends")?;
        if entry.node.mark == Mark::Reset {
            return None;
        }
        let span = entry.key_span.to(entry.node.span);
        let (service, file) = match &entry.node.value {
            Value::Text(_) => (Some(&entry.node), None),
            Value::Mapping(mapping) => (
                mapping.get("service"),
                mapping.get("file").filter(|file| !file.is_null()),
            ),
            _ => (None, None),
        };
        let name = service.and_then(|node| Some((node.as_text()?, node.span)));
        let Some((name, service_span)) = name else {
            self.loader.told.push(
                Diagnostic::error(
                    "bad-extends",
                    format!("extends.{}.service is required", place.1),
                )
                .at(span)
                .hint("name the service: extends: {service: base}"),
            );
            return Some(Err(()));
        };
        let file = match file {
            Some(node) => match node.as_text() {
                Some(file) => Some((file.to_owned(), node.span)),
                None => {
                    let message = format!("services.{}.extends.file must be a string", place.1);
                    self.loader
                        .told
                        .push(Diagnostic::error("wrong-type", message).at(node.span));
                    return Some(Err(()));
                }
            },
            None => None,
        };
        Some(Ok(Wish {
            service: name.into(),
            service_span,
            file,
            span,
        }))
    }

    fn target(&mut self, place: &Place, wish: &Wish) -> Option<Place> {
        let book = match &wish.file {
            None => place.0,
            Some((file, span)) => self.open(place, file, *span)?,
        };
        let there = self.books.get(book)?;
        if there.services.get(&wish.service).is_some() {
            return Some((book, wish.service.clone()));
        }
        let name = self
            .loader
            .sources
            .file(there.source)
            .map_or(String::new(), |file| file.name.clone());
        let mut diagnostic = Diagnostic::error(
            "unknown-base",
            format!(
                "cannot extend service \"{}\" in {name}: service \"{}\" not found",
                place.1, wish.service
            ),
        )
        .at(wish.service_span);
        let names = there
            .services
            .as_mapping()
            .into_iter()
            .flat_map(|all| all.iter())
            .map(|entry| &*entry.key);
        let names: Vec<&str> = names.filter(|name| *name != &*place.1).collect();
        diagnostic = diagnostic.hint(value::known(&wish.service, &names));
        self.loader.told.push(diagnostic);
        None
    }

    fn open(&mut self, place: &Place, file: &str, span: Span) -> Option<usize> {
        if let Some(refusal) = remote::refusal(file, span) {
            self.loader.told.push(refusal);
            return None;
        }
        let book = self.books.get(place.0)?;
        let folder = book.folder.as_ref().unwrap_or(&book.directory);
        let path = self.loader.base(folder).path(file);
        let own = self
            .loader
            .sources
            .file(book.source)
            .and_then(|file| file.path.clone());
        if own.as_ref() == Some(&path)
            && self
                .books
                .first()
                .is_some_and(|first| first.source == book.source)
        {
            return Some(place.0);
        }
        if let Some(known) = self.by_path.get(&path) {
            return *known;
        }
        self.by_path.insert(path.clone(), None);
        let source = self.loader.text(
            &path,
            Some(Origin {
                how: Arrival::Extended,
                from: span,
            }),
        )?;
        let mut all: Option<Node> = None;
        for document in self.loader.documents(source, self.environment) {
            let loader = &mut *self.loader;
            all = Some(match all.take() {
                Some(before) => merge::merge(
                    before,
                    document,
                    &TOP,
                    &Path::ROOT,
                    &loader.sources,
                    &mut loader.told,
                ),
                None => document,
            });
        }
        let services = all
            .as_mut()
            .and_then(Node::as_mapping_mut)
            .and_then(|mapping| mapping.remove("services"));
        let Some(services) = services.filter(|services| services.as_mapping().is_some()) else {
            let name = self.loader.shown(&path);
            self.loader.told.push(
                Diagnostic::error(
                    "bad-extends",
                    format!(
                        "cannot extend service \"{}\" in {name}: no services section",
                        place.1
                    ),
                )
                .at(span),
            );
            return None;
        };
        let folder = path.parent().map(FilePath::to_owned);
        let directory = folder.clone().unwrap_or_default();
        self.books.push(Book {
            services,
            source,
            folder,
            directory,
        });
        let index = self.books.len() - 1;
        self.by_path.insert(path, Some(index));
        Some(index)
    }

    fn cycle(&mut self, chain: &[(Place, Wish)], closing: &Place) {
        let from = chain
            .iter()
            .position(|(place, _)| place == closing)
            .unwrap_or(0);
        let links: Vec<&(Place, Wish)> = chain.iter().skip(from).collect();
        let mut names: Vec<&str> = links.iter().map(|(place, _)| &*place.1).collect();
        names.push(&closing.1);
        let Some(((_, wish), rest)) = links.split_last() else {
            return;
        };
        let mut diagnostic = Diagnostic::error(
            "extends-cycle",
            format!("circular reference: {}", names.join(" -> ")),
        )
        .label(wish.service_span, "this closes the circle")
        .hint("remove one of these `extends`");
        for (place, wish) in rest.iter().take(8) {
            diagnostic = diagnostic.also(wish.service_span, format!("`{}` extends this", place.1));
        }
        self.loader.told.push(diagnostic);
    }
}

fn clear(node: &mut Node) {
    node.mark = Mark::None;
    merge::settle(node);
}
