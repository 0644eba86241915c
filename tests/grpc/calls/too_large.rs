//! Replies that are larger than the policy allows, as they are sent or once they are decompressed.

use std::time::Duration;

use prost::Message;
use tonic::{
    Code,
    codec::CompressionEncoding::{self, Gzip, Zstd},
};
use tonic_types::{StatusExt, pb};
use tower_respond_async::{Policy, longrunning::messages::operation_metadata::State};

use super::{
    stage::{Call, Stage, builder, error, metadata},
    studio::{Order, Studio, picture},
};

const LARGE: Order = Order { size: 100_000, ..Order::QUICK };

const WAYS: [Option<CompressionEncoding>; 3] = [None, Some(Gzip), Some(Zstd)];

async fn stage(compression: Option<CompressionEncoding>, grace: Duration) -> Stage {
    // More than the picture takes when it is compressed, by far.
    let policy = Policy::new().grace(grace).max_reply(20_000);
    Stage::of(builder().build().unwrap(), Studio::new(compression), policy).await
}

fn read(order: Order, compression: Option<CompressionEncoding>) -> Call {
    match compression {
        Some(compression) => order.reading(compression),
        None => order.into(),
    }
}

#[track_caller]
fn is_too_large(failure: &tonic::Status) {
    assert_eq!(failure.code(), Code::Internal, "{failure:?}");
    assert_eq!(failure.get_error_details().error_info().unwrap().reason, "REPLY_TOO_LARGE");
}

#[tokio::test]
async fn an_operation_whose_reply_is_too_large_has_failed() {
    for compression in WAYS {
        let stage = stage(compression, Duration::ZERO).await;
        let call = read(Order { waits: true, ..LARGE }, compression);
        let operation = stage.begin(call).await.unwrap();
        stage.studio.open();
        let ended = stage.wait(&operation.name).await;
        let status = error(&ended);
        assert_eq!(pb::ErrorInfo::decode(&*status.details[0].value).unwrap().reason, "REPLY_TOO_LARGE");
        assert_eq!(metadata(&ended).state(), State::Failed, "{compression:?}");
    }
}

#[tokio::test]
async fn so_has_a_call_whose_client_wants_an_operation() {
    for compression in WAYS {
        let stage = stage(compression, Duration::from_secs(60)).await;
        is_too_large(&stage.begin(read(LARGE, compression)).await.unwrap_err());
    }
}

#[tokio::test]
async fn so_has_a_call_under_a_key() {
    for compression in WAYS {
        let stage = stage(compression, Duration::ZERO).await;
        for _ in 0..2 {
            let call = read(LARGE, compression).with("idempotency-key", "\"k\"");
            is_too_large(&stage.render(call).await.unwrap_err());
        }
    }
}

#[tokio::test]
async fn any_other_call_is_answered_whatever_its_size() {
    for compression in WAYS {
        let stage = stage(compression, Duration::ZERO).await;
        assert_eq!(stage.render(read(LARGE, compression)).await.unwrap(), picture(LARGE.size));
    }
}
