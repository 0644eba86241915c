//! The numbers that operators see.

#![cfg(feature = "metrics")]
#![allow(clippy::panic)]

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use metrics::Key;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tower::{Layer, ServiceExt, service_fn};
use tower_respond_async::{AtLimit, Limit, Operations, Policy, Routes};

/// What was recorded since the last look.
struct Recorded(Vec<(Key, DebugValue)>);

impl Recorded {
    fn since_last(snapshotter: &Snapshotter) -> Self {
        let taken = snapshotter.snapshot().into_vec();
        Self(taken.into_iter().map(|(key, _, _, value)| (key.key().clone(), value)).collect())
    }

    /// The value of the metric with exactly these labels, in the order of their names.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> &DebugValue {
        let of = |key: &Key| {
            let mut present: Vec<_> = key.labels().map(|label| (label.key(), label.value())).collect();
            present.sort_unstable();
            key.name() == name && present == labels
        };
        let found = self.0.iter().find(|(key, _)| of(key));
        &found.unwrap_or_else(|| panic!("no {name} {labels:?} in {:?}", self.0)).1
    }

    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        match self.value(name, labels) {
            DebugValue::Counter(count) => *count,
            other => panic!("no counter: {other:?}"),
        }
    }

    fn gauge(&self, name: &str) -> f64 {
        match self.value(name, &[]) {
            DebugValue::Gauge(value) => value.into_inner(),
            other => panic!("no gauge: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_number_follows_an_operation_through_its_life() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _installed = metrics::set_default_local_recorder(&recorder);

    let operations = Operations::builder().max_operations(1).build().unwrap();
    let policy = Policy::new()
        .budget(Duration::from_millis(100))
        .retention(Duration::from_secs(5))
        .at_limit(Limit::Operations, AtLimit::Unavailable);
    let routes = Routes::builder().route("/reports/{id}", policy).build().unwrap();
    let service = operations.layer(routes).layer(service_fn(|_| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"report"))))
    }));
    let submit = |prefer: &str| {
        let request = Request::post("/reports/7").header("prefer", prefer).body(Empty::<Bytes>::new()).unwrap();
        service.clone().oneshot(request)
    };

    assert_eq!(submit("").await.unwrap().status(), 202);
    assert_eq!(submit("respond-async").await.unwrap().status(), 503);
    let route = ("route", "/reports/{id}");
    let recorded = Recorded::since_last(&snapshotter);
    assert_eq!(recorded.count("respond_async_accepted_total", &[("reason", "budget"), route]), 1);
    assert_eq!(recorded.count("respond_async_declined_total", &[("reason", "operations"), route]), 1);
    assert_eq!(recorded.gauge("respond_async_in_flight"), 1.0);

    tokio::time::sleep(Duration::from_secs(3)).await;
    let recorded = Recorded::since_last(&snapshotter);
    assert_eq!(recorded.gauge("respond_async_in_flight"), -1.0, "one less than at the last look");
    let kept = recorded.gauge("respond_async_kept_bytes");
    assert!(kept >= 6.0);
    match recorded.value("respond_async_run_time_seconds", &[route, ("state", "succeeded")]) {
        DebugValue::Histogram(run_times) => assert!((1.8..2.1).contains(&run_times[0].into_inner())),
        other => panic!("no histogram: {other:?}"),
    }

    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(Recorded::since_last(&snapshotter).gauge("respond_async_kept_bytes"), -kept);

    assert_eq!(submit("respond-async").await.unwrap().status(), 202);
    let recorded = Recorded::since_last(&snapshotter);
    assert_eq!(recorded.count("respond_async_accepted_total", &[("reason", "preference"), route]), 1);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_counted_until_they_are_forgotten_one_way_or_another() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let kept = || Recorded::since_last(&snapshotter).gauge("respond_async_kept_bytes");

    let operations = Operations::builder().build().unwrap();
    let service = operations.layer(Policy::new().budget(Duration::ZERO)).layer(service_fn(|_| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"report"))))
    }));
    let mut locations = Vec::new();
    for _ in 0..2 {
        let accepted = service.clone().oneshot(Request::post("/").body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        locations.push(accepted.headers()["location"].to_str().unwrap().to_owned());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let both = kept();
    assert!(both >= 12.0);

    let forget = Request::delete(&locations[0]).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(operations.monitor().oneshot(forget).await.unwrap().status(), 204);
    assert_eq!(kept(), -both / 2.0);
    operations.drain(Duration::ZERO).await;
    drop((operations, service));
    assert_eq!(kept(), -both / 2.0);
}
