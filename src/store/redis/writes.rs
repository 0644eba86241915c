//! What is done to single operations: written together with what others write at the same moment, and read so too.

use std::{collections::HashSet, iter, sync::Arc, time::Duration};

use redis::Value;

use super::{
    Link,
    answer::{Fields, Malformed, owner_field},
    bodies::whole,
    connection::{Connection, unavailable},
    keys::Keys,
    record::{self, Record},
    scripts::{Call, WRITE},
    terms::{Digest, millis},
};
use crate::{
    operation::{Ending, Failure, OperationId, Owner, Refused, Reply, Report, State, Timestamp},
    store::{
        StoreError,
        contract::{Attempt, Cancellation, Created, End, Finished, NewOperation, Part, Snapshot},
    },
};

/// So many are written by one script, which takes a few milliseconds, and read at a time.
pub(super) const TOGETHER: usize = 128;

/// How long what this release cannot read is left to others.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(60);

/// One thing to be done by the script that writes.
#[derive(Debug)]
pub(super) struct Intent {
    name: &'static str,
    arguments: Vec<Vec<u8>>,
    /// The terms of what is created.
    terms: Option<(Digest, Vec<u8>)>,
}

impl Intent {
    fn new(name: &'static str, arguments: Vec<Vec<u8>>) -> Self {
        Self { name, arguments, terms: None }
    }

    /// Adds this to the call. Terms are said in full only where their digest is met first.
    fn add_to(&self, call: Call, met: &mut HashSet<Digest>) -> Call {
        let Self { name, arguments, terms } = self;
        let terms = terms.iter().flat_map(|(digest, entry)| {
            let entry = met.insert(*digest).then_some(entry.as_slice());
            iter::once(digest.as_slice()).chain(entry)
        });
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).chain(terms).collect();
        let call = call.bytes(name.as_bytes()).number(arguments.len() as u64);
        arguments.into_iter().fold(call, Call::bytes)
    }
}

/// A record, and the time at which it was read.
pub(super) type Found = (Timestamp, Option<Vec<u8>>);

/// Does all of these in one script.
pub(super) async fn write(
    connection: Arc<Connection>,
    keys: Arc<Keys>,
    instance: [u8; 8],
    intents: Vec<Intent>,
) -> Vec<Result<Value, StoreError>> {
    let mut met = HashSet::new();
    let call = Call::new(&WRITE, &keys, instance);
    let call = intents.iter().fold(call, |call, intent| intent.add_to(call, &mut met));
    match connection.write(&call).await {
        Ok(Value::Array(answers)) if answers.len() == intents.len() => answers.into_iter().map(Ok).collect(),
        Ok(_) => intents.iter().map(|_| Err(Malformed("answer").into())).collect(),
        Err(error) => for_all(intents.len(), error),
    }
}

/// Reads all of these with one script.
pub(super) async fn read(
    connection: Arc<Connection>,
    keys: Arc<Keys>,
    ids: Vec<OperationId>,
) -> Vec<Result<Found, StoreError>> {
    let call = ids.iter().fold(Call::read(&keys), |call, id| call.bytes(&id.to_bytes()));
    let found = async { Ok(found(connection.script(&call).await?)?) };
    match found.await {
        Ok(found) if found.len() == ids.len() => found.into_iter().map(Ok).collect(),
        Ok(_) => ids.iter().map(|_| Err(Malformed("answer").into())).collect(),
        Err(error) => for_all(ids.len(), error),
    }
}

fn found(answer: Value) -> Result<Vec<Found>, Malformed> {
    let mut answer = Fields::of(answer)?;
    let (now, mut fields) = (answer.clock()?, answer.fields()?);
    let mut records = Vec::new();
    while let Some(field) = fields.next() {
        match field {
            Value::Nil => records.push((now, None)),
            Value::BulkString(record) => records.push((now, Some(record))),
            _ => return Err(Malformed("record")),
        }
    }
    Ok(records)
}

/// What was to be done together has failed together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Together(#[source] Arc<StoreError>);

fn for_all<T>(count: usize, error: StoreError) -> Vec<Result<T, StoreError>> {
    let error = Arc::new(error);
    (0..count).map(|_| Err(unavailable(Together(Arc::clone(&error))))).collect()
}

impl Link {
    pub(super) async fn create(&self, operation: NewOperation) -> Result<Created, StoreError> {
        if operation.request.is_some() && !self.keeps {
            return Err(StoreError::Unsupported("durable execution in a Redis that evicts"));
        }
        let request = match &operation.request {
            Some(request) => self.keep_request(request).await?,
            None => Vec::new(),
        };
        let terms = self.terms.introduce(&operation.terms);
        let key = operation.key.map(|key| (key.name.to_vec(), key.request.to_vec())).unwrap_or_default();
        let arguments = vec![
            operation.id.to_bytes().to_vec(),
            owner_field(operation.owner.as_ref()),
            key.0,
            key.1,
            operation.lease.map_or_else(Vec::new, |lease| decimal(lease.0)),
            request,
        ];
        let answer = self.creates.write(Intent { name: "create", arguments, terms: Some(terms) }).await?;
        let (verdict, mut fields) = Fields::verdict(answer).map_err(full_if_out_of_memory)?;
        match &*verdict {
            "new" => Ok(Created::New { at: fields.time()? }),
            "key-taken" => Ok(Created::KeyTaken),
            "existing" => {
                let (id, record, now) = (fields.id()?, fields.bytes()?, fields.time()?);
                let existing = self.snapshot(id, Record::read(&record)?, now, Part::Reply).await?;
                existing.map(Created::Existing).ok_or(StoreError::Refused(Refused::Unknown))
            }
            _ => Err(Malformed("verdict").into()),
        }
    }

