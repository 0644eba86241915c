//! The filter of `ListOperations`: as much of AIP-160 as says whether operations are done.

use tonic::Status;

/// Whether the filter asks for operations that are done, or for those that are not. `None` where it asks for all.
pub(super) fn parse(filter: &str) -> Result<Option<bool>, Status> {
    match filter.trim() {
        "" => Ok(None),
        filter => done(filter).map(Some).ok_or_else(|| {
            Status::invalid_argument("filter: expected done=true or done=false, as nothing else is filtered by")
        }),
    }
}

fn done(filter: &str) -> Option<bool> {
    let negated = filter.strip_prefix("NOT ").or_else(|| filter.strip_prefix('-'));
    match negated {
        Some(filter) => comparison(filter).map(|done| !done),
        None => comparison(filter),
    }
}

fn comparison(filter: &str) -> Option<bool> {
    let rest = filter.trim_start().strip_prefix("done")?.trim_start();
    if rest.is_empty() {
        return Some(true);
    }
    let (equal, value) = match rest.strip_prefix("!=") {
        Some(value) => (false, value),
        None => (true, rest.strip_prefix(['=', ':'])?),
    };
    match value.trim_start() {
        "true" => Some(equal),
        "false" => Some(!equal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_on_done_are_read() {
        for (filter, expected) in [
            ("", None),
            ("  ", None),
            ("done", Some(true)),
            ("done=true", Some(true)),
            (" done = true ", Some(true)),
            ("done:true", Some(true)),
            ("done != true", Some(false)),
            ("done=false", Some(false)),
            ("done != false", Some(true)),
            ("NOT done", Some(false)),
            ("-done", Some(false)),
            ("NOT done=false", Some(true)),
        ] {
            assert_eq!(parse(filter).unwrap(), expected, "{filter:?}");
        }
    }

    #[test]
    fn nothing_else_is_filtered_by() {
        for filter in [
            "done=",
            "done=1",
            "donetrue",
            "done=true AND done=false",
            "doing=true",
            "true",
            "=true",
            "NOTdone",
            "done!",
        ] {
            assert_eq!(parse(filter).unwrap_err().code(), tonic::Code::InvalidArgument, "{filter:?}");
        }
    }
}
