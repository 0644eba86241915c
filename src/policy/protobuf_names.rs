//! How Protocol Buffers name things: `package.Message`, `/package.Service/Method`.

/// Whether this can be the full name of a message or a service: identifiers with dots in between.
pub(crate) fn is_full_name(name: &str) -> bool {
    name.split('.').all(is_identifier)
}

/// Whether this can be the path of a gRPC method.
pub(crate) fn is_method_path(path: &str) -> bool {
    let names = path.strip_prefix('/').and_then(|names| names.split_once('/'));
    names.is_some_and(|(service, method)| is_full_name(service) && is_identifier(method))
}

fn is_identifier(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers_with_dots_in_between() {
        for name in ["Picture", "renders.v1.Picture", "_a.B_2"] {
            assert!(is_full_name(name), "{name}");
        }
        for name in ["", ".renders.Picture", "renders..Picture", "renders.", "1.A", "a.1", "a-b", "a b", "caf\u{e9}"] {
            assert!(!is_full_name(name), "{name}");
        }
    }

    #[test]
    fn a_methods_path_has_a_service_and_a_method() {
        for path in ["/Renders/Render", "/renders.v1.Renders/Render"] {
            assert!(is_method_path(path), "{path}");
        }
        for path in ["", "/", "/Renders", "/Renders/", "//Render", "/a.B/c.D", "/a.B/C/", "/a.B/{method}", "a.B/C"] {
            assert!(!is_method_path(path), "{path}");
        }
    }
}
