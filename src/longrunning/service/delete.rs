//! `DeleteOperation`: forgets an operation that has ended. One that has not is left alone, as it would be nobody's
//! then: to delete does not cancel.

use tonic::Status;

use super::{Caller, unavailable};
use crate::{operation::OperationId, store::Part};

pub(super) async fn delete(caller: &Caller, id: OperationId) -> Result<(), Status> {
    if caller.hub.forget(id, caller.owner()).await.map_err(|error| unavailable(&error))? {
        return Ok(());
    }
    caller.read(id, Part::Status).await?;
    Err(Status::failed_precondition("The operation is not done: it is to be canceled first"))
}
