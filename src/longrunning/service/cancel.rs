//! `CancelOperation`: ends an operation, which stays. One that has ended stays as it is.

use tonic::Status;

use super::{Caller, unavailable};
use crate::{hub::Cancel, longrunning::status, operation::OperationId};

pub(super) async fn cancel(caller: &Caller, id: OperationId) -> Result<(), Status> {
    match caller.hub.cancel(id, caller.owner()).await.map_err(|error| unavailable(&error))? {
        Cancel::Stopping { .. } | Cancel::Told | Cancel::Stopped | Cancel::AlreadyEnded => Ok(()),
        Cancel::Unknown => Err(status::not_found()),
    }
}
