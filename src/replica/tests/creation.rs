//! What is created without an answer.

use tokio::time::Instant;

use super::*;
use crate::{operation::Key, store::Created};

#[tokio::test(start_paused = true)]
async fn what_is_created_without_a_word_is_found_under_its_key() {
    let (replica, _told) = start_with(100, Faulty::when_asked(Asked::CreatesSilently));
    let keyed = |id, name| NewOperation {
        key: Some(Key { name, request: [0; 16] }),
        ..NewOperation::new(id, Arc::new(Terms::new("/renders".into(), Policy::new())))
    };
    let (first, second) = (OperationId::random(), OperationId::random());
    let begun = Instant::now();
    assert!(matches!(replica.create_keyed(keyed(first, [1; 16])).await, Ok(Created::New { .. })));
    assert!(begun.elapsed() < patience(&keyed(first, [1; 16])));
    let found = replica.create_keyed(keyed(second, [1; 16])).await;
    assert!(matches!(found, Ok(Created::Existing(found)) if found.id == first));
    let (found, canceled) = tokio::join!(replica.create_keyed(keyed(second, [2; 16])), async {
        sleep(Duration::from_secs(1)).await;
        replica.cancel(second, None).await
    });
    canceled.unwrap();
    assert!(matches!(found, Ok(Created::Existing(found)) if found.state() == State::Canceled));
}
