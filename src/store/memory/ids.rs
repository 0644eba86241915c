//! A hasher for ids, which fold their random bits themselves.

use std::hash::{BuildHasherDefault, Hasher};

pub(super) type IdHasher = BuildHasherDefault<Folded>;

#[derive(Debug, Default)]
pub(super) struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, folded: u64) {
        self.0 = folded;
    }
}
