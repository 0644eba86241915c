//! The lookup behind a table of routes: method and path in, what holds for them out.

use std::sync::Arc;

use ::http::{Method, uri::PathAndQuery};

use super::{methods::MethodSet, route_errors::RouteFault};

/// A value of `T` for each listed route, and one for all other paths.
///
/// A lookup allocates only where `matchit` does: for a path with more than three parameters, and
/// where a parameter stands beside a literal that begins with the same letter.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    default: Option<Entry<T>>,
    patterns: Vec<Pattern<T>>,
    /// Leads from a path to the place of its pattern.
    paths: matchit::Router<usize>,
    /// The methods of all listed routes together: other requests need no look at their path.
    listed_methods: MethodSet,
}

/// The routes that share a pattern, each for other methods.
#[derive(Clone, Debug, PartialEq)]
struct Pattern<T> {
    text: Arc<str>,
    entries: Vec<Entry<T>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry<T> {
    /// The place of the route in the list the user wrote.
    position: usize,
    methods: MethodSet,
    value: T,
}

impl<T> Table<T> {
    /// What is listed for this method and path, else what holds by default for the method.
    #[inline]
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<&T> {
        match self.find_listed(method, path) {
            None => self.find_default(method),
            listed => listed,
        }
    }

    #[inline]
    fn find_listed(&self, method: &Method, path: &str) -> Option<&T> {
        if !self.listed_methods.contains(method) {
            return None;
        }
        let place = *self.paths.at(path).ok()?.value;
        self.patterns.get(place)?.entries.iter().find(|entry| entry.methods.contains(method)).map(|entry| &entry.value)
    }

    #[inline]
    fn find_default(&self, method: &Method) -> Option<&T> {
        self.default.as_ref().filter(|entry| entry.methods.contains(method)).map(|entry| &entry.value)
    }

    /// The patterns that are listed.
    #[cfg(feature = "grpc")]
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Arc<str>> {
        self.patterns.iter().map(|pattern| &pattern.text)
    }

    /// The values of all listed routes, each with its pattern.
    #[cfg(feature = "grpc")]
    pub(super) fn listed(&self) -> impl Iterator<Item = (&Arc<str>, &T)> {
        self.patterns.iter().flat_map(|Pattern { text, entries }| entries.iter().map(move |entry| (text, &entry.value)))
    }

    /// The same table with what `make` makes of each pattern (`None`: the default) and value.
    pub(crate) fn map<U>(&self, mut make: impl FnMut(Option<&Arc<str>>, &T) -> U) -> Table<U> {
        let mut entry = |pattern: Option<&Arc<str>>, entry: &Entry<T>| Entry {
            position: entry.position,
            methods: entry.methods.clone(),
            value: make(pattern, &entry.value),
        };
        Table {
            default: self.default.as_ref().map(|default| entry(None, default)),
            patterns: self
                .patterns
                .iter()
                .map(|Pattern { text, entries }| Pattern {
                    text: Arc::clone(text),
                    entries: entries.iter().map(|one| entry(Some(text), one)).collect(),
                })
                .collect(),
            paths: self.paths.clone(),
            listed_methods: self.listed_methods.clone(),
        }
    }

    pub(super) fn set_default(&mut self, methods: MethodSet, value: T) {
        self.default = Some(Entry { position: 0, methods, value });
    }

    /// Lists a route, which errors will call by `position`. After an error the table is of no use but to
    /// find more of them.
    pub(super) fn insert(
        &mut self,
        position: usize,
        pattern: &str,
        methods: MethodSet,
        value: T,
    ) -> Result<(), RouteFault> {
        let new_methods = methods.clone();
        let entry = Entry { position, methods, value };
        match self.patterns.iter_mut().find(|one| *one.text == *pattern) {
            Some(listed) => listed.add(entry)?,
            None => self.add_pattern(pattern, entry)?,
        }
        self.listed_methods.extend(new_methods.iter());
        Ok(())
    }

    fn add_pattern(&mut self, pattern: &str, first: Entry<T>) -> Result<(), RouteFault> {
        check_as_axum_does(pattern)?;
        check_that_a_path_can_match(pattern)?;
        self.paths.insert(pattern, self.patterns.len())?;
        self.patterns.push(Pattern { text: Arc::from(pattern), entries: vec![first] });
        Ok(())
    }
}

impl<T> Pattern<T> {
    fn add(&mut self, entry: Entry<T>) -> Result<(), RouteFault> {
        for earlier in &self.entries {
            let methods = earlier.methods.common(&entry.methods);
            if !methods.is_empty() {
                let with = earlier.position;
                return Err(RouteFault::SameMethods { methods, with });
            }
        }
        self.entries.push(entry);
        Ok(())
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            default: None,
            patterns: Vec::new(),
            paths: matchit::Router::new(),
            listed_methods: MethodSet::default(),
        }
    }
}

impl<T: PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        // The rest follows from these.
        self.default == other.default && self.patterns == other.patterns
    }
}

/// Refuses what axum refuses and `matchit` would take for a literal.
fn check_as_axum_does(pattern: &str) -> Result<(), RouteFault> {
    let segments = pattern.strip_prefix('/').ok_or(RouteFault::NoLeadingSlash)?.split('/');
    for segment in segments {
        if let Some(name) = segment.strip_prefix(':') {
            let name = name.to_owned();
            return Err(RouteFault::ColonParameter { name });
        }
        if let Some(name) = segment.strip_prefix('*') {
            let name = name.to_owned();
            return Err(RouteFault::StarParameter { name });
        }
    }
    Ok(())
}

/// Refuses literals that stand in no path, where `matchit` would wait for them for ever.
fn check_that_a_path_can_match(pattern: &str) -> Result<(), RouteFault> {
    // Between braces there is a name, which may be any. Those that do not match are refused by `matchit`.
    let literals = pattern.split(['{', '}']).step_by(2);
    match literals.flat_map(str::chars).find(|character| !stands_in_paths(*character)) {
        Some(character) => Err(RouteFault::InNoPath { character }),
        None => Ok(()),
    }
}

/// Whether a request's address can have the character in its path.
fn stands_in_paths(character: char) -> bool {
    let path = format!("/{character}");
    path.parse().is_ok_and(|address: PathAndQuery| address.path() == path)
}
