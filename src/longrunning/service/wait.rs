//! `WaitOperation`: the operation as soon as it is done, or as it is when the wait is over.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use super::Caller;
use crate::{
    longrunning::{messages::Operation, operation},
    operation::OperationId,
    policy::Policy,
    store::Part,
};

pub(super) async fn wait(
    caller: &Caller,
    id: OperationId,
    timeout: Option<prost_types::Duration>,
) -> Result<Operation, Status> {
    let begun = Instant::now();
    let timeout = timeout.map(Duration::try_from).transpose();
    let timeout = timeout.map_err(|_| Status::invalid_argument("timeout: expected a positive duration"))?;
    // Watched before it is read, so that nothing falls between.
    let mut watch = caller.hub.watchers.watch(id);
    let mut snapshot = caller.read(id, Part::Status).await?;
    let until = begun + longest(caller, timeout, &snapshot.terms.policy);
    let mut more = true;
    while more && snapshot.end.is_none() && Instant::now() < until {
        more = caller.hub.changed(&mut watch, until).await;
        snapshot = caller.read(id, Part::Status).await?;
    }
    Ok(operation::of(&caller.read_whole(snapshot).await?))
}

/// What all allow who have a say in it.
fn longest(caller: &Caller, timeout: Option<Duration>, policy: &Policy) -> Duration {
    /// Of times that are too long to be added to a moment.
    const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    let longest_wait = if policy.honor_wait { policy.longest_wait } else { Duration::ZERO };
    [timeout, caller.sender.time_to_answer].into_iter().flatten().fold(longest_wait.min(FOR_EVER), Duration::min)
}
