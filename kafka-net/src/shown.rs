//! Texts from outside, in messages.

/// A text from outside as it may stand in a message: on one line, and not longer than the name of a topic may be.
pub(crate) fn shown(text: &str) -> String {
    let plain = |c: char| if c == '\'' { vec![c] } else { c.escape_debug().collect() };
    let mut shown: String = text.chars().take(MAX_TOPIC).flat_map(plain).collect();
    if text.chars().nth(MAX_TOPIC).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The longest name of a topic.
pub(crate) const MAX_TOPIC: usize = 249;
