//! Compressed and large messages.

use std::time::Duration;

use tonic::codec::CompressionEncoding::{self, Gzip, Zstd};
use tower_respond_async::{Policy, longrunning::messages::Operation};

use super::{
    stage::{RENDER, Stage, builder, response},
    studio::{Order, Picture, Studio, picture},
};

const LARGE: Order = Order { size: 5_000_000, ..Order::QUICK };

async fn stage(compression: CompressionEncoding, grace: Duration) -> Stage {
    let policy = Policy::new().grace(grace).handle(true);
    Stage::of(builder().build().unwrap(), Studio::new(Some(compression)), policy).await
}

#[tokio::test]
async fn a_compressed_reply_is_kept_and_read() {
    for compression in [Gzip, Zstd] {
        let stage = stage(compression, Duration::ZERO).await;
        let call = Order { waits: true, ..LARGE }.reading(compression);
        let operation = stage.begin(call).await.unwrap();
        stage.studio.open();
        assert_eq!(response::<Picture>(&stage.wait(&operation.name).await), picture(LARGE.size));
    }
}

#[tokio::test]
async fn a_done_operation_is_compressed_as_the_methods_reply_would_have_been() {
    for (compression, name) in [(Gzip, "gzip"), (Zstd, "zstd")] {
        let stage = stage(compression, Duration::from_secs(60)).await;
        let call = LARGE.reading(compression).with("prefer", "respond-async");
        let answer = stage.call::<Operation>(RENDER, call).await.unwrap();
        assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), name);
        assert_eq!(response::<Picture>(answer.get_ref()), picture(LARGE.size));
        // To one that reads nothing else, as it is.
        let answer = stage.call::<Operation>(RENDER, LARGE.with("prefer", "respond-async")).await.unwrap();
        assert!(answer.metadata().get("grpc-encoding").is_none());
        assert_eq!(response::<Picture>(answer.get_ref()), picture(LARGE.size));
    }
}

#[tokio::test]
async fn a_kept_reply_is_replayed_in_an_encoding_that_its_caller_reads() {
    let stage = stage(Gzip, Duration::ZERO).await;
    let key = ("idempotency-key", "\"large\"");
    let first = stage.call::<Picture>(RENDER, LARGE.reading(Gzip).with(key.0, key.1)).await.unwrap();
    assert_eq!(first.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(*first.get_ref(), picture(LARGE.size));
    let second = stage.call::<Picture>(RENDER, LARGE.with(key.0, key.1)).await.unwrap();
    assert!(second.metadata().get("grpc-encoding").is_none());
    assert_eq!(*second.get_ref(), picture(LARGE.size));
    assert_eq!(stage.studio.count(), 1);
}
