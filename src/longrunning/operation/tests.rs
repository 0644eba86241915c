//! The mapping, both ways: what an operation says is what was put into it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use proptest::{option, prelude::*, sample::select};
use prost::{Message, Name};
use prost_types::Any;
use tonic::{
    Code, Status,
    codec::{CompressionEncoding, EncodeBody, SingleMessageCompressionOverride},
};
use tonic_prost::ProstEncoder;
use tonic_types::pb;

use super::*;
use crate::{
    longrunning::{
        messages::{HttpBody, operation::Result, operation_metadata},
        status::http_status,
    },
    operation::{Ending, Failure, Life, ReplyBuilder, Report},
    policy::Policy,
    store::{End, FailedAttempt},
};

const TYPE: &str = "studio.v1.Picture";

const FAILURES: [Failure; 6] = [
    Failure::Panicked,
    Failure::ServiceError,
    Failure::TimedOut,
    Failure::ReplyTooLarge,
    Failure::Interrupted,
    Failure::Lost,
];

fn call_terms() -> Terms {
    let policy = Policy { response_type: Some(TYPE.into()), max_reply: 64 * 1024, ..Policy::default() };
    Terms::new("/studio.v1.Studio/Render".into(), policy)
}

fn http_terms() -> Terms {
    Terms::new("/renders/{id}".into(), Policy::default())
}

fn reply(status: StatusCode, headers: &HeaderMap, body: &[u8], trailers: Option<&HeaderMap>) -> Arc<Reply> {
    let mut reply = ReplyBuilder::new(Ending::Replied, status, headers, body.len()).unwrap();
    reply.extend(body);
    Arc::new(reply.build(trailers).unwrap())
}

/// A reply as tonic's own server sends it.
fn replied(message: Vec<u8>, encoding: Option<CompressionEncoding>) -> Arc<Reply> {
    let messages = tokio_stream::once(Ok(message));
    let inherit = SingleMessageCompressionOverride::default();
    let body = EncodeBody::new_server(ProstEncoder::<Vec<u8>>::default(), messages, encoding, inherit, None);
    let body = tokio_test::block_on(body.collect()).unwrap();
    let trailers = body.trailers().cloned();
    let mut headers = HeaderMap::new();
    if let Some(encoding) = encoding {
        headers.insert("grpc-encoding", encoding.to_string().parse().unwrap());
    }
    reply(StatusCode::OK, &headers, &body.to_bytes(), trailers.as_ref())
}

/// What a handler fails with, as tonic's own server sends it: all in the header, or in the trailers of a reply that had
/// begun.
fn failed(status: &Status, in_trailers: bool) -> Arc<Reply> {
    let mut fields = HeaderMap::new();
    status.add_header(&mut fields).unwrap();
    let kept = http_status(status.code());
    match in_trailers {
        true => reply(kept, &HeaderMap::new(), b"", Some(&fields)),
        false => reply(kept, &fields, b"", None),
    }
}

fn result(reply: &Arc<Reply>, terms: &Terms) -> Result {
    let result = outcome::of(reply, &terms.policy, terms.policy.max_reply);
    let operation = Operation { result: Some(result), ..Operation::default() };
    // As it is after its way over the wire.
    Operation::decode(&*operation.encode_to_vec()).unwrap().result.unwrap()
}

fn response(result: Result) -> Any {
    match result {
        Result::Response(response) => response,
        Result::Error(error) => panic!("{error:?}"),
    }
}

fn error(result: Result) -> pb::Status {
    match result {
        Result::Error(error) => error,
        Result::Response(response) => panic!("{response:?}"),
    }
}

fn metadata_of(operation: &Operation) -> OperationMetadata {
    operation.metadata.as_ref().unwrap().to_msg().unwrap()
}

fn time(timestamp: prost_types::Timestamp) -> Timestamp {
    Timestamp::from_millis(timestamp.seconds as u64 * 1_000 + timestamp.nanos as u64 / 1_000_000)
}

fn state_of(metadata: &OperationMetadata) -> State {
    match metadata.state() {
        operation_metadata::State::Unspecified => panic!("no state"),
        operation_metadata::State::Queued => State::Queued,
        operation_metadata::State::Running => State::Running,
        operation_metadata::State::Succeeded => State::Succeeded,
        operation_metadata::State::Failed => State::Failed,
        operation_metadata::State::Canceled => State::Canceled,
    }
}

