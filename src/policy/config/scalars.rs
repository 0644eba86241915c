//! Reads single values: yes or no, counts, sizes, durations and choices between words.

#[cfg(feature = "grpc")]
use std::sync::Arc;
use std::time::Duration;

use super::{
    place::{Place, Read},
    spelling::{did_you_mean, nearest},
    units::{self, Unreadable},
    value::Value,
};
#[cfg(feature = "grpc")]
use crate::policy::protobuf_names::is_full_name;

const A_DURATION: &str = r#"a duration such as "300ms""#;
const A_DURATION_OR_NEVER: &str = r#"a duration such as "300ms" or "never""#;
const A_SIZE: &str = r#"a size such as "10MiB""#;
const NEVER: &str = "never";

pub(super) fn flag(place: &Place<'_>) -> Read<bool> {
    match place.value() {
        Value::Flag(flag) => Ok(*flag),
        _ => Err(place.expected("true or false")),
    }
}

pub(super) fn duration(place: &Place<'_>) -> Read<Duration> {
    duration_called(A_DURATION, place)
}

pub(super) fn duration_above_zero(place: &Place<'_>) -> Read<Duration> {
    above_zero(duration(place)?, place)
}

/// `None`: never.
pub(super) fn duration_or_never(place: &Place<'_>) -> Read<Option<Duration>> {
    if is_never(place) {
        return Ok(None);
    }
    duration_called(A_DURATION_OR_NEVER, place).map(Some)
}

/// `None`: never.
pub(super) fn duration_above_zero_or_never(place: &Place<'_>) -> Read<Option<Duration>> {
    match duration_or_never(place)? {
        Some(duration) => above_zero(duration, place).map(Some),
        None => Ok(None),
    }
}

fn is_never(place: &Place<'_>) -> bool {
    matches!(place.value(), Value::Text(text) if text == NEVER)
}

fn above_zero(duration: Duration, place: &Place<'_>) -> Read<Duration> {
    if duration.is_zero() {
        return Err(place.expected("a duration longer than zero"));
    }
    Ok(duration)
}

fn duration_called(what: &str, place: &Place<'_>) -> Read<Duration> {
    match place.value() {
        Value::Text(text) => units::duration(text).map_err(|why| place.expected_because(what, why)),
        _ => Err(place.expected(what)),
    }
}

/// A size in bytes.
pub(super) fn size(place: &Place<'_>) -> Read<usize> {
    let bytes = match place.value() {
        Value::Text(text) => units::size(text),
        Value::Integer(number) if *number >= 0 => u64::try_from(*number).map_err(|_| Unreadable::OutOfRange),
        _ => return Err(place.expected(A_SIZE)),
    };
    bytes
        .and_then(|bytes| usize::try_from(bytes).map_err(|_| Unreadable::OutOfRange))
        .map_err(|why| place.expected_because(A_SIZE, why))
}

pub(super) fn size_above_zero(place: &Place<'_>) -> Read<usize> {
    match size(place)? {
        0 => Err(place.expected("a size of at least one byte")),
        bytes => Ok(bytes),
    }
}

/// A limit on how many there may be; at least one.
pub(super) fn count(place: &Place<'_>) -> Read<usize> {
    const A_COUNT: &str = "a whole number, at least 1";
    match place.value() {
        Value::Integer(number) if *number >= 1 => {
            usize::try_from(*number).map_err(|_| place.expected_because(A_COUNT, Unreadable::OutOfRange))
        }
        _ => Err(place.expected(A_COUNT)),
    }
}

/// The full name of a message.
#[cfg(feature = "grpc")]
pub(super) fn message_type(place: &Place<'_>) -> Read<Arc<str>> {
    match place.value() {
        Value::Text(name) if is_full_name(name) => Ok(name.as_str().into()),
        _ => Err(place.expected(r#"the name of a message such as "renders.v1.Picture""#)),
    }
}

/// One of some words.
pub(super) fn choice<T: Copy>(place: &Place<'_>, choices: &[(&str, T)]) -> Read<T> {
    let words = || choices.iter().map(|(word, _)| *word);
    let Value::Text(text) = place.value() else {
        return Err(place.expected(one_of(words())));
    };
    if let Some((_, chosen)) = choices.iter().find(|(word, _)| word == text) {
        return Ok(*chosen);
    }
    let hint = nearest(text, words()).map(did_you_mean).unwrap_or_default();
    Err(place.expected_because(one_of(words()), hint))
}

/// `"a", "b" or "c"`
fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.map(|word| format!("{word:?}")).collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}
