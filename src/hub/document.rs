//! The status document: what there is to say of an operation, as JSON.
//!
//! A durable operation whose attempts have failed without a reply has `attempts`, the latest last: the number of each,
//! why it failed, and when.

use bytes::Bytes;

use crate::{
    http::{
        json::{self, Object},
        problem,
    },
    hub::Place,
    operation::{Ending, Failure, OperationId, Progress, Reply, State, Timestamp, id},
    store::{FailedAttempt, Snapshot},
};

/// The status document of one operation.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) id: OperationId,
    pub(crate) state: State,
    pub(crate) created: Timestamp,
    pub(crate) progress: Option<&'a Progress>,
    pub(crate) failed_attempts: &'a [FailedAttempt],
    pub(crate) end: Option<Ended<'a>>,
}

/// What there is to say once the operation has ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    reply: &'a Reply,
    finished: Timestamp,
    expires: Timestamp,
    place: Place<'a>,
}

impl<'a> Document<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot, place: Place<'a>) -> Self {
        let ended = snapshot.end.as_ref().map(|end| Ended {
            reply: &end.reply,
            finished: end.at,
            expires: end.at.after(snapshot.terms.policy.retention),
            place,
        });
        Self {
            id: snapshot.id,
            state: snapshot.state(),
            created: snapshot.created,
            progress: snapshot.progress.as_ref().map(|report| &report.progress),
            failed_attempts: &snapshot.failed_attempts,
            end: ended,
        }
    }

    pub(crate) fn to_json(&self) -> Bytes {
        let mut json = Vec::with_capacity(self.length());
        self.write_to(&mut json);
        json.into()
    }

    /// About how long it is, without messages.
    pub(crate) fn length(&self) -> usize {
        self.end.as_ref().map_or(192, |ended| 384 + ended.place.length())
    }

    pub(crate) fn write_to(&self, json: &mut Vec<u8>) {
        json::object(json, |document| self.write(document));
    }

    pub(crate) fn write(&self, document: &mut Object<'_>) {
        document.plain("id", self.id.encode(&mut [0; id::TEXT_LENGTH]));
        document.plain("status", self.state.as_str());
        write_time(document, "created", self.created);
        if let Some(progress) = self.progress {
            document.object("progress", |written| {
                written.float("fraction", progress.fraction());
                if !progress.text().is_empty() {
                    written.string("message", progress.text());
                }
            });
        }
        if !self.failed_attempts.is_empty() {
            self.write_attempts(document);
        }
        if let Some(ended) = &self.end {
            ended.write(document);
        }
    }

    fn write_attempts(&self, document: &mut Object<'_>) {
        document.array("attempts", |attempts| {
            for failed in self.failed_attempts {
                attempts.object(|attempt| {
                    attempt.integer("attempt", failed.number.into());
                    attempt.plain("code", reason(failed.failure).name());
                    write_time(attempt, "at", failed.at);
                });
            }
        });
    }
}

impl Ended<'_> {
    fn write(&self, document: &mut Object<'_>) {
        write_time(document, "finished", self.finished);
        write_time(document, "expires", self.expires);
        if self.reply.state() != State::Succeeded {
            document.object("error", |error| self.write_error(error));
        }
        // The name under which Azure's clients look for the result.
        document.written("resourceLocation", |buffer| self.place.write_result(buffer));
    }

    fn write_error(&self, error: &mut Object<'_>) {
        match absence(self.reply.ending()) {
            Some(kind) => {
                error.string("code", kind.name());
                error.string("message", kind.title());
            }
            None => {
                error.string("code", self.reply.status().as_str());
                error.string(
                    "message",
                    self.reply.status().canonical_reason().unwrap_or("The handler reported an error"),
                );
            }
        }
    }
}

fn write_time(object: &mut Object<'_>, key: &str, time: Timestamp) {
    object.written(key, |buffer| buffer.extend_from_slice(&time.to_ascii()));
}

/// The problem that says why there is no reply of the handler. `None` where there is one.
pub(crate) fn absence(ending: Ending) -> Option<problem::Kind> {
    match ending {
        Ending::Replied => None,
        Ending::Canceled => Some(problem::Kind::Canceled),
        Ending::Failed(failure) => Some(reason(failure)),
    }
}

fn reason(failure: Failure) -> problem::Kind {
    match failure {
        Failure::Panicked => problem::Kind::Panicked,
        Failure::ServiceError => problem::Kind::ServiceError,
        Failure::TimedOut => problem::Kind::TimedOut,
        Failure::ReplyTooLarge => problem::Kind::ReplyTooLarge,
        Failure::Interrupted => problem::Kind::Interrupted,
        Failure::Lost => problem::Kind::Lost,
    }
}