/// Every operation that can be read, but for its reply.
fn snapshots() -> impl Strategy<Value = Snapshot> {
    let replies = prop_oneof![
        (100..600_u16).prop_map(|status| Reply::head(Ending::Replied, StatusCode::from_u16(status).ok())),
        select(&FAILURES[..]).prop_map(|failure| Reply::none(Ending::Failed(failure))),
        Just(Reply::none(Ending::Canceled)),
    ];
    let times = 0..253_402_300_000_000_u64;
    let ends = option::of((replies, times.clone()));
    let progress = option::of((0.0..=1.0_f64, "\\PC{0,20}", 1..9_u64));
    let failures = prop::collection::vec((select(&FAILURES[..]), times.clone()), 0..4);
    (any::<[u8; 16]>(), times, ends, progress, failures, 0..9_u32, any::<bool>()).prop_map(
        |(id, created, end, progress, failures, attempt, queued)| {
            let end = end.map(|(reply, at)| Arc::new(End { reply, at: Timestamp::from_millis(at) }));
            let going_on = if queued { State::Queued } else { State::Running };
            let state = end.as_ref().map_or(going_on, |end| end.reply.state());
            let failed_attempts: Vec<_> = failures
                .into_iter()
                .zip(1..)
                .map(|((failure, at), number)| FailedAttempt { number, failure, at: Timestamp::from_millis(at) })
                .collect();
            Snapshot {
                id: OperationId::from_bytes(id),
                created: Timestamp::from_millis(created),
                now: Timestamp::from_millis(created),
                terms: Arc::new(http_terms()),
                life: Life { state, attempt, failures: failed_attempts.len() as u32 },
                progress: progress
                    .map(|(fraction, text, number)| Report { number, progress: Progress::new(fraction).message(text) }),
                failed_attempts,
                end,
            }
        },
    )
}

fn encodings() -> impl Strategy<Value = Option<CompressionEncoding>> {
    option::of(select(vec![CompressionEncoding::Gzip, CompressionEncoding::Deflate, CompressionEncoding::Zstd]))
}

fn details() -> impl Strategy<Value = Vec<Any>> {
    let detail = ("[a-z./]{1,20}", prop::collection::vec(any::<u8>(), 0..50));
    prop::collection::vec(detail.prop_map(|(type_url, value)| Any { type_url, value }), 0..3)
}

