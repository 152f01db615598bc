//! The scenarios of `docs/reliability.md` that have a name: two dozen seeds each, all about one thing.

use super::{plan, run::run_plans, seeds::number, themes::Theme};

/// Runs seeds of a theme. In each, what must hold is checked as always; `happened` is what they must have had.
fn scenario(theme: Theme, happened: &[&str]) {
    let count = number("LINGER_SIM_SCENARIO_SEEDS").unwrap_or(SEEDS);
    let summary = run_plans(0, count, |seed| plan::draw_about(theme, seed));
    summary.print();
    assert!(summary.failures.is_empty(), "{theme:?}");
    assert_eq!(summary.runs, count, "every seed was run");
    for what in happened {
        assert!(summary.has_happened(what), "{theme:?} without {what:?} shows nothing");
    }
}

macro_rules! scenarios {
    ($($name:ident: $theme:ident, $happened:tt;)*) => {
        $(#[test]
        fn $name() {
            scenario(Theme::$theme, &$happened);
        })*
    };
}

scenarios! {
    s01_leaders_crash_and_come_back: Crash, ["brokers crashed", "retries", "acknowledged"];
    s02_leaders_restart_before_their_answers_arrive: Restart,
        ["ways stalled", "brokers crashed", "retries", "acknowledged"];
    s04_leaders_are_frozen_and_thaw: Freeze, ["brokers frozen", "acknowledged", "expired"];
    s07_a_storm_of_elections: ElectionStorm, ["leaders moved", "answers: not leader", "acknowledged"];
    s09_s10_too_few_replicas_before_and_after_the_append: TooFewReplicas,
        ["injected faults", "retries", "acknowledged"];
    s12_an_unclean_election_loses_what_was_acknowledged: UncleanElection,
        ["unclean elections", "records lost by brokers", "losses told of", "acknowledged"];
    s13_s15_connections_are_cut_at_any_byte: Cuts, ["connections cut", "retries", "acknowledged"];
    s14_a_batch_in_doubt_is_refused_when_it_is_sent_again: DoubtThenRefusal,
        ["injected faults", "retries", "refused", "acknowledged"];
    s16_large_batches_leave_piece_by_piece_and_expire: HeldUp, ["ways stalled", "expired", "acknowledged"];
    s30_a_topic_is_not_there_for_a_while: UnknownTopic, ["answers: unknown topic", "acknowledged"];
    s32_topics_are_deleted_and_made_again: Recreation, ["topics recreated", "acknowledged"];
    s32_topics_are_made_again_with_fewer_partitions_and_grow: Shrunk, ["topics shrunk", "acknowledged"];
    s34_brokers_that_do_not_know_the_producer_refuse_its_first_batches: Strangers,
        ["injected faults", "later epochs", "acknowledged"];
    s35_batches_expire_in_flight_and_answers_come_late: LateAnswers,
        ["expired", "later epochs", "acknowledged"];
    s36_batches_are_split_with_several_in_flight: Splits, ["splits", "later epochs", "acknowledged"];
    s37_epochs_are_used_up: LastEpochs, ["later epochs", "new producer ids", "acknowledged"];
    s37_sequences_wrap: Wrap, ["batches after a wrap", "acknowledged"];
    s51_addresses_of_brokers_lead_to_another_cluster: Astray,
        ["addresses led astray", "questions to another cluster", "acknowledged"];
    s52_the_cluster_is_wiped_and_begun_anew: Wiped,
        ["clusters wiped", "batches of strangers", "acknowledged"];
    s53_brokers_lag_behind_and_name_less_than_there_is: Lagging, ["brokers lagged behind", "acknowledged"];
    s54_controllers_are_among_the_servers: Controllers, ["producer ids refused", "acknowledged"];
}

const SEEDS: u64 = 24;
