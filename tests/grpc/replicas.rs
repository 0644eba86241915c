//! Operations in a store that replicas share.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    engines::on_every_shared_store,
    longrunning::{cancel, delete},
    stage::{Stage, body, error},
    work::binary,
};

on_every_shared_store! {
    another_replica_follows_it
    without_its_store_it_is_unavailable
}

async fn another_replica_follows_it(stage: &Stage) {
    let (server, other) = (stage.server().await, stage.server().await);
    let name = server.begin("/jobs", "ann").await;
    assert!(!other.get(&name, "ann").await.unwrap().done);
    let (done, ()) = tokio::join!(other.ended(&name, "ann"), async { stage.work.go(1) });
    assert_eq!(body(&done).data, binary());
    let name = server.begin("/jobs", "ann").await;
    stage.work.running(1).await;
    cancel(&other, &name, "ann").await.unwrap();
    assert_eq!(error(&server.ended(&name, "ann").await).code, i32::from(Code::Cancelled));
    stage.work.running(0).await;
}

async fn without_its_store_it_is_unavailable(stage: &Stage) {
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    server.tap.away(true);
    let answers = [
        server.get(&name, "ann").await.unwrap_err(),
        cancel(&server, &name, "ann").await.unwrap_err(),
        delete(&server, &name, "ann").await.unwrap_err(),
    ];
    for answer in answers {
        assert_eq!(answer.code(), Code::Unavailable);
        assert_eq!(answer.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
    }
    server.tap.away(false);
    stage.work.go(1);
    assert!(server.ended(&name, "ann").await.done);
}
