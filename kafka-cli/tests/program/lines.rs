//! What `linger produce` makes of lines, and what `consume` makes of records: separators, line ends, what is refused.

use std::process::Output;

use crate::common::{Cluster, errors, run, succeeds, three_brokers};

/// To topic `one`, with these arguments.
fn produce(cluster: &Cluster, arguments: &[&str], input: &[u8]) -> Output {
    let servers = cluster.servers();
    run(&[&["produce", "-b", &servers, "--topic", "one"], arguments].concat(), input)
}

/// Keys and values, with `-` for those that are null.
fn stored(cluster: &Cluster) -> Vec<(String, String)> {
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or_else(|| "-".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let records = cluster.mock.records("one", 0);
    records.iter().map(|it| (text(it.record.key.as_deref()), text(it.record.value.as_deref()))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The arguments cannot be understood.
fn refused(output: &Output, words: &[&str]) {
    let said = errors(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "no {word:?} in: {said}"));
}

#[test]
fn the_summary_counts_what_was_sent_and_what_was_not() {
    let cluster = three_brokers();
    let mut input = b"12345\n".to_vec();
    input.extend(std::iter::repeat_n(b'x', 2 << 20));
    input.extend_from_slice(b"\n");
    input.extend(std::iter::repeat_n(b'y', 1 << 20));
    input.extend_from_slice(b"\n12345\n");
    let output = produce(&cluster, &[], &input);
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    for words in
        ["records       2, 10 B,", "delivered     2, failed 2, which were never sent", "2 records failed"]
    {
        assert!(said.contains(words), "no {words:?} in: {said}");
    }
    let output = produce(&cluster, &[], &input[6..input.len() - 6]);
    let said = errors(&output);
    for words in ["records       none", "delivered     0, failed 2, which were never sent"] {
        assert!(said.contains(words), "no {words:?} in: {said}");
    }
    cluster.stop();
}

#[test]
fn a_separator_is_written_as_in_a_format() {
    let cluster = three_brokers();
    succeeds(&produce(&cluster, &["--key-separator", r"\t"], b"a\tb\n"));
    succeeds(&produce(&cluster, &["--key-separator", r"\x1f"], b"c\x1fd\n"));
    succeeds(&produce(&cluster, &["--key-separator", r"\\"], b"e\\f\n"));
    succeeds(&produce(&cluster, &["--key-separator", "\t"], b"g\th\n"));
    assert_eq!(stored(&cluster), pairs(&[("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")]));
    refused(&produce(&cluster, &["--key-separator", ""], b"x\n"), &["--key-separator", "empty"]);
    refused(
        &produce(&cluster, &["--key-separator", r"\q"], b"x\n"),
        &["--key-separator", r"\q means nothing"],
    );
    refused(&produce(&cluster, &["--key-separator", r"\xg0"], b"x\n"), &["two hexadecimal digits"]);
    cluster.stop();
}

#[test]
fn lines_without_a_separator_are_told() {
    let cluster = three_brokers();
    let output = produce(&cluster, &["--key-separator", ":"], b"a:b\nc\nd:e\nf\n\n");
    succeeds(&output);
    let said = errors(&output);
    assert!(said.contains("3 lines without \":\" were sent without a key, line 2 the first"), "{said}");
    let output = produce(&cluster, &["--key-separator", ":"], b"a:b\n");
    assert!(!errors(&output).contains("without a key"), "{}", errors(&output));
    cluster.stop();
}

#[test]
fn line_ends_and_marks_of_other_systems_are_told() {
    let cluster = three_brokers();
    let crlf = r"line 1 ends in \r\n: the \r is part of the record";
    let bom = "line 1 begins with a byte order mark";
    for (input, hints) in [
        (&b"a\r\nb\r\n"[..], &[crlf][..]),
        (b"\xef\xbb\xbfa\nb\n", &[bom]),
        (b"\xef\xbb\xbfa\r\n", &[bom, crlf]),
        (b"\xff\xfea\0\n\0", &["UTF-16"]),
        (b"a\nb\r\n", &[]),
        (b"a\r", &[]),
        (b"", &[]),
    ] {
        let output = produce(&cluster, &[], input);
        succeeds(&output);
        let said = errors(&output);
        hints.iter().for_each(|hint| assert!(said.contains(hint), "no {hint:?} in: {said}"));
        assert_eq!(said.matches("warning").count(), hints.len(), "{said}");
    }
    assert_eq!(stored(&cluster)[0].1, "a\r", "every byte is kept");
    let help = String::from_utf8(run(&["produce", "--help"], b"").stdout).unwrap();
    assert!(help.contains(r"A line ends in \n"), "{help}");
    cluster.stop();
}

#[test]
fn formats_have_no_escapes_that_mean_nothing() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    succeeds(&produce(&cluster, &[], b"v\n"));
    let consume = |format: &str| run(&["consume", "-b", &servers, "--topic", "one", "--format", format], b"");
    refused(&consume(r"%s\q"), &["--format", r"\q means nothing", r"\n"]);
    refused(&consume(r"%s\"), &["--format", r"write \\"]);
    refused(&consume(r"%s\x0"), &["--format", "two hexadecimal digits"]);
    let output = consume(r"%s\t\r\0\x41\xff\\\n");
    succeeds(&output);
    assert_eq!(output.stdout, b"v\t\r\0A\xff\\\n");
    cluster.stop();
}

#[test]
fn a_setting_that_is_given_twice_is_told() {
    let cluster = three_brokers();
    let servers = cluster.servers();
    let output = produce(&cluster, &["-X", "linger.ms=1", "-X", "acks=all", "-X", "linger.ms=2"], b"x\n");
    succeeds(&output);
    assert!(
        errors(&output).contains("-X linger.ms is given twice; the last one, 2, counts"),
        "{}",
        errors(&output)
    );
    let setting = format!("bootstrap.servers={servers}");
    let output = run(&["produce", "-b", &servers, "-X", &setting, "--topic", "one"], b"x\n");
    succeeds(&output);
    assert!(
        errors(&output).contains("--bootstrap-server counts, not -X bootstrap.servers"),
        "{}",
        errors(&output)
    );
    let output = produce(&cluster, &["-X", "linger.ms=1", "-X", "acks=all"], b"x\n");
    assert!(!errors(&output).contains("warning"), "{}", errors(&output));
    cluster.stop();
}
