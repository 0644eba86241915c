//! A thread of its own for what a store does over a connection: handlers that block the application's threads do not
//! hold it up, and nothing that has begun is dropped half way because somebody no longer waits for it.

use std::{fmt, io, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::{Builder, Handle},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{StoreError, StoreFuture};

/// How long what has begun may take to end once nobody has the store any more.
const LINGER: Duration = Duration::from_secs(10);

/// The thread. It ends with the last clone of this, after what has begun.
#[derive(Clone, Debug)]
pub(super) struct Engine(Arc<Shared>);

struct Shared {
    runtime: Handle,
    tasks: TaskTracker,
    unused: CancellationToken,
}

impl Engine {
    /// Starts the thread.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (tasks, unused) = (TaskTracker::new(), CancellationToken::new());
        let shared = Shared { runtime: runtime.handle().clone(), tasks: tasks.clone(), unused: unused.clone() };
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                unused.cancelled().await;
                tasks.close();
                let _in_time = timeout(LINGER, tasks.wait()).await;
            });
        })?;
        Ok(Self(Arc::new(shared)))
    }

    /// Does this on the thread, whether or not anybody waits for what comes of it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> StoreFuture<T> {
        let (answer, answered) = oneshot::channel();
        self.spawn(async move {
            let _unwanted = answer.send(work.await);
        });
        answer_of(answered)
    }

    /// Has this run on the thread until it ends by itself.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn_on(task, &self.0.runtime);
    }

    /// Collects what is to be written: what comes while one batch is being written makes up the next, of at most
    /// `largest`. `write` answers for each, in their order.
    pub(super) fn batches<I, O, W, F>(&self, largest: usize, write: W) -> Batches<I, O>
    where
        I: Send + 'static,
        O: Send + 'static,
        W: Fn(Vec<I>) -> F + Send + 'static,
        F: Future<Output = Vec<Result<O, StoreError>>> + Send + 'static,
    {
        let (sender, mut waiting) = mpsc::unbounded_channel::<Waiting<I, O>>();
        self.spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, largest).await > 0 {
                let (items, answers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                // As a task, so that a panic costs this batch and no more: nobody is answered then.
                let written = tokio::spawn(write(items)).await.unwrap_or_default();
                for (answer, written) in answers.into_iter().zip(written) {
                    let _unwanted = answer.send(written);
                }
            }
        });
        Batches(sender)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.unused.cancel();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").finish_non_exhaustive()
    }
}

type Waiting<I, O> = (I, oneshot::Sender<Result<O, StoreError>>);

/// What waits to be written with others.
#[derive(Debug)]
pub(super) struct Batches<I, O>(mpsc::UnboundedSender<Waiting<I, O>>);

impl<I: Send + 'static, O: Send + 'static> Batches<I, O> {
    /// Has this written with the next batch.
    pub(super) fn write(&self, item: I) -> StoreFuture<O> {
        let (answer, answered) = oneshot::channel();
        let _stopped = self.0.send((item, answer));
        answer_of(answered)
    }
}

fn answer_of<T: Send + 'static>(answered: oneshot::Receiver<Result<T, StoreError>>) -> StoreFuture<T> {
    StoreFuture::pending(async {
        answered.await.unwrap_or_else(|stopped| Err(StoreError::Unavailable(stopped.into())))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;

    use super::*;

    #[tokio::test]
    async fn what_waits_is_written_together_and_in_order() {
        let engine = Engine::start("test").unwrap();
        let (go, may_go) = blocking::channel::<()>();
        let batches = engine.batches(3, move |items: Vec<u32>| {
            may_go.recv().unwrap();
            let together = items.len();
            async move { items.into_iter().map(|item| Ok((item, together))).collect() }
        });
        let mut answers: Vec<_> = (0..8).map(|item| batches.write(item)).collect();
        let first = tokio::spawn(answers.remove(0));
        for _ in 0..8 {
            go.send(()).unwrap();
        }
        let (_, together) = first.await.unwrap().unwrap();
        let mut written = Vec::new();
        for answer in answers {
            written.push(answer.await.unwrap());
        }
        assert_eq!(written.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
        assert!(together <= 3 && written.iter().all(|(_, together)| *together <= 3), "{together} {written:?}");
        assert!(written.iter().any(|(_, together)| *together > 1), "{written:?}");
    }

    #[tokio::test]
    async fn what_has_begun_is_done_though_nobody_waits_and_the_store_is_gone() {
        let engine = Engine::start("test").unwrap();
        let (done, is_done) = oneshot::channel();
        let (go, may_go) = oneshot::channel::<()>();
        drop(engine.run(async move {
            may_go.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        }));
        drop(engine);
        go.send(()).unwrap();
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn work_that_panics_leaves_the_store_unavailable_to_who_asked_and_nobody_else() {
        let engine = Engine::start("test").unwrap();
        let broken = engine.run::<()>(async { panic!("broken") }).await;
        assert!(matches!(broken, Err(StoreError::Unavailable(_))), "{broken:?}");
        engine.run(async { Ok(()) }).await.unwrap();
    }

    #[tokio::test]
    async fn a_batch_that_panics_leaves_the_store_unavailable_to_who_asked_and_nobody_else() {
        let engine = Engine::start("test").unwrap();
        let batches = engine.batches(1, async |items: Vec<u32>| {
            assert_ne!(items, [7], "broken");
            items.into_iter().map(Ok).collect()
        });
        let broken = batches.write(7).await;
        assert!(matches!(broken, Err(StoreError::Unavailable(_))), "{broken:?}");
        assert_eq!(batches.write(8).await.unwrap(), 8);
    }
}
