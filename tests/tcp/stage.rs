//! Lets a test know how far a handler is, and decide when it goes on.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::client::within;

/// An event that can be waited for, once for each time it happens.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    /// Lets through whoever comes, from now on.
    pub(crate) fn open_for_all(&self) {
        self.0.close();
    }

    pub(crate) async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// One side of it is the handler's, the other the test's.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    started: Gate,
    read: Gate,
    go: Gate,
    finished: Gate,
    gone: Gate,
}

/// Says that the handler's future is gone.
pub(crate) struct Presence(Gate);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// The handler's side.
impl Stage {
    pub(crate) fn new() -> Self {
        Self { started: Gate::new(), read: Gate::new(), go: Gate::new(), finished: Gate::new(), gone: Gate::new() }
    }

    pub(crate) fn enter(&self) -> Presence {
        self.started.open();
        Presence(self.gone.clone())
    }

    /// Waits for the test to say [`go`](Self::go).
    pub(crate) async fn wait(&self) {
        self.go.pass().await;
    }

    /// Some of the request's body has been read.
    pub(crate) fn has_read(&self) {
        self.read.open();
    }

    /// The handler has come to its end by itself.
    pub(crate) fn has_finished(&self) {
        self.finished.open();
    }
}

/// The test's side.
impl Stage {
    pub(crate) async fn started(&self) {
        within(self.started.pass()).await;
    }

    pub(crate) async fn read(&self) {
        within(self.read.pass()).await;
    }

    pub(crate) fn go(&self) {
        self.go.open();
    }

    pub(crate) fn go_all(&self) {
        self.go.open_for_all();
    }

    pub(crate) async fn finished(&self) {
        within(self.finished.pass()).await;
    }

    pub(crate) async fn gone(&self) {
        within(self.gone.pass()).await;
    }
}

/// Waits until something is so that nothing announces.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it never came to be that {what}");
}
