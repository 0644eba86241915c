//! What the store's intents share, and how those that come at the same moment are written together.

use std::{
    error::Error,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{announcements::Announcer, database::Database, sweeping::count, terms::KnownTerms};
use crate::store::{
    StoreError, StoreFuture,
    contract::Counts,
    engine::{Batches, Engine},
};

/// So many are written with one statement.
const AT_ONCE: usize = 512;

/// For how long counts are good; longer where it took long to count.
const GOOD: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) database: Arc<Database>,
    pub(super) terms: KnownTerms,
    pub(super) announcer: Announcer,
    /// The lane that had its turn last, as SQL. Held while claiming, so that nobody here gets in the way of another.
    pub(super) last_lane: Mutex<String>,
    counts: Mutex<Option<(Instant, Counts)>>,
}

impl Shared {
    pub(super) fn new(database: Arc<Database>, announcer: Announcer) -> Self {
        let last_lane = Mutex::new("'00000000-0000-0000-0000-000000000000'::uuid".to_owned());
        Self { database, terms: KnownTerms::default(), announcer, last_lane, counts: Mutex::default() }
    }

    /// The counts, from a while ago if that is not long: to count is to look at every row.
    pub(super) async fn counts(&self) -> Result<Counts, StoreError> {
        let mut last = self.counts.lock().await;
        if let Some((until, counts)) = *last
            && Instant::now() < until
        {
            return Ok(counts);
        }
        let begun = Instant::now();
        let counts = count(self).await?;
        let good = (begun.elapsed() * 20).clamp(GOOD, Duration::from_secs(5));
        *last = Some((Instant::now() + good, counts));
        Ok(counts)
    }
}

/// What is written many at a time.
pub(super) trait Batch: Send + Sized + 'static {
    /// What comes of each.
    type Answer: Send + 'static;

    /// Writes these with one statement, and answers for each in their order.
    fn write(
        shared: &Shared,
        batch: Vec<Self>,
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer, StoreError>>, StoreError>> + Send;
}

/// What waits to be written with others.
#[derive(Debug)]
pub(super) struct Queue<I: Batch>(Batches<(Instant, I), I::Answer>);

impl<I: Batch> Queue<I> {
    pub(super) fn new(engine: &Engine, shared: &Arc<Shared>) -> Self {
        let shared = Arc::clone(shared);
        Self(engine.batches(AT_ONCE, move |batch| write(Arc::clone(&shared), batch)))
    }

    pub(super) fn write(&self, item: I) -> StoreFuture<I::Answer> {
        self.0.write((Instant::now(), item))
    }
}

async fn write<I: Batch>(shared: Arc<Shared>, batch: Vec<(Instant, I)>) -> Vec<Result<I::Answer, StoreError>> {
    let patience = shared.database.patience;
    let (waits, batch): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|(since, item)| if since.elapsed() < patience { (true, Some(item)) } else { (false, None) })
        .unzip();
    let in_time: Vec<_> = batch.into_iter().flatten().collect();
    let asked = in_time.len();
    let mut answers = match asked {
        0 => Vec::new(),
        _ => I::write(&shared, in_time).await.unwrap_or_else(|error| for_each(error, asked)),
    }
    .into_iter();
    let mut answer = |waits| if waits { answers.next() } else { None };
    waits
        .into_iter()
        .map(|waits| answer(waits).unwrap_or_else(|| Err(StoreError::Unavailable(Box::new(Late)))))
        .collect()
}

/// The same error for all of a batch.
fn for_each<T>(error: StoreError, count: usize) -> Vec<Result<T, StoreError>> {
    let error = Arc::new(error);
    let one = |_| match &*error {
        StoreError::Full => Err(StoreError::Full),
        StoreError::Unreadable(_) => Err(StoreError::Unreadable(Box::new(Common(Arc::clone(&error))))),
        _ => Err(StoreError::Unavailable(Box::new(Common(Arc::clone(&error))))),
    };
    (0..count).map(one).collect()
}

/// It waited for too long for its turn, and was not written.
#[derive(Debug, thiserror::Error)]
#[error("the store is too slow")]
struct Late;

/// An error of many at once.
#[derive(Debug)]
struct Common(Arc<StoreError>);

impl fmt::Display for Common {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl Error for Common {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
