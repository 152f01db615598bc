//! The scenarios of `docs/reliability.md` that have a name: two dozen seeds each, all about one thing.

use super::{
    plan,
    run::{number, run_plans},
    themes::Theme,
};

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

#[test]
fn s01_leaders_crash_and_come_back() {
    scenario(Theme::Crash, &["brokers crashed", "retries", "acknowledged"]);
}

#[test]
fn s04_leaders_are_frozen_and_thaw() {
    scenario(Theme::Freeze, &["brokers frozen", "acknowledged", "expired"]);
}

#[test]
fn s07_a_storm_of_elections() {
    scenario(Theme::ElectionStorm, &["leaders moved", "answers: not leader", "acknowledged"]);
}

#[test]
fn s09_s10_too_few_replicas_before_and_after_the_append() {
    scenario(Theme::TooFewReplicas, &["injected faults", "retries", "acknowledged"]);
}

#[test]
fn s12_an_unclean_election_loses_what_was_acknowledged() {
    scenario(
        Theme::UncleanElection,
        &["unclean elections", "records lost by brokers", "losses told of", "acknowledged"],
    );
}

#[test]
fn s13_s15_connections_are_cut_at_any_byte() {
    scenario(Theme::Cuts, &["connections cut", "retries", "acknowledged"]);
}

#[test]
fn s14_a_batch_in_doubt_is_refused_when_it_is_sent_again() {
    scenario(Theme::DoubtThenRefusal, &["injected faults", "retries", "refused", "acknowledged"]);
}

#[test]
fn s16_large_batches_leave_piece_by_piece_and_expire() {
    scenario(Theme::HeldUp, &["ways stalled", "expired", "acknowledged"]);
}

#[test]
fn s30_a_topic_is_not_there_for_a_while() {
    scenario(Theme::UnknownTopic, &["answers: unknown topic", "acknowledged"]);
}

#[test]
fn s32_topics_are_deleted_and_made_again() {
    scenario(Theme::Recreation, &["topics recreated", "acknowledged"]);
}

#[test]
fn s34_brokers_that_do_not_know_the_producer_refuse_its_first_batches() {
    scenario(Theme::Strangers, &["injected faults", "later epochs", "acknowledged"]);
}

#[test]
fn s35_batches_expire_in_flight_and_answers_come_late() {
    scenario(Theme::LateAnswers, &["expired", "later epochs", "acknowledged"]);
}

#[test]
fn s36_batches_are_split_with_several_in_flight() {
    scenario(Theme::Splits, &["splits", "later epochs", "acknowledged"]);
}

#[test]
fn s37_epochs_are_used_up() {
    scenario(Theme::LastEpochs, &["later epochs", "new producer ids", "acknowledged"]);
}

#[test]
fn s37_sequences_wrap() {
    scenario(Theme::Wrap, &["batches after a wrap", "acknowledged"]);
}

const SEEDS: u64 = 24;
