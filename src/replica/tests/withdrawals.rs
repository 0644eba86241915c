//! What is taken back from a store that may have it.

use super::*;

#[tokio::test]
async fn what_comes_once_it_is_withdrawn_is_forgotten_as_well() {
    let faulty = Faulty::when_asked(Asked::CreatesLate);
    let mut forgotten = faulty.forgotten.subscribe();
    let (replica, _told) = start_with(100, faulty);
    let id = OperationId::random();
    let created = replica.create(NewOperation::new(id, Arc::new(Terms::new("/renders".into(), Policy::new())))).await;
    assert_unavailable(&[created.map(drop)]);
    replica.withdraw(Attempt { operation: id, number: 1 }, None, Duration::from_secs(60));
    let forgotten = timeout(Duration::from_secs(30), forgotten.wait_for(Option::is_some)).await;
    assert_eq!(*forgotten.unwrap().unwrap(), Some(true));
}

#[tokio::test]
async fn what_does_not_come_is_not_waited_for_at_the_end() {
    let faulty = Faulty::at_ends(|_| None);
    let forgotten = faulty.forgotten.subscribe();
    let (replica, _told) = start_with(100, faulty);
    let attempt = Attempt { operation: OperationId::random(), number: 1 };
    replica.withdraw(attempt, None, Duration::from_secs(3_600));
    replica.close();
    replica.ended().await;
    assert_eq!(*forgotten.borrow(), Some(false));
}

#[tokio::test]
async fn few_are_withdrawn_at_once() {
    const ALL: usize = 500;
    let faulty = Faulty::at_ends(|_| None);
    let canceling = faulty.canceling.subscribe();
    let (replica, _told) = start_with(100, faulty);
    for _ in 0..ALL {
        replica.withdraw(Attempt { operation: OperationId::random(), number: 1 }, None, Duration::ZERO);
    }
    replica.close();
    replica.ended().await;
    let (now, most) = *canceling.borrow();
    assert!(now == 0 && most > 1 && most < ALL / 10, "{most}");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_to_be_withdrawn_until_the_store_answers() {
    let (replica, _told) = start_with(100, Faulty::when_asked(Asked::Never));
    let mut withdrawn = 0;
    while replica.can_withdraw() {
        replica.withdraw(Attempt { operation: OperationId::random(), number: 1 }, None, Duration::ZERO);
        withdrawn += 1;
    }
    assert_eq!(withdrawn, 1_024);
}

#[tokio::test]
async fn what_may_yet_come_does_not_count_once_the_store_has_answered() {
    let (replica, _told) = start_with(100, Faulty::at_ends(|_| None));
    for _ in 0..2_000 {
        replica.withdraw(Attempt { operation: OperationId::random(), number: 1 }, None, Duration::from_secs(3_600));
    }
    let answered = async {
        while !replica.can_withdraw() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, answered).await.unwrap();
}
