//! Reads the table of routes: the default policy, the routes over it, and what the rest gets.

use super::{
    place::{Fields, Place, Read, Reported},
    policy_fields::{completion, policy},
    scalars::choice,
    value::Value,
};
use crate::policy::{
    Policy, Routes, RoutesBuilder,
    route_errors::{RouteError, RouteFault, RoutePlace},
};

/// What the requests get that no route takes.
#[derive(Clone, Copy)]
enum Unlisted {
    Default,
    Pass,
}

const UNLISTED: [(&str, Unlisted); 2] = [("default", Unlisted::Default), ("pass", Unlisted::Pass)];

/// `None` when a path or its methods are wrong, which has been written down.
pub(super) fn routes(file: &mut Fields<'_>) -> Option<Routes> {
    let defaults = defaults(file);
    let listed = listed(file);
    let mut unlisted = match listed.as_slice() {
        [] => Unlisted::Default,
        _ => Unlisted::Pass,
    };
    file.set("unlisted", &mut unlisted, |place| choice(place, &UNLISTED));

    let builder = match unlisted {
        Unlisted::Default => Routes::builder().otherwise(defaults.clone()),
        Unlisted::Pass => Routes::builder(),
    };
    let built = listed
        .iter()
        .enumerate()
        .fold(builder, |builder, (position, place)| add_route(builder, position, place, &defaults))
        .build();
    if let Err(errors) = &built {
        errors.iter().for_each(|error| write_down(error, &listed));
    }
    built.ok()
}

/// The policy that every route starts from.
fn defaults(file: &mut Fields<'_>) -> Policy {
    let mut base = Policy::default();
    file.set("completion", &mut base.completion, completion);
    let mut fields = file.section("defaults");
    let defaults = policy(&mut fields, &base);
    file.known_elsewhere("defaults", &fields.finish());
    defaults
}

fn listed<'f>(file: &mut Fields<'f>) -> Vec<Place<'f>> {
    let mut listed = Vec::new();
    file.set("routes", &mut listed, |place| match place.value() {
        Value::Nothing => Ok(Vec::new()),
        _ => place.items("a list of routes"),
    });
    listed
}

fn add_route(builder: RoutesBuilder, position: usize, place: &Place<'_>, defaults: &Policy) -> RoutesBuilder {
    let Ok(mut fields) = place.fields() else {
        return builder;
    };
    let path = match fields.get("path") {
        Some(place) => path(&place),
        None => Err(fields.missing("path", A_PATH)),
    };
    let policy = policy(&mut fields, defaults);
    fields.finish();
    match path {
        Ok(path) => builder.route_at(position, path, policy),
        Err(Reported) => builder,
    }
}

const A_PATH: &str = r#"a path such as "/reports/{id}""#;

fn path(place: &Place<'_>) -> Read<String> {
    match place.value() {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(place.expected(A_PATH)),
    }
}

/// What is wrong with a policy has been written down where it was read.
fn write_down(error: &RouteError, listed: &[Place<'_>]) {
    let RouteError { place: RoutePlace::Listed { position, pattern }, fault } = error else { return };
    let Some(place) = listed.get(*position) else { return };
    match fault {
        RouteFault::NoMethods | RouteFault::Zero { .. } => {}
        #[cfg(feature = "grpc")]
        RouteFault::NoMethodPath => place.wrong_at("response_type", fault),
        #[cfg(feature = "grpc")]
        RouteFault::NoMessageType { .. } => {}
        RouteFault::SameMethods { .. } => place.wrong_at("methods", fault),
        _ => place.wrong_at("path", format_args!("{fault}; found {pattern:?}")),
    }
}
