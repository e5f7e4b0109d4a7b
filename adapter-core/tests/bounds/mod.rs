//! What every bound of a node accounts, against what is held by the counting allocator (G12).
//!
//! Each queue is filled to its bound, with packets of 64 bytes and of 64 KiB, and with what is worst for it: slices of much
//! larger messages, say. Tables double when they grow, so each is filled to several bounds, and the worst of them counts.

mod answers;
mod held;
mod history;
mod hub;
mod inbox;
mod outgoing;

use bytes::Bytes;

/// A packet of the small sort, and one of the large.
const SMALL: usize = 64;
const LARGE: usize = 64 << 10;

/// The bounds that a queue is filled to, as parts of its default.
const PARTS: [f64; 5] = [1.0, 0.88, 0.77, 0.67, 0.58];

/// What one queue accounts when it is full, and what it holds then.
struct Full {
    accounted: usize,
    held: usize,
}

/// Fills something under the counting allocator: it is what `fill` returns, beside the bytes that it accounts.
fn full<T>(fill: impl FnOnce() -> (T, usize)) -> Full {
    let mut filled = None;
    let spent = allocation_counter::measure(|| filled = Some(fill()));
    let accounted = filled.as_ref().map_or(0, |(_, accounted)| *accounted);
    drop(filled);
    Full { accounted, held: usize::try_from(spent.bytes_current).unwrap_or(0) }
}

impl Full {
    fn ratio(&self) -> f64 {
        self.held as f64 / self.accounted as f64
    }
}

/// The table, as it is printed, and what in it is over the limit.
#[derive(Default)]
struct Table {
    wrong: Vec<String>,
}

impl Table {
    /// One line: the worst of all bounds.
    fn row(&mut self, what: &str, with: &str, fill: impl Fn(f64) -> Full) {
        let worst = PARTS.map(&fill).into_iter().max_by(|a, b| a.ratio().total_cmp(&b.ratio())).expect("several");
        let line = format!(
            "{what:<32} {with:<42} {:>9} KiB accounted {:>9} KiB held {:>6.2}",
            worst.accounted >> 10,
            worst.held >> 10,
            worst.ratio()
        );
        println!("{line}");
        assert!(worst.accounted > 0, "nothing was accounted: {line}");
        if worst.ratio() > 1.5 {
            self.wrong.push(line);
        }
    }
}

fn packet(len: usize) -> Bytes {
    vec![b'p'; len].into()
}

fn part_of(bound: usize, part: f64) -> usize {
    (bound as f64 * part) as usize
}

#[test]
fn g12_what_is_held_is_within_one_and_a_half_times_of_what_is_accounted() {
    let mut table = Table::default();
    outgoing::rows(&mut table);
    inbox::rows(&mut table);
    held::rows(&mut table);
    history::rows(&mut table);
    answers::rows(&mut table);
    hub::rows(&mut table);
    assert!(table.wrong.is_empty(), "more is held than is accounted:\n{}", table.wrong.join("\n"));
}
