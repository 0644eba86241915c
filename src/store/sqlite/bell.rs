//! How processes that have the file open wake each other, as SQLite tells nobody of what is written.
//!
//! Who has committed opens the log and closes it again, which Linux tells all who watch it. That a log is written to
//! would tell nothing: it is so before the commit counts. Only the log may be opened so: to close any other of SQLite's
//! files would give up the process's own locks on it.

use std::{io, path::Path};

#[cfg(target_os = "linux")]
pub(super) use linux::{Bell, ring};
#[cfg(not(target_os = "linux"))]
pub(super) use nowhere::{Bell, ring};

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs::File, future::poll_fn, pin::Pin};

    use futures_core::Stream;
    use inotify::{EventStream, Inotify, WatchMask};

    use super::{Path, io};

    /// Hears of what is committed from now on, by whomever.
    #[derive(Debug)]
    pub(in super::super) struct Bell(EventStream<[u8; 1024]>);

    impl Bell {
        pub(in super::super) fn of(log: &Path) -> io::Result<Self> {
            let inotify = Inotify::init()?;
            inotify.watches().add(log, WatchMask::CLOSE_NOWRITE)?;
            Ok(Self(inotify.into_event_stream([0; 1024])?))
        }

        /// Waits until it is rung, where it has not been since this was asked last.
        ///
        /// Cancel safe.
        pub(in super::super) async fn rung(&mut self) -> io::Result<()> {
            let event = poll_fn(|context| Pin::new(&mut self.0).poll_next(context)).await;
            event.map_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()), |event| event.map(drop))
        }
    }

    /// Tells all who listen that something is committed.
    pub(in super::super) fn ring(log: &Path) {
        // Where this fails, they find out by looking.
        let _closed = File::open(log);
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use std::convert::Infallible;

    use super::{Path, io};

    /// There is none.
    #[derive(Debug)]
    pub(in super::super) struct Bell(Infallible);

    impl Bell {
        pub(in super::super) fn of(_log: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in super::super) async fn rung(&mut self) -> io::Result<()> {
            match self.0 {}
        }
    }

    pub(in super::super) fn ring(_log: &Path) {}
}
