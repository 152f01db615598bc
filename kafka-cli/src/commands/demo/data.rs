//! What the demo sends: the README, and a log of orders and clicks that is the same in every run.

/// A record to be sent.
#[derive(Debug)]
pub(super) struct Item {
    /// Its place in the order of sending.
    pub(super) number: usize,
    pub(super) topic: &'static str,
    pub(super) key: Option<String>,
    pub(super) value: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Item {
    /// The bytes that are the program's own.
    pub(super) fn payload(&self) -> u64 {
        let headers: usize = self.headers.iter().map(|(key, value)| key.len() + value.len()).sum();
        (self.key.as_ref().map_or(0, String::len) + self.value.len() + headers) as u64
    }
}

/// The topics, and how many partitions each has.
pub(super) const TOPICS: [(&str, i32); 3] = [(README, 1), (CLICKS, 3), (ORDERS, 6)];

const README: &str = "readme";
const CLICKS: &str = "clicks";
const ORDERS: &str = "orders";

/// The README line by line, then `orders` orders with keys, and a click without key and with headers after every second.
pub(super) fn make(orders: u32) -> Vec<Item> {
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut items = Vec::new();
    for line in include_str!("../../../../README.md").lines() {
        push(&mut items, README, None, line.to_owned(), Vec::new());
    }
    for number in 0..orders {
        let customer = rng.u32(..CUSTOMERS);
        let (pieces, cents) = (rng.u32(1..6), rng.u32(100..100_000));
        let value = format!(
            r#"{{"order":{number},"customer":{customer},"pieces":{pieces},"total":"{}.{:02} EUR","state":"{}"}}"#,
            cents / 100,
            cents % 100,
            ["new", "paid", "sent"][rng.usize(..3)]
        );
        push(&mut items, ORDERS, Some(format!("customer-{customer}")), value, Vec::new());
        if number % 2 == 0 {
            let page = ["/", "/cart", "/search", "/product"][rng.usize(..4)];
            let headers = vec![("session", format!("{:016x}", rng.u64(..))), ("page", page.to_owned())];
            push(&mut items, CLICKS, None, format!("click {number} on {page}"), headers);
        }
    }
    items
}

fn push(
    items: &mut Vec<Item>,
    topic: &'static str,
    key: Option<String>,
    value: String,
    headers: Vec<(&'static str, String)>,
) {
    items.push(Item { number: items.len(), topic, key, value, headers });
}

const SEED: u64 = 7;
const CUSTOMERS: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_in_every_run() {
        let (one, two) = (make(100), make(100));
        assert_eq!(one.len(), include_str!("../../../../README.md").lines().count() + 150);
        assert!(one.iter().zip(&two).all(|(a, b)| a.value == b.value && a.headers == b.headers));
    }
}
