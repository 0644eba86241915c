//! Gaps between neighbouring primes: the slow work, which tells how far it is and stops when told.

use crate::{generated::primes::Gap, sieve::Sieve};

/// Why no gap was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// There is none; the longest is so long.
    InRange { longest: u64 },
    /// The search was stopped.
    Canceled,
}

/// The first gap of this length or more between primes of this range.
///
/// `is_canceled` is asked every few milliseconds. `on_progress` then hears how far all numbers have been looked at, and
/// how long the longest gap was.
pub(crate) fn find(
    length: u64,
    (from, to): (u64, u64),
    is_canceled: impl Fn() -> bool,
    mut on_progress: impl FnMut(u64, u64),
) -> Result<Gap, NotFound> {
    let (mut longest, mut before) = (0, None);
    for segment in Sieve::new(from, to) {
        if is_canceled() {
            return Err(NotFound::Canceled);
        }
        for end in segment.primes() {
            let Some(start) = before.replace(end) else { continue };
            if end - start >= length {
                return Ok(Gap { start, end });
            }
            longest = longest.max(end - start);
        }
        on_progress(segment.last, longest);
    }
    Err(NotFound::InRange { longest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gap_is_found_and_not_the_longest() {
        let found = |length, range| find(length, range, || false, |_, _| {});
        assert_eq!(found(4, (0, 100)), Ok(Gap { start: 7, end: 11 }));
        assert_eq!(found(7, (0, 100)), Ok(Gap { start: 89, end: 97 }));
        assert_eq!(found(114, (0, 1_000_000)), Ok(Gap { start: 492_113, end: 492_227 }), "across segments");
        assert_eq!(found(9, (0, 100)), Err(NotFound::InRange { longest: 8 }));
        assert_eq!(found(1, (24, 28)), Err(NotFound::InRange { longest: 0 }));
    }

    #[test]
    fn progress_is_told_until_the_end() {
        let mut told = Vec::new();
        let found = find(1_000, (0, 1_000_000), || false, |at, longest| told.push((at, longest)));
        assert_eq!(found, Err(NotFound::InRange { longest: 114 }));
        assert!(told.is_sorted());
        assert_eq!(told.last(), Some(&(1_000_000, 114)));
        assert!(told.len() > 1);
    }

    #[test]
    fn a_canceled_search_stops_at_once() {
        assert_eq!(find(1_000, (0, u64::from(u32::MAX)), || true, |_, _| {}), Err(NotFound::Canceled));
    }
}
