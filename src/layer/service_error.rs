//! What stands in for the reply of a service that returned an error.

use std::error::Error;

use bytes::Bytes;
use http::Response;
use tracing::error;

use crate::http::problem::{Kind, Problem};

/// Turns the error of a service into the reply of its operation. Any `Fn(E) -> Response<Bytes>` does.
pub trait MapServiceError<E> {
    /// The reply that stands in. The operation fails with `service-error` whatever its status.
    fn map(&self, error: E) -> Response<Bytes>;
}

impl<E, F> MapServiceError<E> for F
where
    F: Fn(E) -> Response<Bytes>,
{
    fn map(&self, error: E) -> Response<Bytes> {
        self(error)
    }
}

/// The default: logs the error, and replies with a problem document that does not repeat it, since it may say more
/// than clients should know.
///
/// With the feature `grpc`, an error that is a `tonic::Status`, and so meant for clients, is the reply.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ServiceErrorProblem;

impl<E> MapServiceError<E> for ServiceErrorProblem
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn map(&self, error: E) -> Response<Bytes> {
        let error: Box<dyn Error + Send + Sync> = error.into();
        error!(error = &*error as &dyn Error, "service failed after its request was detached");
        #[cfg(feature = "grpc")]
        if let Some(status) = error.downcast_ref::<tonic::Status>() {
            return status.clone().into_http();
        }
        Problem::new(Kind::ServiceError).into_response()
    }
}
