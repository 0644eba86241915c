//! A set of HTTP methods that answers "is it in?" in about a nanosecond.

use std::fmt;

use http::Method;

/// The methods that have a bit of their own, in the order they are shown.
const STANDARD: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// A set of methods: bits for the standard ones, a sorted list for the rare others.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct MethodSet {
    standard: u16,
    extensions: Vec<Method>,
}

impl MethodSet {
    /// POST, PUT, PATCH and DELETE: the methods that ask for work to be done.
    pub(crate) fn that_change_things() -> Self {
        [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].into_iter().collect()
    }

    #[inline]
    pub(crate) fn contains(&self, method: &Method) -> bool {
        match bit(method) {
            0 => self.extensions.contains(method),
            bit => self.standard & bit != 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.standard == 0 && self.extensions.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Method> + '_ {
        STANDARD.into_iter().filter(|method| self.contains(method)).chain(self.extensions.iter().cloned())
    }

    /// The methods that are in both sets.
    pub(crate) fn common(&self, other: &Self) -> Self {
        self.iter().filter(|method| other.contains(method)).collect()
    }
}

/// The bit of a standard method; 0 for any other.
#[inline]
const fn bit(method: &Method) -> u16 {
    match *method {
        Method::GET => 1,
        Method::HEAD => 1 << 1,
        Method::POST => 1 << 2,
        Method::PUT => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::DELETE => 1 << 5,
        Method::OPTIONS => 1 << 6,
        Method::TRACE => 1 << 7,
        Method::CONNECT => 1 << 8,
        _ => 0,
    }
}

impl Extend<Method> for MethodSet {
    fn extend<I: IntoIterator<Item = Method>>(&mut self, methods: I) {
        for method in methods {
            match bit(&method) {
                0 => self.extensions.push(method),
                bit => self.standard |= bit,
            }
        }
        // Sorted and without repetition, so that equal sets are equal values.
        self.extensions.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        self.extensions.dedup();
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        let mut set = Self::default();
        set.extend(methods);
        set
    }
}

impl fmt::Debug for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// `POST, PUT`
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(method.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(name: &str) -> Method {
        Method::from_bytes(name.as_bytes()).unwrap()
    }

    #[test]
    fn every_standard_method_has_a_bit_of_its_own() {
        for one in STANDARD {
            let set = MethodSet::from_iter([one.clone()]);
            for other in STANDARD {
                assert_eq!(set.contains(&other), one == other, "{one} {other}");
            }
        }
    }

    #[test]
    fn an_extension_method_is_found_by_its_exact_name() {
        let set = MethodSet::from_iter([extension("PURGE")]);
        assert!(set.contains(&extension("PURGE")));
        assert!(!set.contains(&extension("purge")));
        assert!(!set.contains(&Method::POST));
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let names = ["PURGE", "POST", "COPY", "PURGE"];
        let one: MethodSet = names.into_iter().map(extension).collect();
        let other: MethodSet = names.into_iter().rev().map(extension).collect();
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "POST, COPY, PURGE");
    }

    #[test]
    fn common_methods() {
        let one = MethodSet::from_iter([Method::GET, Method::POST, extension("COPY")]);
        let other = MethodSet::from_iter([Method::POST, Method::PUT, extension("COPY")]);
        assert_eq!(one.common(&other).to_string(), "POST, COPY");
        assert!(one.common(&MethodSet::default()).is_empty());
    }
}
