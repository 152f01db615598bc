//! How long the load stood still, from the times of its acknowledgements.

use std::collections::BTreeMap;

use super::check::Answers;

/// Something that was done to the cluster or to the load, and which partitions it concerned.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// In a few words.
    pub(crate) what: String,
    /// When it began, in milliseconds since 1970.
    pub(crate) began: u64,
    /// From when on the brokers could be written to again.
    pub(crate) ended: u64,
    /// All if empty.
    pub(crate) partitions: Vec<i32>,
}

/// The times of one fault, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// From the fault's end to the first acknowledgement of the last partition concerned.
    pub(crate) first_ack: Option<u64>,
    /// From the fault's end to the first second in which as many were acknowledged as were to be sent, nearly.
    pub(crate) full_rate: Option<u64>,
}

/// What came of each fault.
pub(crate) fn recoveries(answers: &Answers, faults: &[Fault], rate: u64) -> Vec<Recovery> {
    let bins = bins(answers);
    faults.iter().map(|fault| recovery(answers, fault, &bins, rate)).collect()
}

fn recovery(answers: &Answers, fault: &Fault, bins: &BTreeMap<u64, u64>, rate: u64) -> Recovery {
    let concerned = |partition: &i32| fault.partitions.is_empty() || fault.partitions.contains(partition);
    let first = |times: &Vec<(u64, u32)>| {
        let at = times.partition_point(|(at, _)| *at < fault.ended);
        times.get(at).map(|(at, _)| at - fault.ended)
    };
    let firsts =
        answers.acked.iter().filter(|(partition, _)| concerned(partition)).map(|(_, times)| first(times));
    let first_ack = firsts.collect::<Option<Vec<_>>>().and_then(|firsts| firsts.into_iter().max());
    let last = bins.keys().next_back().copied().unwrap_or_default();
    let wanted = rate * FULL_PERCENT / 100;
    let full_rate = (fault.ended / BIN..=last)
        .find(|bin| (*bin..*bin + BINS_A_SECOND).filter_map(|bin| bins.get(&bin)).sum::<u64>() >= wanted)
        .map(|bin| (bin * BIN).saturating_sub(fault.ended));
    Recovery { first_ack, full_rate }
}

/// The longest time, in milliseconds, in which no record of some partition was acknowledged, between the first and the
/// last acknowledgement of all. A partition that came later counts from its first.
pub(crate) fn longest_stall(answers: &Answers) -> u64 {
    let end =
        answers.acked.values().filter_map(|times| times.last()).map(|(at, _)| *at).max().unwrap_or_default();
    let stalls = answers.acked.values().flat_map(|times| {
        let last = times.last().map_or(0, |(at, _)| end - at);
        times.windows(2).map(|pair| pair[1].0 - pair[0].0).chain([last])
    });
    stalls.max().unwrap_or_default()
}

/// Acknowledgements in each tenth of a second.
fn bins(answers: &Answers) -> BTreeMap<u64, u64> {
    let mut bins = BTreeMap::new();
    for (at, count) in answers.acked.values().flatten() {
        *bins.entry(at / BIN).or_default() += u64::from(*count);
    }
    bins
}

const BIN: u64 = 100;
const BINS_A_SECOND: u64 = 1000 / BIN;
const FULL_PERCENT: u64 = 90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_the_end_of_the_fault() {
        let mut answers = Answers::default();
        // A thousand a second in each partition; partition 1 stands still from 20 s to 25 s.
        for at in (10_000..40_000).step_by(100) {
            answers.acked.entry(0).or_default().push((at, 100));
            if !(20_000..25_000).contains(&at) {
                answers.acked.entry(1).or_default().push((at, 100));
            }
        }
        let fault = Fault { what: "kill".into(), began: 20_000, ended: 22_050, partitions: vec![1] };
        let all = Fault { partitions: Vec::new(), ..fault.clone() };
        let other = Fault { partitions: vec![0], ..fault.clone() };
        let found = recoveries(&answers, &[fault, all, other], 2000);
        assert_eq!(found[0].first_ack, Some(2950));
        assert_eq!(found[1].first_ack, Some(2950));
        assert_eq!(found[2].first_ack, Some(50));
        // Nine tenths of the second from 24.8 s on.
        assert!((2700..=2950).contains(&found[0].full_rate.unwrap()), "{found:?}");
        assert_eq!(longest_stall(&answers), 5100);
        let never = Fault { what: String::new(), began: 50_000, ended: 60_000, partitions: Vec::new() };
        assert_eq!(recoveries(&answers, &[never], 2000), [Recovery::default()]);
    }
}
