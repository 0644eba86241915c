//! How a server ends.

use std::time::Duration;

use tokio::time;
use tokio_util::sync::CancellationToken;
use tower_respond_async::Operations;
use tracing::{info, warn};

use crate::stop_signal::stop_signal;

/// How long running operations may go on once the server is to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long connections may take to end after that.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// How long it may take, once somebody is out of patience, to hand to others what still runs.
const HASTE: Duration = Duration::from_secs(2);

/// Waits for a signal, which is listened to as soon as this returns; then for operations to end, then for connections.
/// Whoever holds either longer is not waited for. After a second signal, operations end at once, and nobody is waited
/// for.
pub(crate) fn shut_down(operations: Operations, closing: CancellationToken) -> impl Future<Output = ()> {
    let first_signal = stop_signal();
    async move {
        first_signal.await;
        let end = async {
            let drained = operations.drain(GRACE).await;
            info!(finished = drained.finished, interrupted = drained.interrupted, "drained");
            closing.cancel();
            time::sleep(CLOSING_TIME).await;
            warn!("some connections did not end in time");
        };
        tokio::select! {
            () = end => {}
            () = stop_signal() => drop(time::timeout(HASTE, operations.drain(Duration::ZERO)).await),
        }
    }
}
