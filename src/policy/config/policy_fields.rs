//! The fields of a policy in a configuration file.

use ::http::Method;

#[cfg(feature = "durable")]
use super::scalars::count;
#[cfg(feature = "grpc")]
use super::scalars::message_type;
use super::{
    place::{Fields, Place, Read},
    scalars::{
        choice, duration, duration_above_zero, duration_above_zero_or_never, duration_or_never, flag, size,
        size_above_zero,
    },
    spelling::{did_you_mean, nearest},
    value::Value,
};
#[cfg(feature = "grpc")]
use crate::policy::OnBudget;
use crate::policy::{AtLimit, Completion, Limit, OnDisconnect, Policy, limit::AtLimits, methods::MethodSet};

const AT_LIMIT: [(&str, AtLimit); 2] = [("stay-in-line", AtLimit::StayInLine), ("unavailable", AtLimit::Unavailable)];

const COMPLETION: [(&str, Completion); 3] =
    [("see-other", Completion::SeeOther), ("found", Completion::Found), ("replay", Completion::Replay)];

const ON_DISCONNECT: [(&str, OnDisconnect); 2] = [("cancel", OnDisconnect::Cancel), ("detach", OnDisconnect::Detach)];

#[cfg(feature = "grpc")]
const ON_BUDGET: [(&str, OnBudget); 2] = [("in-line", OnBudget::InLine), ("status", OnBudget::Status)];

#[cfg(feature = "durable")]
const EXECUTION: [(&str, bool); 2] = [("detached", false), ("durable", true)];

/// Reads the fields of a policy over those of `base`.
pub(super) fn policy(fields: &mut Fields<'_>, base: &Policy) -> Policy {
    let mut policy = base.clone();
    fields.set("methods", &mut policy.methods, methods);
    fields.set("budget", &mut policy.budget, duration_or_never);
    fields.set("grace", &mut policy.grace, duration);
    fields.set("longest_wait", &mut policy.longest_wait, duration);
    fields.set("honor_respond_async", &mut policy.honor_respond_async, flag);
    fields.set("honor_wait", &mut policy.honor_wait, flag);
    fields.set("honor_idempotency_key", &mut policy.honor_idempotency_key, flag);
    fields.set("max_run_time", &mut policy.max_run_time, duration_above_zero_or_never);
    fields.set("retention", &mut policy.retention, duration_above_zero);
    fields.set("max_request_body", &mut policy.max_request_body, size);
    fields.set("max_reply", &mut policy.max_reply, size_above_zero);
    fields.set("at_limit", &mut policy.at_limit, |place| at_limit(place, base.at_limit));
    fields.set("completion", &mut policy.completion, completion);
    fields.set("follow_created", &mut policy.follow_created, flag);
    fields.set("on_disconnect", &mut policy.on_disconnect, |place| choice(place, &ON_DISCONNECT));
    fields.set("handle", &mut policy.handle, flag);
    #[cfg(feature = "grpc")]
    {
        fields.set("on_budget", &mut policy.on_budget, |place| choice(place, &ON_BUDGET));
        fields.set_some("response_type", &mut policy.response_type, message_type);
    }
    #[cfg(feature = "durable")]
    {
        fields.set("execution", &mut policy.is_durable, |place| choice(place, &EXECUTION));
        fields.set("max_attempts", &mut policy.max_attempts, attempts);
        fields.set("backoff", &mut policy.backoff, duration);
    }
    policy
}

#[cfg(feature = "durable")]
fn attempts(place: &Place<'_>) -> Read<u32> {
    count(place).map(|attempts| u32::try_from(attempts).unwrap_or(u32::MAX))
}

pub(super) fn completion(place: &Place<'_>) -> Read<Completion> {
    choice(place, &COMPLETION)
}

/// One word for every limit, or a table of limits.
fn at_limit(place: &Place<'_>, base: AtLimits) -> Read<AtLimits> {
    match place.value() {
        Value::Table(_) => place.fields().map(|fields| at_each_limit(fields, base)),
        _ => choice(place, &AT_LIMIT).map(AtLimits::every),
    }
}

fn at_each_limit(mut fields: Fields<'_>, mut limits: AtLimits) -> AtLimits {
    for (key, limit) in [
        ("operations", Limit::Operations),
        ("operations_per_owner", Limit::OperationsPerOwner),
        ("kept_replies", Limit::KeptReplies),
        ("request_body", Limit::RequestBody),
    ] {
        fields.set(key, limits.get_mut(limit), |place| choice(place, &AT_LIMIT));
    }
    fields.finish();
    limits
}

/// A list of at least one method; none at all when it is wrong, so that no route is blamed for the
/// methods of another that nobody meant.
fn methods(place: &Place<'_>) -> Read<MethodSet> {
    Ok(listed_methods(place).unwrap_or_default())
}

fn listed_methods(place: &Place<'_>) -> Read<MethodSet> {
    const METHODS: &str = r#"a list of methods such as ["POST"]"#;
    let items = place.items(METHODS)?;
    if items.is_empty() {
        return Err(place.wrong("expected at least one method, found none"));
    }
    let read: Vec<Read<Method>> = items.iter().map(method).collect();
    read.into_iter().collect()
}

fn method(place: &Place<'_>) -> Read<Method> {
    const A_METHOD: &str = r#"a method such as "POST""#;
    let Value::Text(text) = place.value() else {
        return Err(place.expected(A_METHOD));
    };
    if let Some(meant) = misspelt(text) {
        return Err(place.expected_because(A_METHOD, did_you_mean(meant)));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| place.expected(A_METHOD))
}

/// The usual method that `text` was probably meant to be: methods are told apart by case, and any word
/// may be one, so that a slip would otherwise name a method nobody sends.
fn misspelt(text: &str) -> Option<&'static str> {
    const USUAL: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    nearest(text, USUAL)
        .filter(|usual| *usual != text)
        // A short word is near too many others.
        .filter(|usual| text.len() > 3 || usual.eq_ignore_ascii_case(text))
}
