//! Writes of one kind that are done at once.

use std::any::Any;

use super::{super::batch::AnyWrite, *};
use crate::operation::Refused;

type Answers<T> = Vec<Result<T, StoreError>>;

/// Writes these as one batch.
async fn in_one_batch<T: 'static>(store: &SqliteStore, writes: Vec<Box<dyn AnyWrite>>) -> Answers<T> {
    let answers = write_together(&store.database, &writes).await;
    let answer = |answer: Box<dyn Any + Send>| *answer.downcast::<T>().unwrap();
    answers.into_iter().map(|answered| answered.map(answer)).collect()
}

fn copy(new: &NewOperation) -> NewOperation {
    let NewOperation { id, ref owner, ref terms, key, ref request, lease } = *new;
    NewOperation { id, owner: owner.clone(), terms: Arc::clone(terms), key, request: request.clone(), lease }
}

async fn create(store: &SqliteStore, operations: &[NewOperation]) -> Answers<Created> {
    in_one_batch(store, operations.iter().map(|new| Box::new(create::Create(copy(new))) as _).collect()).await
}

async fn finish(store: &SqliteStore, replies: Vec<(Attempt, Reply)>) -> Answers<Finished> {
    let write = |(attempt, reply)| Box::new(finish::Finish(attempt, Arc::new(reply))) as _;
    in_one_batch(store, replies.into_iter().map(write).collect()).await
}

fn first(operation: &NewOperation) -> Attempt {
    Attempt { operation: operation.id, number: 1 }
}

/// Around the sizes for which there are texts, and beyond the largest.
#[tokio::test]
async fn as_many_as_there_are_are_created_and_ended() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    for many in [1, 2, 4, 5, 16, 17, 64, 65, 256, 257, 300] {
        let new = |number| if number % 3 == 0 { detached() } else { NewOperation { lease: Some(lease), ..queued() } };
        let operations: Vec<_> = (0..many).map(new).collect();
        assert!(create(&store, &operations).await.iter().all(Result::is_ok), "{many}");
        let body = |number: usize| if number.is_multiple_of(5) { Vec::new() } else { format!("{number}").into_bytes() };
        let replies = operations.iter().enumerate().map(|(number, new)| (first(new), reply(&body(number)))).collect();
        let finished = finish(&store, replies).await;
        assert!(finished.len() == many && finished.iter().all(Result::is_ok), "{many}");
        for (number, new) in operations.iter().enumerate() {
            let kept = store.read(new.id, None, Part::Reply).await.unwrap().unwrap();
            assert_eq!(kept.end.unwrap().reply, reply(&body(number)), "{many}");
        }
    }
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.running, counts.succeeded), (0, 987));
    let mut file = by_hand(&folder.file()).await;
    let requests: i64 = sqlx::query_scalar("SELECT count(*) FROM requests").fetch_one(&mut file).await.unwrap();
    assert_eq!(requests, 0, "they go when the operation ends");
}

#[tokio::test]
async fn each_request_belongs_to_its_operation() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let asks = |number: usize| {
        let uri = format!("/renders?number={number}").parse().unwrap();
        StoredRequest::new(Method::POST, uri, HeaderMap::new(), Bytes::new())
    };
    let new = |number| NewOperation { request: (number % 2 == 0).then(|| asks(number)), ..detached() };
    let operations: Vec<_> = (0..100).map(new).collect();
    create(&store, &operations).await;
    let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    let claimed = store.claim(lease, 100).await.unwrap();
    let expected = operations.iter().filter_map(|new| Some((new.id, new.request.clone()?)));
    let claimed = claimed.into_iter().map(|claimed| (claimed.attempt.operation, claimed.request));
    assert_eq!(claimed.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lease_that_is_over_refuses_only_what_is_created_under_it() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let alive = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    let over = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    store.close_lease(over).await.unwrap();
    let leases = [None, Some(alive), Some(over), Some(LeaseId(99))];
    let operations: Vec<_> = (0..20).map(|number| NewOperation { lease: leases[number % 4], ..queued() }).collect();
    for (new, created) in operations.iter().zip(create(&store, &operations).await) {
        let state = state(&store, new.id).await;
        match new.lease {
            None => assert!(created.is_ok() && state == Some(State::Queued)),
            Some(lease) if lease == alive => assert!(created.is_ok() && state == Some(State::Running)),
            Some(_) => {
                assert!(matches!(created, Err(StoreError::Refused(Refused::LeaseOver))), "{created:?}");
                assert_eq!(state, None);
            }
        }
    }
}

#[tokio::test]
async fn each_finish_is_refused_for_itself() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let [one, strange, other] = [running(&store).await, running(&store).await, running(&store).await];
    execute(&folder.file(), "UPDATE operations SET terms = x'ff' WHERE number = 2").await;
    let unknown = Attempt { operation: OperationId::random(), number: 1 };
    let late = Attempt { number: 2, ..other };
    let attempts = [one, unknown, strange, one, late, other];
    let finished =
        finish(&store, attempts.into_iter().zip(b'a'..).map(|(of, body)| (of, reply(&[body]))).collect()).await;
    let [first, unknown, strange, again, late, last] = &finished[..] else { panic!("{finished:?}") };
    assert!(first.is_ok());
    assert!(matches!(unknown, Err(StoreError::Refused(Refused::Unknown))), "{unknown:?}");
    assert!(matches!(strange, Err(StoreError::Unreadable(_))), "{strange:?}");
    assert!(matches!(again, Err(StoreError::Refused(Refused::Ended(State::Succeeded)))), "{again:?}");
    assert!(matches!(late, Err(StoreError::Refused(Refused::Superseded { latest: 1 }))), "{late:?}");
    assert!(last.is_ok(), "{last:?}");
    let kept = store.read(one.operation, None, Part::Reply).await.unwrap().unwrap();
    assert_eq!(kept.end.unwrap().reply, reply(b"a"), "the first of its two");
}