    pub(super) async fn read(
        &self,
        id: OperationId,
        owner: Option<&Owner>,
        part: Part,
    ) -> Result<Option<Snapshot>, StoreError> {
        let (now, record) = self.reads.write(id).await?;
        let Some(record) = record.map(|record| Record::read(&record)).transpose()? else { return Ok(None) };
        if record.owner.as_ref() != owner || record.is_expired(now) {
            return Ok(None);
        }
        self.snapshot(id, record, now, part).await
    }

    pub(super) async fn finish(&self, attempt: Attempt, reply: &Reply) -> Result<Finished, StoreError> {
        let body = self.keep_reply(reply).await?;
        let (state, size) = (record::state_number(reply.state()), reply.size() as u64);
        let arguments = vec![decimal(state), decimal(size), body];
        let finished = self.attempt("finish", attempt, arguments, reply).await?;
        finished.ok_or_else(|| Malformed("verdict").into())
    }

    pub(super) async fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> Result<Cancellation, StoreError> {
        let reply = Reply::none(Ending::Canceled);
        let arguments = vec![id.to_bytes().to_vec(), owner_field(owner), whole(&reply.to_record())];
        match self.write(Intent::new("cancel", arguments)).await {
            Ok((_, fields)) => Ok(Cancellation::Canceled(self.finished(fields, &reply).await?)),
            Err(StoreError::Refused(Refused::Ended(_))) => Ok(Cancellation::AlreadyEnded),
            Err(StoreError::Refused(Refused::Unknown)) => Ok(Cancellation::Unknown),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn forget(&self, id: OperationId, owner: Option<&Owner>) -> Result<bool, StoreError> {
        let arguments = vec![id.to_bytes().to_vec(), owner_field(owner)];
        match self.write(Intent::new("forget", arguments)).await {
            Ok(_) => Ok(true),
            Err(StoreError::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn report(&self, attempt: Attempt, report: &Report) -> Result<(), StoreError> {
        let none = Reply::none(Ending::Replied);
        self.attempt("report", attempt, vec![record::progress(report)], &none).await.map(|_| ())
    }

    pub(super) async fn retry(&self, attempt: Attempt, failure: Failure) -> Result<Option<Finished>, StoreError> {
        let arguments = vec![failure.as_str().into(), failed(failure)];
        self.attempt("retry", attempt, arguments, &Reply::none(Ending::Failed(failure))).await
    }

    pub(super) async fn hand_back(&self, attempt: Attempt) -> Result<Option<Finished>, StoreError> {
        let failure = Failure::Interrupted;
        self.attempt("hand_back", attempt, vec![failed(failure)], &Reply::none(Ending::Failed(failure))).await
    }

    /// Leaves the operation to others for a while: the attempt does not count.
    pub(super) async fn leave(&self, attempt: Attempt) -> Result<(), StoreError> {
        let none = Reply::none(Ending::Replied);
        match self.attempt("leave", attempt, vec![decimal(millis(LEFT_TO_OTHERS))], &none).await {
            Ok(_) | Err(StoreError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Does what belongs to an attempt. Returns how its operation ended by this, if it did.
    async fn attempt(
        &self,
        name: &'static str,
        attempt: Attempt,
        arguments: Vec<Vec<u8>>,
        reply: &Reply,
    ) -> Result<Option<Finished>, StoreError> {
        let of = vec![attempt.operation.to_bytes().to_vec(), decimal(attempt.number)];
        let (verdict, fields) = self.write(Intent::new(name, [of, arguments].concat())).await?;
        match &*verdict {
            "finished" => self.finished(fields, reply).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn write(&self, intent: Intent) -> Result<(String, Fields), StoreError> {
        Fields::verdict(self.writes.write(intent).await?)
    }

    pub(super) async fn finished(&self, mut fields: Fields, reply: &Reply) -> Result<Finished, StoreError> {
        let (state, digest, run_time, ran) =
            (fields.state()?, fields.digest()?, fields.number()?, fields.number()? > 0);
        let terms = self.terms.of(digest, &self.connection, &self.keys).await?.ok_or(Malformed("digest"))?;
        Ok(Finished { state, ..Finished::with(reply, terms, Duration::from_millis(run_time), ran) })
    }

    /// The operation that this record is of; none where it was forgotten meanwhile.
    pub(super) async fn snapshot(
        &self,
        id: OperationId,
        record: Record,
        now: Timestamp,
        part: Part,
    ) -> Result<Option<Snapshot>, StoreError> {
        let progress = record.progress()?;
        let Record { life, created, ended, terms, failed, rest, .. } = record;
        let Some(terms) = self.terms.of(terms, &self.connection, &self.keys).await? else { return Ok(None) };
        let end = match life.state {
            State::Queued | State::Running => None,
            State::Succeeded | State::Failed | State::Canceled => {
                let Some(reply) = self.reply(&rest, part).await? else { return Ok(None) };
                Some(Arc::new(End { reply, at: ended }))
            }
        };
        Ok(Some(Snapshot { id, created, now, terms, life, progress, failed_attempts: failed, end }))
    }
}

/// What is kept as the reply of an operation that has failed so.
pub(super) fn failed(failure: Failure) -> Vec<u8> {
    whole(&Reply::none(Ending::Failed(failure)).to_record())
}

fn full_if_out_of_memory(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(source) if source.to_string().contains("OOM ") => StoreError::Full,
        other => other,
    }
}

fn decimal(number: impl Into<i128>) -> Vec<u8> {
    number.into().to_string().into_bytes()
}
