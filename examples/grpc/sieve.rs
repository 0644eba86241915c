//! The sieve of Eratosthenes, one segment of the numbers after the other.

/// Numbers in a segment: as many as a processor keeps close at hand.
const LENGTH: u64 = 1 << 18;

/// The numbers of a range, segment by segment.
pub(crate) struct Sieve {
    /// The primes up to the square root of the range's end.
    small: Vec<u64>,
    next: u64,
    to: u64,
}

/// Some numbers, and which of them are prime.
pub(crate) struct Segment {
    first: u64,
    pub(crate) last: u64,
    is_prime: Vec<bool>,
}

impl Sieve {
    /// Of the numbers between these two, both included.
    pub(crate) fn new(from: u64, to: u64) -> Self {
        let root = to.isqrt();
        let small = if root < 2 { Vec::new() } else { Self::new(2, root).flat_map(Segment::into_primes).collect() };
        Self { small, next: from.max(2), to }
    }
}

impl Iterator for Sieve {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let first = self.next;
        if first > self.to {
            return None;
        }
        let last = self.to.min(first + LENGTH - 1);
        self.next = last + 1;
        Some(Segment { first, last, is_prime: sieved(first, last, &self.small) })
    }
}

impl Segment {
    /// Its primes, in ascending order.
    pub(crate) fn primes(&self) -> impl Iterator<Item = u64> {
        (self.first..).zip(&self.is_prime).filter_map(|(number, is_prime)| is_prime.then_some(number))
    }

    fn into_primes(self) -> Vec<u64> {
        self.primes().collect()
    }
}

fn sieved(first: u64, last: u64, small: &[u64]) -> Vec<bool> {
    let mut is_prime = vec![true; (last - first + 1) as usize];
    for &prime in small.iter().take_while(|prime| *prime * *prime <= last) {
        let multiple = first.next_multiple_of(prime).max(prime * prime);
        is_prime.iter_mut().skip((multiple - first) as usize).step_by(prime as usize).for_each(|place| *place = false);
    }
    is_prime
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primes(from: u64, to: u64) -> Vec<u64> {
        Sieve::new(from, to).flat_map(Segment::into_primes).collect()
    }

    #[test]
    fn primes_are_found_from_the_first_on() {
        assert_eq!(primes(0, 30), [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert_eq!(primes(23, 23), [23]);
        assert_eq!(primes(24, 28), [] as [u64; 0]);
        assert_eq!(primes(5, 4), [] as [u64; 0]);
    }

    #[test]
    fn none_is_lost_where_segments_meet() {
        assert_eq!(primes(0, 1_000_000).len(), 78_498);
        let met = LENGTH + 2;
        let by_division = |number: &u64| (2..=number.isqrt()).all(|divisor| number % divisor != 0);
        let expected: Vec<_> = (met - 100..met + 100).filter(by_division).collect();
        let found: Vec<_> = primes(0, met + 99).into_iter().filter(|prime| *prime >= met - 100).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn far_numbers_are_sieved_alone() {
        assert_eq!(
            primes(999_999_999_900, 1_000_000_000_000),
            [999_999_999_937, 999_999_999_959, 999_999_999_961, 999_999_999_989]
        );
    }
}