/// Whose fault it is turns out, and costs no other its place.
#[tokio::test]
async fn what_breaks_the_transaction_fails_alone_in_a_group_too() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let trap = "CREATE TRIGGER trap BEFORE INSERT ON operations WHEN new.owner LIKE 'bad%' BEGIN \
                SELECT RAISE(ABORT, 'bad'); END; \
                CREATE TRIGGER other_trap BEFORE INSERT ON replies WHEN length(new.record) > 1000 BEGIN \
                SELECT RAISE(ABORT, 'large'); END";
    execute(&folder.file(), trap).await;
    let owner = |number| (number % 4 == 2).then(|| Owner::new(format!("bad{number}")));
    let operations: Vec<_> = (0..10).map(|number| NewOperation { owner: owner(number), ..detached() }).collect();
    for (new, created) in operations.iter().zip(create(&store, &operations).await) {
        assert_eq!(created.is_ok(), new.owner.is_none(), "{created:?}");
        assert!(created.is_ok() || matches!(created, Err(StoreError::Unavailable(_))));
    }
    let fine: Vec<_> = operations.iter().filter(|new| new.owner.is_none()).collect();
    let body = |number: usize| vec![b'x'; if number == 3 { 2_000 } else { 10 }];
    let replies = fine.iter().enumerate().map(|(number, new)| (first(new), reply(&body(number)))).collect();
    for (number, finished) in finish(&store, replies).await.into_iter().enumerate() {
        let expected = if number == 3 { State::Running } else { State::Succeeded };
        assert_eq!(finished.is_ok(), number != 3, "{finished:?}");
        assert_eq!(state(&store, fine[number].id).await, Some(expected));
    }
}

#[tokio::test]
async fn r7_a_burst_is_given_no_more_room_than_there_is() {
    let folder = Folder::new();
    let options = SqliteOptions::new().max_kept_operations(10).max_kept_bytes(1_000);
    let store = options.open(folder.file()).await.unwrap();
    running(&store).await;
    let operations: Vec<_> = (0..25).map(|_| detached()).collect();
    let created = create(&store, &operations).await;
    for (number, created) in created.iter().enumerate() {
        let is_full = matches!(created, Err(StoreError::Full));
        assert_eq!((created.is_ok(), is_full), (number < 9, number >= 9), "{created:?}");
    }
    let replies = operations[..9].iter().map(|new| (first(new), reply(&[b'x'; 300]))).collect();
    let finished = finish(&store, replies).await;
    let kept = finished.iter().filter(|finished| finished.as_ref().unwrap().failure.is_none()).count();
    let too_large = Some(Failure::ReplyTooLarge);
    let dropped = finished.iter().filter(|finished| finished.as_ref().unwrap().failure == too_large).count();
    assert_eq!((kept, dropped), (3, 6));
    assert_eq!(store.counts().await.unwrap().reply_bytes, 900);
}

#[tokio::test]
async fn r7_what_is_refused_takes_no_place_from_the_rest_of_a_burst() {
    let folder = Folder::new();
    let store = SqliteOptions::new().max_kept_operations(3).open(folder.file()).await.unwrap();
    let over = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    store.close_lease(over).await.unwrap();
    let refused = |number| [0, 2, 4].contains(&number);
    let lease = |number| refused(number).then_some(over);
    let operations: Vec<_> = (0..8).map(|number| NewOperation { lease: lease(number), ..queued() }).collect();
    for (number, created) in create(&store, &operations).await.iter().enumerate() {
        let is_refused = matches!(created, Err(StoreError::Refused(Refused::LeaseOver)));
        let is_full = matches!(created, Err(StoreError::Full));
        assert_eq!((is_refused, is_full), (refused(number), number > 5), "{number}: {created:?}");
    }
    assert_eq!(store.counts().await.unwrap().queued, 3);
}

/// What comes with groups is written too, and what is large.
#[tokio::test]
async fn others_of_the_batch_find_what_the_groups_have_written() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let (new, ending) = (detached(), running(&store).await);
    let large = running(&store).await;
    let writes: [Box<dyn AnyWrite>; 4] = [
        Box::new(end::Forget(ending.operation, None)),
        Box::new(finish::Finish(large, Arc::new(reply(&[b'x'; 100_000])))),
        Box::new(finish::Finish(ending, Arc::new(reply(b"done")))),
        Box::new(create::Create(copy(&new))),
    ];
    assert!(write_together(&store.database, &writes).await.iter().all(Result::is_ok));
    assert_eq!(state(&store, ending.operation).await, None, "it was forgotten after it had ended");
    assert_eq!(state(&store, large.operation).await, Some(State::Succeeded));
    assert_eq!(state(&store, new.id).await, Some(State::Running));
}
