//! Who is told of what the contract's methods change.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, Weak},
};

use crate::store::contract::{Change, Listener};

/// A listener is told for as long as somebody else keeps it, so that a store may outlive those who listen.
type Listening = Weak<dyn Fn(Change) + Send + Sync>;

#[derive(Default)]
pub(super) struct Listeners(RwLock<Arc<[Listening]>>);

impl Listeners {
    pub(super) fn add(&self, listener: &Listener) {
        let mut listeners = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let kept = listeners.iter().filter(|listening| listening.strong_count() > 0).cloned();
        *listeners = kept.chain([Arc::downgrade(listener)]).collect();
    }

    /// Tells everyone, while nothing is locked.
    pub(super) fn tell(&self, change: Change) {
        let listeners = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        listeners.iter().filter_map(Weak::upgrade).for_each(|listener| listener(change));
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Listeners").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn whoever_is_gone_is_told_nothing_and_forgotten() {
        let (listeners, (tell, told)) = (Listeners::default(), mpsc::channel());
        let listener = |name: &'static str| -> Listener {
            let tell = tell.clone();
            Arc::new(move |_| tell.send(name).unwrap())
        };
        let (first, second) = (listener("first"), listener("second"));
        listeners.add(&first);
        listeners.add(&second);
        drop(first);
        listeners.tell(Change::Queued);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["second"]);
        let third = listener("third");
        listeners.add(&third);
        assert_eq!(listeners.0.read().unwrap().len(), 2);
    }
}
