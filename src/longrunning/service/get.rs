//! `GetOperation`

use tonic::Status;

use super::Caller;
use crate::{
    longrunning::{messages::Operation, operation},
    operation::OperationId,
    store::Part,
};

pub(super) async fn get(caller: &Caller, id: OperationId) -> Result<Operation, Status> {
    Ok(operation::of(&caller.read(id, Part::Reply).await?))
}
