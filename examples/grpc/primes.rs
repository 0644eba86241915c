//! The service `primes.v1.Primes`, written as if no layer were there, but for the progress that it tells.

use tokio::{sync::mpsc, task};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tower_respond_async::{OperationHandle, Progress};

use crate::{
    gaps::{self, NotFound},
    generated::primes::{
        FindGapRequest, Gap, IsPrimeRequest, IsPrimeResponse, ListRequest, Prime, primes_server::Primes,
    },
    sieve::Sieve,
};

/// The largest number that is looked at.
const LARGEST: u64 = 1_000_000_000_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Arithmetic;

#[tonic::async_trait]
impl Primes for Arithmetic {
    async fn find_gap(&self, request: Request<FindGapRequest>) -> Result<Response<Gap>, Status> {
        let operation = request.extensions().get::<OperationHandle>().cloned();
        let FindGapRequest { length, from, to } = request.into_inner();
        let (from, to) = range(from, to)?;

        // A blocking thread outlives the future that waits for it. The handle tells it when that is gone, whether the
        // client has hung up or the operation was canceled.
        let search = task::spawn_blocking(move || {
            let is_canceled = || operation.as_ref().is_some_and(OperationHandle::is_canceled);
            gaps::find(length, (from, to), is_canceled, |at, longest| {
                if let Some(operation) = &operation {
                    let part = (at - from) as f64 / (to - from).max(1) as f64;
                    operation.set_progress(Progress::new(part).message(format!("{at}: the longest is {longest}")));
                }
            })
        });
        match search.await.map_err(|error| Status::from_error(error.into()))? {
            Ok(gap) => Ok(Response::new(gap)),
            Err(NotFound::InRange { longest }) => Err(no_gap(length, longest)),
            Err(NotFound::Canceled) => Err(Status::cancelled("the search was canceled")),
        }
    }

    async fn is_prime(&self, request: Request<IsPrimeRequest>) -> Result<Response<IsPrimeResponse>, Status> {
        let (number, _) = range(request.into_inner().number, LARGEST)?;
        let is_prime = number >= 2 && (2..=number.isqrt()).all(|divisor| number % divisor != 0);
        Ok(Response::new(IsPrimeResponse { is_prime }))
    }

    type ListStream = ReceiverStream<Result<Prime, Status>>;

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let ListRequest { from, to } = request.into_inner();
        let (from, to) = range(from, to)?;
        let (sender, receiver) = mpsc::channel(16);
        task::spawn_blocking(move || {
            let segments = Sieve::new(from, to);
            for number in segments.flat_map(|segment| segment.primes().collect::<Vec<_>>()) {
                if sender.blocking_send(Ok(Prime { number })).is_err() {
                    return; // The client has hung up.
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// The range that a request asks for.
fn range(from: u64, to: u64) -> Result<(u64, u64), Status> {
    let to = if to == 0 { LARGEST } else { to };
    let wrong = if to > LARGEST {
        ("to", format!("expected at most {LARGEST}"))
    } else if from > to {
        ("from", format!("expected at most {to}"))
    } else {
        return Ok((from, to));
    };
    let message = format!("{}: {}", wrong.0, wrong.1);
    let details = ErrorDetails::with_bad_request_violation(wrong.0, wrong.1);
    Err(Status::with_error_details(Code::InvalidArgument, message, details))
}

fn no_gap(length: u64, longest: u64) -> Status {
    let longest = longest.to_string();
    let message = format!("there is no gap of {length}: the longest is {longest}");
    let details = ErrorDetails::with_error_info("NO_SUCH_GAP", "primes.v1", [("longest".to_owned(), longest)]);
    Status::with_error_details(Code::NotFound, message, details)
}
