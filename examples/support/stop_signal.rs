//! When a server is to stop.

use tokio::signal;

/// Waits for Ctrl-C, or for the `SIGTERM` that service managers send, which is listened to as soon as this returns.
pub(crate) fn stop_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminated = {
        let listening = signal::unix::signal(signal::unix::SignalKind::terminate());
        async {
            match listening {
                Ok(mut terminated) => terminated.recv().await,
                Err(_) => std::future::pending().await,
            }
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();

    async {
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = terminated => {}
        }
    }
}
