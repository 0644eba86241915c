//! How well the store has heard of this replica.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

/// A beat of pause and one for the answer may lie between two heartbeats.
const BEATS_APART: u32 = 2;

#[derive(Debug)]
pub(super) struct Pulse {
    beat: Duration,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    last: Option<Instant>,
    /// By the wall clock, which goes on while the machine sleeps.
    last_by_wall: Option<SystemTime>,
    /// Since when no heartbeat has failed or come late.
    steady: Option<Instant>,
}

impl Heard {
    /// Whether the wall clock has gone ahead, and leases with it that nobody could renew.
    fn has_skipped(&self, beat: Duration) -> bool {
        let by_wall = self.last_by_wall.and_then(|last| last.elapsed().ok());
        by_wall.zip(self.last).is_some_and(|(by_wall, last)| by_wall > last.elapsed() + beat)
    }
}

impl Pulse {
    pub(super) fn new(beat: Duration) -> Self {
        Self { beat, heard: Mutex::default() }
    }

    /// A heartbeat has come through that was sent then.
    pub(super) fn heard(&self, sent: Instant) {
        let mut heard = self.lock();
        let late = heard.last.is_none_or(|last| sent.duration_since(last) > self.beat * BEATS_APART);
        let is_steady = !late && !heard.has_skipped(self.beat);
        heard.steady = heard.steady.filter(|_| is_steady).or(Some(sent));
        (heard.last, heard.last_by_wall) = (Some(sent), Some(SystemTime::now()));
    }

    pub(super) fn missed(&self) {
        self.lock().steady = None;
    }

    /// Whether every heartbeat has come through for so long, and none is late.
    pub(super) fn is_steady(&self, long: Duration) -> bool {
        let heard = self.lock();
        let late = heard.last.is_none_or(|last| last.elapsed() > self.beat * BEATS_APART);
        !late && !heard.has_skipped(self.beat) && heard.steady.is_some_and(|since| since.elapsed() >= long)
    }

    /// Whether none has come through for so long.
    pub(super) fn is_silent(&self, long: Duration) -> bool {
        self.lock().last.is_none_or(|last| last.elapsed() >= long)
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const BEAT: Duration = Duration::from_secs(5);
    const LEASE: Duration = Duration::from_secs(15);

    async fn beat(pulse: &Pulse, beats: u32) {
        for _ in 0..beats {
            advance(BEAT).await;
            pulse.heard(Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn steadiness_begins_anew_with_each_heartbeat_that_fails() {
        let pulse = Pulse::new(BEAT);
        pulse.heard(Instant::now());
        beat(&pulse, 2).await;
        assert!(!pulse.is_steady(LEASE));
        beat(&pulse, 1).await;
        assert!(pulse.is_steady(LEASE));
        pulse.missed();
        assert!(!pulse.is_steady(LEASE) && !pulse.is_silent(LEASE));
        beat(&pulse, 3).await;
        assert!(!pulse.is_steady(LEASE));
        beat(&pulse, 1).await;
        assert!(pulse.is_steady(LEASE));
    }

    #[tokio::test(start_paused = true)]
    async fn steadiness_begins_anew_when_the_machine_has_slept() {
        let pulse = Pulse::new(BEAT);
        pulse.heard(Instant::now());
        beat(&pulse, 3).await;
        assert!(pulse.is_steady(LEASE));
        pulse.lock().last_by_wall = Some(SystemTime::now() - 3 * BEAT);
        assert!(!pulse.is_steady(LEASE));
        beat(&pulse, 3).await;
        assert!(!pulse.is_steady(LEASE));
        beat(&pulse, 1).await;
        assert!(pulse.is_steady(LEASE));
    }

    #[tokio::test(start_paused = true)]
    async fn steadiness_begins_anew_with_each_heartbeat_that_is_late() {
        let pulse = Pulse::new(BEAT);
        pulse.heard(Instant::now());
        beat(&pulse, 3).await;
        advance(2 * BEAT).await;
        assert!(pulse.is_steady(LEASE));
        advance(BEAT).await;
        assert!(!pulse.is_steady(LEASE) && pulse.is_silent(LEASE));
        pulse.heard(Instant::now());
        assert!(!pulse.is_steady(LEASE) && !pulse.is_silent(LEASE));
    }
}
