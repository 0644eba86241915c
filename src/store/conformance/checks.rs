//! The table of all checks, by what they need of a store.

use super::{
    Check, Need, claims, content, creation, dropped, fencing, leases, lists, outcome, owners, races, rescues,
    sequences, sweeps,
};

macro_rules! checks {
    ($($need:ident: $($subject:ident::{$($name:ident),+ $(,)?}),+;)+) => {
        /// Every check.
        #[must_use]
        pub fn checks() -> &'static [Check] {
            const {
                &[$($($(Check {
                    name: stringify!($name),
                    need: Need::$need,
                    run: |stage| Box::pin($subject::$name(stage)),
                }),+),+),+]
            }
        }
    };
}

checks! {
    Nothing:
        creation::{
            r2_what_was_created_is_known_to_every_method_over_every_connection,
            a_new_operation_runs_unless_there_is_something_to_queue,
            an_operation_without_a_lease_runs_while_the_store_lives,
            the_same_request_under_the_same_key_is_the_same_operation,
            another_request_under_the_same_key_is_refused,
            other_keys_and_none_are_other_operations,
            a_key_is_free_again_once_its_operation_is_forgotten,
            a_key_is_free_again_once_its_operation_has_expired,
        },
        fencing::{
            the_attempt_that_runs_writes,
            a_retry_ends_what_is_not_durable,
            what_is_handed_back_and_not_durable_is_interrupted,
            r9_what_has_ended_never_changes,
            what_was_never_there_is_unknown,
        },
        owners::{
            what_is_anothers_is_unknown,
            what_is_nobodys_is_for_whoever_is_nobody,
            owners_are_told_apart_byte_by_byte,
        },
        lists::{
            a_list_has_all_of_its_owners_operations_newest_first,
            a_list_loses_and_repeats_nothing_while_others_come_and_go,
            a_list_can_be_of_one_state_only,
            a_list_tells_how_each_has_ended,
            a_list_has_nothing_that_has_expired,
        },
        content::{
            replies_are_kept_byte_by_byte,
            failures_are_kept_with_and_without_a_reply,
            a_status_can_be_read_without_the_reply,
            terms_are_kept_whatever_the_route_is_called,
        },
        outcome::{
            who_sees_the_end_sees_the_reply,
            an_end_says_when_and_after_how_long,
            what_is_forgotten_is_unknown_and_what_runs_is_not_forgotten,
            the_report_with_the_highest_number_stays,
            counts_come_right,
        },
        dropped::{
            an_abandoned_creation_is_whole_or_not_at_all,
            an_abandoned_finish_is_whole_or_not_at_all,
            whatever_is_abandoned_leaves_the_operation_usable,
        },
        sequences::{
            whatever_is_done_in_whatever_order_leads_where_the_table_says,
        },
        races::{
            r9_one_of_many_finishes_wins,
            r9_one_of_many_cancellations_wins,
            r9_of_finishes_and_cancellations_one_wins,
            r9_one_of_many_forgets,
            r9_of_many_reports_the_highest_stays,
        },
        sweeps::{
            what_has_expired_is_unknown_though_nobody_has_swept,
            the_retention_begins_with_the_end,
            nothing_is_swept_before_its_time,
            what_runs_for_too_long_is_timed_out,
            a_sweep_in_small_steps_comes_to_everything,
        };
    Leases:
        dropped::{
            what_an_abandoned_claim_took_is_given_back_with_its_lease,
        },
        rescues::{
            r9_of_a_finish_and_a_rescue_one_wins,
            r9_what_is_due_is_swept_once,
            r9_many_renew_a_lease,
            r9_a_lease_is_renewed_or_closed,
            r9_many_open_leases,
            r9_many_replicas_work_off_a_queue,
        },
        creation::{
            r2_what_was_queued_can_be_claimed_over_every_connection,
            a_durable_operation_is_queued_unless_it_runs_at_once,
            nothing_is_created_under_a_lease_that_is_over,
            a_key_is_looked_up_whatever_the_lease,
            a_keyed_creation_that_is_asked_for_again_finds_itself,
        },
        fencing::{
            no_attempt_of_a_queued_operation_writes,
            a_retry_queues_while_attempts_are_left,
            what_is_handed_back_is_queued_at_once_and_has_not_failed,
            the_writes_of_an_earlier_attempt_are_refused,
            what_has_ended_cannot_be_claimed,
            whatever_has_not_ended_can_be_canceled,
        },
        content::{
            requests_are_kept_byte_by_byte,
        },
        races::{
            r9_an_attempt_is_given_up_once_however_it_is,
            r9_many_creations_under_one_key_are_one_operation,
            r9_many_creations_without_a_key_are_as_many_operations,
            r9_nothing_is_claimed_twice,
            r9_what_is_claimed_and_canceled_at_once_is_canceled,
        },
        claims::{
            a_claim_brings_all_that_is_needed_to_run,
            no_more_is_claimed_than_was_asked_for_and_nothing_twice,
            the_oldest_goes_first,
            owners_take_turns,
            nobody_takes_turns_as_an_owner_does,
            routes_take_turns,
            owners_take_turns_within_one_claim,
            what_was_retried_rests_before_it_is_claimed,
        },
        leases::{
            no_two_leases_have_the_same_name,
            a_lease_that_never_was_is_over,
            a_lease_that_is_over_is_not_renewed_though_nobody_has_noticed,
            nothing_is_claimed_under_a_lease_that_is_over_though_nobody_has_noticed,
            a_renewed_lease_lasts_for_its_length_from_then_on,
            a_lapsed_lease_loses_what_is_not_durable,
            a_lapsed_lease_has_what_is_durable_tried_again_and_at_last_lost,
            a_finish_counts_as_long_as_nobody_has_noticed_that_its_lease_is_over,
            a_lease_brings_along_what_still_runs_and_names_the_rest,
            a_renewal_names_what_no_longer_runs,
            a_renewed_lease_holds_what_was_held_under_another,
            a_closed_lease_is_over_for_what_runs_under_it_and_nothing_else,
        },
        sweeps::{
            what_runs_for_too_long_is_timed_out_even_if_it_could_be_tried_again,
            the_time_in_the_queue_is_no_run_time,
        };
    Announcements:
        outcome::{
            what_is_done_over_one_connection_is_announced_over_the_other,
        };
}