proptest! {
    #[test]
    fn an_operation_says_what_is_known_of_it(snapshot in snapshots()) {
        let operation = Operation::decode(&*of(&snapshot).encode_to_vec()).unwrap();
        let said = metadata_of(&operation);
        prop_assert_eq!(name::parse(&operation.name), Some(snapshot.id));
        prop_assert_eq!(operation.done, snapshot.state().is_terminal());
        prop_assert_eq!(operation.result.is_some(), operation.done);
        let is_response = matches!(operation.result, Some(Result::Response(_)));
        prop_assert_eq!(is_response, snapshot.state() == State::Succeeded);
        prop_assert_eq!(&said.route, "/renders/{id}");
        prop_assert_eq!(state_of(&said), snapshot.state());
        prop_assert_eq!(said.create_time.map(time), Some(snapshot.created));
        let end = snapshot.end.as_ref().map(|end| end.at);
        prop_assert_eq!(said.end_time.map(time), end);
        prop_assert_eq!(said.expire_time.map(time), end.map(|end| end.after(Duration::from_secs(600))));
        prop_assert_eq!(said.attempt, snapshot.life.attempt);
        let progress = said.progress.map(|progress| Progress::new(progress.fraction).message(progress.message));
        prop_assert_eq!(progress, snapshot.progress.map(|report| report.progress));
        let failed: Vec<_> = said.failed_attempts.iter().map(|failed| FailedAttempt {
            number: failed.number,
            failure: Failure::named(&failed.reason).unwrap(),
            at: failed.fail_time.map(time).unwrap(),
        }).collect();
        prop_assert_eq!(failed, snapshot.failed_attempts);
    }

    #[test]
    fn a_message_is_the_one_that_was_sent(
        message in prop::collection::vec(any::<u8>(), 0..3_000), encoding in encodings(),
    ) {
        let response = response(result(&replied(message.clone(), encoding), &call_terms()));
        prop_assert_eq!(response.type_url, format!("type.googleapis.com/{TYPE}"));
        prop_assert_eq!(response.value, message.encode_to_vec());
    }

    #[test]
    fn an_error_is_the_one_that_the_handler_ended_with(
        code in 1..=16, message in "\\PC{0,40}", details in details(), in_trailers: bool,
    ) {
        let said = pb::Status { code, message, details };
        let status =
            Status::with_details(Code::from_i32(code), said.message.clone(), said.encode_to_vec().into());
        prop_assert_eq!(error(result(&failed(&status, in_trailers), &call_terms())), said);
    }

    #[test]
    fn an_answer_over_http_is_a_body(
        status in 200..600_u16, content_type in option::of("[a-z]{1,9}/[a-z]{1,9}"),
        data in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut headers = HeaderMap::new();
        if let Some(value) = &content_type {
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
        }
        let reply = reply(StatusCode::from_u16(status).unwrap(), &headers, &data, None);
        let result = result(&reply, &http_terms());
        let body: HttpBody = match (status < 400, result) {
            (true, Result::Response(response)) => response.to_msg().unwrap(),
            (false, Result::Error(error)) => {
                prop_assert_ne!(error.code, 0);
                error.details[0].to_msg().unwrap()
            }
            (_, other) => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert_eq!(body.content_type, content_type.unwrap_or_default());
        prop_assert_eq!(body.data, data);
    }

    #[test]
    fn whatever_was_kept_is_read(
        status in option::of("\\PC{0,3}|[0-9]{1,3}"), message in "[ -~]{0,30}", details in "[ -~]{0,30}",
        encoding in option::of("gzip|deflate|zstd|identity|br|[ -~]{0,9}"),
        body in prop::collection::vec(any::<u8>(), 0..40), flag in 0..3_u8, in_trailers: bool,
    ) {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        let mut said = HeaderMap::new();
        if let Some(status) = &status {
            said.insert("grpc-status", value(status));
        }
        said.insert("grpc-message", value(&message));
        said.insert("grpc-status-details-bin", value(&details));
        let mut headers = if in_trailers { HeaderMap::new() } else { said.clone() };
        if let Some(encoding) = &encoding {
            headers.insert("grpc-encoding", value(encoding));
        }
        let frame = [&[flag], &(body.len() as u32).to_be_bytes()[..], &body].concat();
        for body in [&frame[..], &body] {
            let reply = reply(StatusCode::OK, &headers, body, in_trailers.then_some(&said));
            match result(&reply, &call_terms()) {
                Result::Response(_) => prop_assert_eq!(status.as_deref(), Some("0")),
                Result::Error(error) => prop_assert_ne!(error.code, 0),
            }
        }
    }
}

#[test]
fn a_message_that_is_too_long_or_broken_is_an_internal_error() {
    let bomb = replied(vec![0; 1024 * 1024], Some(CompressionEncoding::Zstd));
    assert!(bomb.size() < 1024, "{}", bomb.size());
    let ok = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let of = |body: &[u8]| reply(StatusCode::OK, &ok, body, None);
    let broken = [bomb, of(b""), of(&[0, 0, 0, 0, 9, 1]), of(&[0; 10]), of(&[1, 0, 0, 0, 1, 1]), of(&[9; 5])];
    for broken in broken {
        let error = error(result(&broken, &call_terms()));
        assert_eq!(error.code, i32::from(Code::Internal));
        assert!(error.message.starts_with("the reply cannot be read: "), "{}", error.message);
    }
}

#[test]
fn an_absent_reply_says_why() {
    let codes =
        [Code::Internal, Code::Internal, Code::DeadlineExceeded, Code::Internal, Code::Unavailable, Code::Internal];
    let reasons = ["PANICKED", "SERVICE_ERROR", "TIMED_OUT", "REPLY_TOO_LARGE", "INTERRUPTED", "LOST"];
    let failures = FAILURES.map(Ending::Failed).into_iter().zip(codes).zip(reasons);
    for ((ending, code), reason) in failures.chain([((Ending::Canceled, Code::Cancelled), "CANCELED")]) {
        for terms in [call_terms(), http_terms()] {
            let error = error(result(&Arc::new(Reply::none(ending)), &terms));
            assert_eq!(error.code, i32::from(code), "{ending:?}");
            let detail = &error.details[0];
            assert_eq!(detail.type_url, "type.googleapis.com/google.rpc.ErrorInfo");
            let info = pb::ErrorInfo::decode(&*detail.value).unwrap();
            assert_eq!((&*info.reason, &*info.domain), (reason, "tower-respond-async"));
        }
    }
}

#[test]
fn what_was_accepted_says_what_it_says_when_it_is_read() {
    let (id, created, terms) = (OperationId::random(), Timestamp::from_millis(1_234), Arc::new(call_terms()));
    let progress = Progress::new(0.5).message("half");
    for life in [Life::QUEUED, Life::RUNNING] {
        let report = Some(Report { number: 1, progress: progress.clone() });
        let (now, failed_attempts, end) = (created, Vec::new(), None);
        let snapshot =
            Snapshot { id, created, now, terms: Arc::clone(&terms), life, progress: report, failed_attempts, end };
        assert_eq!(accepted(id, &terms, life.state, created, Some(&progress)), of(&snapshot));
    }
}

#[test]
fn the_metadata_is_published_under_its_name() {
    assert_eq!(OperationMetadata::type_url(), "type.googleapis.com/tower_respond_async.v1.OperationMetadata");
    let operation = in_line(OperationId::random(), &call_terms(), &replied(vec![1], None));
    let said = metadata_of(&operation);
    assert_eq!((&*said.route, said.state()), ("/studio.v1.Studio/Render", operation_metadata::State::Succeeded));
    assert_eq!((said.create_time, said.end_time, said.attempt), (None, None, 0));
}

#[test]
fn the_body_of_a_bodiless_answer_is_empty() {
    let result = result(&reply(StatusCode::NO_CONTENT, &HeaderMap::new(), b"", None), &http_terms());
    let body: HttpBody = response(result).to_msg().unwrap();
    assert_eq!(body, HttpBody::default());
}
