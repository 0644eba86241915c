//! What a path asks for.

use crate::operation::{OperationId, id};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Collection,
    Operation(OperationId, Resource),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Monitor,
    Status,
    Events,
    Result,
}

impl Target {
    /// The path is below the base path, or what is left of it after a router has removed that.
    pub(super) fn of(path: &str, base_path: &str) -> Option<Self> {
        let below =
            path.strip_prefix(base_path).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path);
        let below = below.strip_prefix('/').unwrap_or(below);
        if below.is_empty() {
            return Some(Self::Collection);
        }
        let (id, resource) = below.split_at_checked(id::TEXT_LENGTH)?;
        let resource = match resource {
            "" => Resource::Monitor,
            "/status" => Resource::Status,
            "/events" => Resource::Events,
            "/result" => Resource::Result,
            _ => return None,
        };
        Some(Self::Operation(id.parse().ok()?, resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa";

    #[test]
    fn paths_are_found_with_and_without_their_base() {
        let operation = |resource| Some(Target::Operation(ID.parse().unwrap(), resource));
        for base in ["", "/operations", "/v1/operations"] {
            for prefix in ["", base] {
                let of = |rest: &str| Target::of(&format!("{prefix}{rest}"), base);
                assert_eq!(of(""), Some(Target::Collection));
                assert_eq!(of("/"), Some(Target::Collection));
                assert_eq!(of(&format!("/{ID}")), operation(Resource::Monitor));
                assert_eq!(of(&format!("/{ID}/status")), operation(Resource::Status));
                assert_eq!(of(&format!("/{ID}/events")), operation(Resource::Events));
                assert_eq!(of(&format!("/{ID}/result")), operation(Resource::Result));
                for other in ["/", "/results", "/result/", "/status/result", "//result", "/%72esult"] {
                    assert_eq!(of(&format!("/{ID}{other}")), None, "{prefix}/{ID}{other}");
                }
                assert_eq!(of("/42"), None);
                assert_eq!(of(&format!("//{ID}")), None);
            }
        }
        assert_eq!(Target::of(&format!("/operationsx/{ID}"), "/operations"), None);
    }
}
