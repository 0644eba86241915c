//! When a server is to stop.

use tokio::signal;

/// Waits for Ctrl-C, or for the `SIGTERM` that service managers send.
pub(crate) async fn stop_signal() {
    #[cfg(unix)]
    let terminated = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut terminated) => terminated.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();

    tokio::select! {
        _ = signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
