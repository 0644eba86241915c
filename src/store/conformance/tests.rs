//! A right store passes; each wrong one is caught by the check that is about what is wrong with it.

use std::sync::Arc;

use super::{
    Replicas, checks,
    reference::{Flaw, Reference},
    run,
};

fn replicas(flaw: Flaw) -> Replicas {
    let store = Reference::with(flaw);
    Replicas::new(Arc::clone(&store) as _, store).announcing()
}

#[tokio::test]
async fn a_right_store_passes() {
    run(async || replicas(Flaw::None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_leases_passes_without_them() {
    run(async || Replicas::without_leases(Reference::with(Flaw::None))).await.unwrap();
}

#[tokio::test]
async fn a_wrong_store_is_caught() {
    let wrong = [
        (Flaw::RenewsWhatIsOver, "a_lease_that_is_over_is_not_renewed_though_nobody_has_noticed"),
        (Flaw::FinishIsNotFenced, "the_writes_of_an_earlier_attempt_are_refused"),
        (Flaw::FinishIsNotAtomic, "r9_one_of_many_finishes_wins"),
        (Flaw::AsksForTheLeaseFirst, "a_key_is_looked_up_whatever_the_lease"),
        (Flaw::CreatesAnew, "a_keyed_creation_that_is_asked_for_again_finds_itself"),
        (Flaw::CreatesAfterLooking, "r9_many_creations_under_one_key_are_one_operation"),
        (Flaw::ClaimsAfterLooking, "r9_nothing_is_claimed_twice"),
        (Flaw::ForgetsKeysTooLate, "a_key_is_free_again_once_its_operation_has_expired"),
        (Flaw::ForgetsBackoff, "what_was_retried_rests_before_it_is_claimed"),
        (Flaw::CountsHandingBack, "what_is_handed_back_is_queued_at_once_and_has_not_failed"),
        (Flaw::ShowsWhatHasExpired, "what_has_expired_is_unknown_though_nobody_has_swept"),
        (Flaw::ShowsStrangers, "what_is_anothers_is_unknown"),
        (Flaw::TellsTheStateBeforeTheReply, "who_sees_the_end_sees_the_reply"),
        (Flaw::ServesOneOwnerFirst, "owners_take_turns"),
        (Flaw::LosesHistory, "a_lapsed_lease_has_what_is_durable_tried_again_and_at_last_lost"),
        (Flaw::StopsSweepingTooSoon, "a_sweep_in_small_steps_comes_to_everything"),
        (Flaw::TakesAnyReport, "the_report_with_the_highest_number_stays"),
        (Flaw::CutsOwners, "owners_are_told_apart_byte_by_byte"),
        (Flaw::RepeatsInLists, "a_list_has_all_of_its_owners_operations_newest_first"),
        (Flaw::LeavesLeasesBehind, "a_lapsed_lease_loses_what_is_not_durable"),
        (Flaw::RenewsLeasesAlone, "a_renewed_lease_holds_what_was_held_under_another"),
        (Flaw::TellsTheStateBeforeTheReply, "an_abandoned_finish_is_whole_or_not_at_all"),
        (Flaw::FinishIsNotAtomic, "r9_of_a_finish_and_a_rescue_one_wins"),
        (Flaw::ClaimsAfterLooking, "r9_many_replicas_work_off_a_queue"),
        (Flaw::FinishIsNotFenced, "whatever_is_done_in_whatever_order_leads_where_the_table_says"),
        (Flaw::CountsHandingBack, "whatever_is_done_in_whatever_order_leads_where_the_table_says"),
    ];
    for (flaw, name) in wrong {
        expect_caught(flaw, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_wrong_store_never_does_is_missed() {
    expect_caught(Flaw::CountsNothing, "counts_come_right").await;
    expect_caught(Flaw::SaysNothing, "what_is_done_over_one_connection_is_announced_over_the_other").await;
}

async fn expect_caught(flaw: Flaw, name: &str) {
    let check = checks().iter().find(|check| check.name() == name).unwrap();
    check.run(replicas(flaw)).await.expect_err(&format!("{flaw:?} is not caught by {name}"));
}
