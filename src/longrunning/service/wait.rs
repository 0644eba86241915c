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
    let timeout = timeout.map(positive).transpose()?;
    // Watched before it is read, so that nothing falls between.
    let mut watch = caller.hub.watchers.watch(id);
    let mut snapshot = caller.read(id, Part::Reply).await?;
    let until = caller.sender.came + longest(caller, timeout, &snapshot.terms.policy);
    let mut more = true;
    while more && snapshot.end.is_none() && Instant::now() < until {
        more = caller.hub.changed(&mut watch, until).await;
        // Most often it has ended.
        snapshot = caller.read(id, Part::Reply).await?;
    }
    Ok(operation::of(&snapshot))
}

/// The duration, whose parts any client may have written: so nothing is worked out from them that could overflow.
fn positive(duration: prost_types::Duration) -> Result<Duration, Status> {
    let parts = u64::try_from(duration.seconds).ok().zip(u32::try_from(duration.nanos).ok());
    let (seconds, nanos) = parts
        .filter(|(_, nanos)| *nanos < 1_000_000_000)
        .ok_or_else(|| Status::invalid_argument("timeout: expected a positive duration"))?;
    Ok(Duration::new(seconds, nanos))
}

/// What all allow who have a say in it.
fn longest(caller: &Caller, timeout: Option<Duration>, policy: &Policy) -> Duration {
    /// Of times that are too long to be added to a moment.
    const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    let longest_wait = if policy.honor_wait { policy.longest_wait } else { Duration::ZERO };
    [timeout, caller.sender.time_to_answer].into_iter().flatten().fold(longest_wait.min(FOR_EVER), Duration::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_positive_duration_is_refused() {
        let read = |seconds, nanos| positive(prost_types::Duration { seconds, nanos }).ok();
        assert_eq!(read(1, 500_000_000), Some(Duration::from_millis(1_500)));
        assert_eq!(read(i64::MAX, 999_999_999), Some(Duration::new(i64::MAX as u64, 999_999_999)));
        for (seconds, nanos) in
            [(-1, 0), (0, -1), (i64::MIN, 0), (i64::MIN + 1, -1_000_000_000), (1, 1_000_000_000), (0, i32::MIN)]
        {
            assert_eq!(read(seconds, nanos), None, "{seconds} s, {nanos} ns");
        }
    }
}
