//! The file of a script for the proxy.

use kafka_wire::NodeId;
use serde::Deserialize;

use super::ScriptError;
use super::words::{Api, Probability, Times};
use crate::proxy::{Line, ProxyBuilder, Tamper, Way};

impl ProxyBuilder {
    /// What a text in TOML says: `seed`, a table `[line]`, and tables `[[tamper]]` with a `way`, which is `"requests"` or
    /// `"responses"`. The names are those of the methods in Rust, with `-` for `_`. A seed and a line that were given before
    /// stay where the text has none; its tampers come behind those that are there.
    ///
    /// ```
    /// # fn main() -> Result<(), kafka_mock::ScriptError> {
    /// let builder = kafka_mock::proxy::Proxy::builder("localhost:9092").script_toml(r#"
    ///     seed = 7
    ///
    ///     [line]
    ///     rate = 125000                     # bytes a second
    ///     lifetime = ["500ms", "1.5s"]      # then each connection is reset
    ///     ## pause = "requests", "responses" or "both"; hold = true; refuse = true; cut-after-requests = 1000
    ///
    ///     [[tamper]]
    ///     way = "responses"
    ///     api = "Produce"
    ///     nth = 3
    ///     reset-after = 7                   # also discard, duplicate, stall, delay, close-after
    /// "#)?;
    /// # drop(builder);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the text is no TOML, or says something that no script says: the error names the line.
    pub fn script_toml(mut self, text: &str) -> Result<Self, ScriptError> {
        let file = ProxyFile::read(text)?;
        if let Some(seed) = file.seed {
            self = self.seed(seed);
        }
        if let Some(line) = file.line() {
            self = self.line(line);
        }
        Ok(file.tampers().fold(self, Self::tamper))
    }
}

/// What a file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxyFile {
    seed: Option<u64>,
    line: Option<LineTable>,
    #[serde(default)]
    tamper: Vec<Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct LineTable {
    rate: Option<u64>,
    lifetime: Option<Times>,
    pause: Option<Ways>,
    cut_after_requests: Option<u64>,
    cut_after_responses: Option<u64>,
    hold: bool,
    refuse: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ways {
    Requests,
    Responses,
    Both,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OneWay {
    Requests,
    Responses,
}

/// A table `[[tamper]]` that makes sense.
#[derive(Debug, Deserialize)]
#[serde(try_from = "TamperTable")]
struct Entry(Tamper);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TamperTable {
    way: OneWay,
    name: Option<String>,
    api: Option<Api>,
    broker: Option<i32>,
    client_id: Option<String>,
    skip: Option<u64>,
    times: Option<u64>,
    nth: Option<u64>,
    probability: Option<Probability>,
    #[serde(default)]
    discard: bool,
    delay: Option<Times>,
    #[serde(default)]
    duplicate: bool,
    close_after: Option<usize>,
    reset_after: Option<usize>,
    #[serde(default)]
    stall: bool,
}

impl ProxyFile {
    fn read(text: &str) -> Result<Self, ScriptError> {
        toml::from_str(text).map_err(|error| ScriptError::new(text, error))
    }

    /// What connections are like, if the file says so.
    fn line(&self) -> Option<Line> {
        let table = self.line.as_ref()?;
        let mut line = Line::new();
        if let Some(rate) = table.rate {
            line = line.rate(rate);
        }
        if let Some(Times(shortest, longest)) = table.lifetime {
            line = line.lifetime(shortest..=longest);
        }
        for (way, ways, cut) in [
            (Way::Requests, Ways::Requests, table.cut_after_requests),
            (Way::Responses, Ways::Responses, table.cut_after_responses),
        ] {
            if table.pause.is_some_and(|pause| pause == ways || pause == Ways::Both) {
                line = line.pause(way);
            }
            if let Some(bytes) = cut {
                line = line.cut_after(way, bytes);
            }
        }
        if table.hold {
            line = line.hold();
        }
        Some(if table.refuse { line.refuse() } else { line })
    }

    fn tampers(self) -> impl Iterator<Item = Tamper> {
        self.tamper.into_iter().map(|Entry(tamper)| tamper)
    }
}

counted_entry!(TamperTable);

impl From<TamperTable> for Tamper {
    fn from(table: TamperTable) -> Self {
        from_table! {
            table => Self::with(match table.way {
                OneWay::Requests => Way::Requests,
                OneWay::Responses => Way::Responses,
            });
            [discard, duplicate, stall]
            name => |tamper, name| tamper.named(name);
            api => |tamper, Api(api)| tamper.api(api);
            broker => |tamper, broker| tamper.broker(NodeId(broker));
            client_id => |tamper, id| tamper.client_id(id);
            nth => |tamper, nth| tamper.nth(nth);
            skip => |tamper, skip| tamper.skip(skip);
            times => |tamper, times| tamper.times(times);
            probability => |tamper, Probability(probability)| tamper.probability(probability);
            delay => |tamper, Times(shortest, longest)| tamper.delay_between(shortest..=longest);
            close_after => |tamper, bytes| tamper.close_after(bytes);
            reset_after => |tamper, bytes| tamper.reset_after(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kafka_wire::ApiKey;

    use super::*;

    #[test]
    fn a_file_says_what_rust_says() {
        let file = ProxyFile::read(
            r#"
            seed = 3
            [line]
            rate = 125000
            lifetime = ["500ms", "1.5s"]
            pause = "both"
            cut-after-responses = 20
            [[tamper]]
            way = "responses"
            api = "Produce"
            nth = 3
            reset-after = 7
            [[tamper]]
            way = "requests"
            broker = 2
            probability = 0.01
            delay = "2s"
            duplicate = true
            "#,
        );
        let file = file.expect("sound");
        assert_eq!(file.seed, Some(3));
        let line = Line::new()
            .rate(125_000)
            .lifetime(Duration::from_millis(500)..=Duration::from_millis(1500))
            .pause(Way::Requests)
            .pause(Way::Responses)
            .cut_after(Way::Responses, 20);
        assert_eq!(file.line(), Some(line));
        let second = Duration::from_secs(2);
        let tampers: Vec<_> = file.tampers().collect();
        assert_eq!(
            tampers,
            [
                Tamper::with(Way::Responses).api(ApiKey::PRODUCE).nth(3).reset_after(7),
                Tamper::with(Way::Requests)
                    .broker(NodeId(2))
                    .probability(0.01)
                    .delay_between(second..=second)
                    .duplicate(),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, words) in [
            ("[[tamper]]\nway = \"up\"\n", 2, "unknown variant `up`"),
            ("[line]\nrate = -1\n", 2, ""),
            ("[line]\n\nspeed = 1\n", 3, "unknown field `speed`"),
            ("\n[[tamper]]\nstall = true\n", 2, "missing field `way`"),
            ("[[tamper]]\nway = \"requests\"\nnth = 1\ntimes = 2\n", 1, "`nth` goes without"),
        ] {
            let error = ProxyFile::read(text).expect_err(text);
            assert_eq!(error.line(), Some(line), "{text}: {error}");
            assert!(error.message().contains(words), "{text}: {error}");
        }
    }
}
