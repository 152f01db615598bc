//! What connections go through in `cargo xtask chaos` where they are to be cut: kafka-mock's fault proxy.
//!
//! Says where it listens, then does what it is told on standard input: `cut`, `mute`, `reset` and `mend`, each answered with how many
//! connections there were so far. Ends with its input.

use std::io::{self, BufRead, Write};
use std::time::Duration;

use kafka_mock::proxy::{Line, Proxy, Way};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let brokers = words.next().ok_or("whom to stand before?")?;
    let seed = words.next().ok_or("a seed is wanted")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let proxy = runtime.block_on(Proxy::builder(brokers).seed(seed).start())?;
    say(&proxy.bootstrap_servers())?;
    for command in io::stdin().lock().lines() {
        match command?.as_str() {
            "cut" => {
                proxy.set_line(Line::new().lifetime(SHORTEST..=LONGEST));
                // Those that are there have no such end before them.
                proxy.reset_all();
            }
            "mute" => proxy.set_line(Line::new().pause(Way::Responses)),
            "reset" => {
                // First, or what is held back would come through.
                proxy.reset_all();
                proxy.set_line(Line::new());
            }
            "mend" => proxy.set_line(Line::new()),
            other => return Err(format!("what is {other:?}?").into()),
        }
        say(&proxy.connections().to_string())?;
    }
    runtime.block_on(proxy.shutdown());
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_millis(1500);
