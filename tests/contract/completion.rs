//! Where the monitor leads once an operation has ended: to the reply, to what was made, or nowhere.

use http::Response;
use tower_respond_async::{Completion, Operations, Policy, problem::Kind};

use crate::support::{Answer, Job, ReplyBody, delete, get, operations, reply};

/// What the monitor says of an operation that ended with this reply.
async fn ended(policy: Policy, reply: Response<ReplyBody>) -> (Answer, String, Operations) {
    let operations = operations();
    let location = Job::begin(&operations, policy).await.reply(reply).await;
    (get(&operations, &location).await, location, operations)
}

fn created() -> Response<ReplyBody> {
    let mut reply = reply(201, "made");
    reply.headers_mut().insert("location", "/pictures/7".parse().unwrap());
    reply
}

#[tokio::test(start_paused = true)]
async fn to_the_result_with_the_status_that_the_policy_says() {
    for (completion, status) in [(Completion::SeeOther, 303), (Completion::Found, 302)] {
        let (answer, location, _) = ended(Policy::new().completion(completion), created()).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (status, &*format!("{location}/result")));
    }
}

#[tokio::test(start_paused = true)]
async fn replay_is_the_reply_itself() {
    let (answer, location, operations) = ended(Policy::new().completion(Completion::Replay), created()).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"made"[..]));
    assert_eq!(answer.header("location"), "/pictures/7");
    let result = get(&operations, &format!("{location}/result")).await;
    assert_eq!((result.status, result.headers, result.body), (answer.status, answer.headers, answer.body));
}

#[tokio::test(start_paused = true)]
async fn follow_created_leads_straight_to_what_was_made() {
    for completion in [Completion::SeeOther, Completion::Found, Completion::Replay] {
        let policy = Policy::new().completion(completion).follow_created(true);
        let (answer, ..) = ended(policy, created()).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/pictures/7"));
    }
}

#[tokio::test(start_paused = true)]
async fn follow_created_follows_nothing_but_a_created_with_a_location() {
    let mut moved = reply(307, "");
    moved.headers_mut().insert("location", "/pictures/7".parse().unwrap());
    for reply in [reply(201, "without"), moved] {
        let (answer, location, _) = ended(Policy::new().follow_created(true), reply).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, &*format!("{location}/result")));
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_reply_is_replayed_as_the_problem_that_says_why() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new().completion(Completion::Replay)).await;
    assert_eq!(delete(&operations, &job.location).await.status, 204);
    let answer = get(&operations, &job.location).await;
    answer.assert_problem(Kind::Canceled);
    assert!(!answer.headers.contains_key("retry-after"));
}
