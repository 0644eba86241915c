//! Writes that share a commit.
//!
//! All of a batch is one transaction, and so one flush to the disk; nobody is answered before it. What is refused has
//! changed nothing, and so does not concern the others. A write that breaks the transaction is left out of the next
//! try.
//!
//! Handing a statement to the connection takes longer than SQLite needs for it, so writes of the kinds of which many
//! come at once are done in groups. These come before the others: all of a batch wait at the same time, so that one
//! order is as good as any.

use std::{any::Any, collections::HashSet, sync::Arc, time::Instant};

use super::{
    super::StoreError,
    batch::{Answered, AnyWrite, Batch, GroupWrite},
    bell,
    create::Create,
    database::Database,
    finish::Finish,
};

/// Writes all of them, and answers for each, in their order.
pub(super) async fn write_together(database: &Database, writes: &[Box<dyn AnyWrite>]) -> Vec<Answered> {
    let mut answers: Vec<Option<Answered>> = writes.iter().map(|_| None).collect();
    let mut in_groups = true;
    while answers.iter().any(Option::is_none) {
        match try_together(database, writes, &mut answers, in_groups).await {
            Ok(()) => break,
            Err(Broken::One(write, error)) => answers[write] = Some(Err(error)),
            Err(Broken::Group) => in_groups = false,
            Err(Broken::All(error)) => {
                let error = Arc::new(error);
                let same = || Some(Err(StoreError::Unavailable(Box::new(Arc::clone(&error)))));
                answers.iter_mut().filter(|answer| answer.is_none()).for_each(|answer| *answer = same());
            }
        }
    }
    answers.into_iter().flatten().collect()
}

/// What there was no commit for, and why.
enum Broken {
    /// This write, for its own fault.
    One(usize, StoreError),
    /// Each of a group; whose fault it is, turns out when each is written by itself.
    Group,
    /// All, for no fault of theirs.
    All(StoreError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::All(error)
    }
}

/// A write and its place in the batch.
type Numbered<'a> = (usize, &'a dyn AnyWrite);

/// One transaction for all that have no answer yet. A connection on which anything went wrong is given up, and what was
/// not committed with it.
async fn try_together(
    database: &Database,
    writes: &[Box<dyn AnyWrite>],
    answers: &mut [Option<Answered>],
    in_groups: bool,
) -> Result<(), Broken> {
    let connections = database.connections().await?;
    let mut place = connections.writer.lock().await;
    let connection = match place.take() {
        Some(connection) => connection,
        None => connections.connect().await?,
    };
    let began = Instant::now();
    let mut batch = Batch::begin(connection, database.room()).await?;
    let numbered = writes.iter().map(|write| &**write).enumerate();
    let waiting = numbered.filter(|(number, _)| answers[*number].is_none()).collect();
    match write_all(&mut batch, waiting, in_groups).await {
        Ok(written) => {
            *place = Some(batch.commit().await?);
            bell::ring(&connections.log);
            database.load.written(began.elapsed());
            for (number, answer) in written {
                answers[number] = Some(answer);
            }
            Ok(())
        }
        Err(broken) => {
            batch.give_up().await;
            Err(broken)
        }
    }
}

async fn write_all(
    batch: &mut Batch,
    mut waiting: Vec<Numbered<'_>>,
    in_groups: bool,
) -> Result<Vec<(usize, Answered)>, Broken> {
    let mut written = Vec::with_capacity(waiting.len());
    if in_groups {
        write_group::<Create>(batch, &mut waiting, &mut written).await?;
        write_group::<Finish>(batch, &mut waiting, &mut written).await?;
    }
    for (number, write) in waiting {
        match write.write_any(batch).await {
            Err(error @ StoreError::Unavailable(_)) => return Err(Broken::One(number, error)),
            answer => written.push((number, answer)),
        }
    }
    Ok(written)
}

/// Writes those of one kind that may be in a group.
async fn write_group<W: GroupWrite>(
    batch: &mut Batch,
    waiting: &mut Vec<Numbered<'_>>,
    written: &mut Vec<(usize, Answered)>,
) -> Result<(), Broken> {
    let (mut numbers, mut group, mut operations) = (Vec::new(), Vec::new(), HashSet::new());
    waiting.retain(|(number, write)| {
        let write: &dyn Any = *write;
        let grouped =
            write.downcast_ref::<W>().filter(|write| write.in_group().is_some_and(|id| operations.insert(id)));
        numbers.extend(grouped.map(|_| *number));
        group.extend(grouped);
        grouped.is_none()
    });
    if group.is_empty() {
        return Ok(());
    }
    let answers = W::write_group(&group, batch).await.map_err(|_| Broken::Group)?;
    let answers = answers.into_iter().map(|answer| answer.map(|answer| Box::new(answer) as Box<dyn Any + Send>));
    written.extend(numbers.into_iter().zip(answers));
    Ok(())
}
