//! How busy the store is with the file, so that looking for what others write makes it little busier.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// Looks take one part of the time in so many at most, and fewer while writes take one part in so many.
const PARTS_OF_LOOKS: u32 = 10;
const PARTS_OF_WRITES: u32 = 2;

/// The rest for each read: many are made by those who are told that others have written.
const READ: Duration = Duration::from_micros(250);

/// So much rest may be owed, so that what is done once in a while has to wait for none; and so long is any at most.
const OWED: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(320);

/// How much rest is due for all that was done.
#[derive(Debug, Default)]
pub(super) struct Load(AtomicU64);

impl Load {
    pub(super) fn looked(&self, time: Duration) {
        self.add(time.saturating_mul(PARTS_OF_LOOKS));
    }

    /// With the time in which the writes waited for others.
    pub(super) fn written(&self, time: Duration) {
        self.add(time.saturating_mul(PARTS_OF_WRITES));
    }

    pub(super) fn read(&self) {
        self.add(READ);
    }

    fn add(&self, rest: Duration) {
        self.0.fetch_add(u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// The rest that is due.
#[derive(Debug)]
pub(super) struct Rest {
    counted: Duration,
    until: Instant,
}

impl Rest {
    pub(super) fn after(load: &Load) -> Self {
        Self { counted: load.total(), until: Instant::now() }
    }

    /// Waits until no more is due than may be owed.
    pub(super) async fn take(&mut self, load: &Load) {
        let longest = Instant::now() + LONGEST;
        loop {
            // Those who were told may begin to read only now.
            let total = load.total();
            self.until = (self.until + total.saturating_sub(self.counted)).min(longest);
            self.counted = total;
            let left = self.until.saturating_duration_since(Instant::now() + OWED);
            if left.is_zero() {
                break;
            }
            sleep(left).await;
        }
        self.until = self.until.max(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rests(rest: &mut Rest, load: &Load) -> Duration {
        let began = Instant::now();
        rest.take(load).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_once_in_a_while_waits_for_no_rest() {
        let load = Load::default();
        let mut rest = Rest::after(&load);
        for _ in 0..100 {
            load.looked(Duration::from_micros(100));
            load.written(Duration::from_millis(1));
            load.read();
            assert_eq!(rests(&mut rest, &load).await, Duration::ZERO);
            sleep(OWED).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_looks_all_the_time_takes_a_part_of_it_only() {
        let load = Load::default();
        let mut rest = Rest::after(&load);
        let (began, mut looked) = (Instant::now(), Duration::ZERO);
        while began.elapsed() < Duration::from_secs(10) {
            load.looked(Duration::from_millis(1));
            looked += Duration::from_millis(1);
            rest.take(&load).await;
        }
        assert!(looked <= began.elapsed() / PARTS_OF_LOOKS + OWED, "{looked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn reads_are_rested_from_also_where_they_begin_late_but_not_for_ever() {
        let load = Load::default();
        let mut rest = Rest::after(&load);
        (0..200).for_each(|_| load.read());
        let late = async {
            sleep(Duration::from_millis(20)).await;
            (0..200).for_each(|_| load.read());
        };
        let (rested, ()) = tokio::join!(rests(&mut rest, &load), late);
        assert!(rested >= READ * 400 - OWED && rested <= READ * 400, "{rested:?}");
        (0..1_000_000).for_each(|_| load.read());
        let rested = rests(&mut rest, &load).await;
        assert!(rested > LONGEST / 2 && rested <= LONGEST, "{rested:?}");
    }
}
