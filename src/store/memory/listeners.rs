//! Who is told of what the contract's methods change.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use crate::store::contract::{Change, Listener};

#[derive(Default)]
pub(super) struct Listeners(RwLock<Arc<[Listener]>>);

impl Listeners {
    pub(super) fn add(&self, listener: Listener) {
        let mut listeners = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *listeners = listeners.iter().cloned().chain([listener]).collect();
    }

    /// Tells everyone, while nothing is locked.
    pub(super) fn tell(&self, change: Change) {
        let listeners = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        listeners.iter().for_each(|listener| listener(change));
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Listeners").finish_non_exhaustive()
    }
}
