//! What the methods of a store return.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::StoreError;

/// The answer of a [`Store`](super::Store): there already, as from a store in memory, or on its way.
///
/// What is asked of a store is done whether or not the answer is waited for: dropping this does not take it back.
#[must_use = "futures do nothing unless polled"]
pub struct StoreFuture<T>(Inner<T>);

enum Inner<T> {
    Ready(Option<Result<T, StoreError>>),
    Pending(Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>),
}

impl<T> StoreFuture<T> {
    /// An answer that is there already.
    pub fn ready(answer: Result<T, StoreError>) -> Self {
        Self(Inner::Ready(Some(answer)))
    }

    /// An answer that is on its way.
    pub fn pending(answer: impl Future<Output = Result<T, StoreError>> + Send + 'static) -> Self {
        Self(Inner::Pending(Box::pin(answer)))
    }

    /// The answer if it is there already, and else what is to be awaited.
    ///
    /// # Errors
    ///
    /// The future itself, where the answer is on its way.
    pub fn now(self) -> Result<Result<T, StoreError>, Self> {
        match self.0 {
            Inner::Ready(Some(answer)) => Ok(answer),
            pending => Err(Self(pending)),
        }
    }
}

impl<T: Send + 'static> StoreFuture<T> {
    /// The same answer, turned into another.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U + Send + 'static) -> StoreFuture<U> {
        match self.now() {
            Ok(answer) => StoreFuture::ready(answer.map(turn)),
            Err(pending) => StoreFuture::pending(async { pending.await.map(turn) }),
        }
    }
}

impl<T> Future for StoreFuture<T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Inner::Ready(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            Inner::Pending(answer) => Poll::Ready(ready!(answer.as_mut().poll(context))),
        }
    }
}

impl<T> Unpin for StoreFuture<T> {}

impl<T> fmt::Debug for StoreFuture<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_ready = matches!(self.0, Inner::Ready(_));
        formatter.debug_struct("StoreFuture").field("is_ready", &is_ready).finish()
    }
}
