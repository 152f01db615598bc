//! What becomes of records is told, whenever the answer came.

use std::io::Write;
use std::process::Stdio;

use kafka_mock::Rule;
use kafka_wire::ApiKey;

use crate::common::{errors, linger, run, succeeds, three_brokers};

/// Answers are looked at every few hundred lines: what failed long before the end is counted and named like all others.
#[test]
fn a_record_that_failed_long_before_the_end_is_named_at_the_end() {
    let cluster = three_brokers();
    cluster.mock.set_topic_config("one", "max.message.bytes", "1000").unwrap();
    let arguments = ["produce", "-b", &cluster.servers(), "--topic", "one", "-X", "linger.ms=0"];
    let mut child = linger(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[&[b'z'; 2000][..], b"\nsecond\n"].concat()).unwrap();
    // The second one follows the first one's refusal: before that, one batch at a time is sent.
    cluster.wait_for_records();
    stdin.write_all("later\n".repeat(1000).as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for word in ["delivered     1 001, failed 1", "1 record failed", "line 1:", "MESSAGE_TOO_LARGE"] {
        assert!(errors.contains(word), "no {word:?} in: {errors}");
    }
    // And with nothing that failed, it is a success.
    succeeds(&run(&arguments, b"third\n"));
    cluster.stop();
}

/// Whether it may be in the log is the first thing to know of a record that failed, and is never said of one that is not there.
#[test]
fn records_that_may_be_in_the_log_all_the_same_are_counted_apart() {
    let cluster = three_brokers();
    cluster.mock.set_topic_config("one", "max.message.bytes", "1000").unwrap();
    let times = ["-X", "delivery.timeout.ms=5000", "-X", "request.timeout.ms=1000", "-X", "linger.ms=0"];
    let servers = cluster.servers();
    let arguments = [&["produce", "-b", &servers, "--topic", "one"][..], &times].concat();
    let refused = errors(&run(&arguments, &[b'z'; 2000]));
    assert!(refused.contains("1 record failed:\n"), "{refused}");
    cluster.mock.add_rule(Rule::on(ApiKey::PRODUCE).silence_after_apply());
    let doubtful = errors(&run(&arguments, b"x\ny\n"));
    let told = "2 records failed, 2 of which may be in the log all the same:\n";
    assert!(doubtful.contains(told), "{doubtful}");
    assert_eq!(cluster.mock.records("one", 0).len(), 2);
    cluster.stop();
}
