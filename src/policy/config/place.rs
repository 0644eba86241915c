//! Walks a configuration tree and writes down, with its place in the file, everything that is wrong.

use std::{cell::RefCell, fmt};

use super::{
    spelling::{did_you_mean, nearest},
    value::Value,
};

/// All that is wrong with a file, one problem per line.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<Vec<String>>);

impl Report {
    pub(super) fn add(&self, path: &str, problem: impl fmt::Display) {
        let line = if path.is_empty() { problem.to_string() } else { format!("{path}: {problem}") };
        self.0.borrow_mut().push(line);
    }

    pub(super) fn none_or_all(self) -> Result<(), String> {
        let problems = self.0.into_inner();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }
}

/// What a reader gives: a value, or nothing because what stands there is wrong.
pub(super) type Read<T> = Result<T, Reported>;

/// What is wrong has been written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// A value in the file and the way to it, such as `routes[3].budget`.
#[derive(Debug)]
pub(super) struct Place<'f> {
    path: String,
    value: &'f Value,
    report: &'f Report,
}

impl<'f> Place<'f> {
    /// The whole file.
    pub(super) fn root(value: &'f Value, report: &'f Report) -> Self {
        Self { path: String::new(), value, report }
    }

    pub(super) fn value(&self) -> &'f Value {
        self.value
    }

    /// Writes down what should stand here instead.
    pub(super) fn expected(&self, what: impl fmt::Display) -> Reported {
        self.expected_because(what, "")
    }

    /// Writes down what should stand here instead, and, after what does, why that will not do.
    pub(super) fn expected_because(&self, what: impl fmt::Display, why: impl fmt::Display) -> Reported {
        self.wrong(format_args!("expected {what}, found {}{why}", self.value))
    }

    /// Writes down what is wrong with the value here.
    pub(super) fn wrong(&self, problem: impl fmt::Display) -> Reported {
        self.report.add(&self.path, problem);
        Reported
    }

    /// Writes down what is wrong with the value under `key` here.
    pub(super) fn wrong_at(&self, key: &str, problem: impl fmt::Display) {
        self.report.add(&format!("{}.{key}", self.path), problem);
    }

    /// The values in a list; `what` says what they should be.
    pub(super) fn items(&self, what: &str) -> Read<Vec<Self>> {
        let Value::List(items) = self.value else {
            return Err(self.expected(what));
        };
        let item = |(index, value)| Self { path: format!("{}[{index}]", self.path), value, report: self.report };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The fields of a table.
    pub(super) fn fields(&self) -> Read<Fields<'f>> {
        match self.value {
            Value::Table(entries) => Ok(Fields::new(self.path.clone(), entries, self.report)),
            _ => Err(self.expected("a table")),
        }
    }

    /// The fields of a section, which may be empty: there is nothing below a YAML heading whose lines
    /// are all comments.
    pub(super) fn section(&self) -> Fields<'f> {
        let empty = || Fields::new(self.path.clone(), &[], self.report);
        match self.value {
            Value::Nothing => empty(),
            _ => self.fields().unwrap_or_else(|_| empty()),
        }
    }
}

/// The fields of a table. Whatever has not been asked for by the end is unknown.
#[derive(Debug)]
pub(super) struct Fields<'f> {
    path: String,
    entries: &'f [(String, Value)],
    report: &'f Report,
    known: Vec<&'static str>,
    elsewhere: Vec<String>,
}

impl<'f> Fields<'f> {
    fn new(path: String, entries: &'f [(String, Value)], report: &'f Report) -> Self {
        Self { path, entries, report, known: Vec::new(), elsewhere: Vec::new() }
    }

    /// What stands under `key`.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Place<'f>> {
        self.known.push(key);
        let (_, value) = self.entries.iter().find(|(name, _)| name == key)?;
        Some(Place { path: self.path_of(key), value, report: self.report })
    }

    /// The fields of the table under `key`; none when it is absent.
    pub(super) fn section(&mut self, key: &'static str) -> Fields<'f> {
        let absent = Self::new(self.path_of(key), &[], self.report);
        self.get(key).map_or(absent, |place| place.section())
    }

    /// Reads what stands under `key` into `target`, which stays as it is when there is nothing or
    /// nothing right.
    pub(super) fn set<T>(&mut self, key: &'static str, target: &mut T, read: impl FnOnce(&Place<'f>) -> Read<T>) {
        if let Some(Ok(value)) = self.get(key).as_ref().map(read) {
            *target = value;
        }
    }

    /// Like [`set`](Self::set), for what has no default here.
    pub(super) fn set_some<T>(
        &mut self,
        key: &'static str,
        target: &mut Option<T>,
        read: impl FnOnce(&Place<'f>) -> Read<T>,
    ) {
        self.set(key, target, |place| read(place).map(Some));
    }

    /// Writes down that `key` must be given.
    pub(super) fn missing(&self, key: &str, what: &str) -> Reported {
        let path = self.path_of(key);
        self.report.add(&path, format_args!("missing; expected {what}"));
        Reported
    }

    /// Keys that are known in the table `section`, and belong there when they are found here.
    pub(super) fn known_elsewhere(&mut self, section: &str, keys: &[&str]) {
        self.elsewhere.extend(keys.iter().map(|key| format!("{section}.{key}")));
    }

    /// Writes down the keys that are unknown or given twice, and tells which are known.
    pub(super) fn finish(self) -> Vec<&'static str> {
        for (index, (key, _)) in self.entries.iter().enumerate() {
            let path = self.path_of(key);
            let (earlier, _) = self.entries.split_at(index);
            if earlier.iter().any(|(name, _)| name == key) {
                self.report.add(&path, "given more than once");
            } else if !self.known.contains(&key.as_str()) {
                self.report.add(&path, self.unknown(key));
            }
        }
        self.known
    }

    fn unknown(&self, key: &str) -> String {
        let elsewhere = self.elsewhere.iter().map(String::as_str);
        let hint = nearest(key, self.known.iter().copied().chain(elsewhere)).map(did_you_mean);
        format!("unknown key{}", hint.unwrap_or_default())
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
