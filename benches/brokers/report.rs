//! The figures, as a table: medians, with the least and the greatest of all rounds.

use std::fmt;

use crate::rounds::{Round, Turn};

/// The median of some figures, and how far they go.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

type Figure = fn(&Turn) -> Option<f64>;

const COLUMNS: [(&str, Figure); 5] = [
    ("messages/s", |turn| Some(turn.rate)),
    ("CPU us: clients", |turn| Some(turn.cpu)),
    ("broker", |turn| turn.broker_cpu),
    ("p50 us", |turn| Some(turn.p50)),
    ("p99 us", |turn| Some(turn.p99)),
];

/// Prints a line for each contestant, and one for the ratio of the last to each of the others.
pub(crate) fn print(rounds: &[Round]) {
    let names = COLUMNS.map(|(name, _)| name).join(" | ");
    println!("| | {names} | lost | astray | foreign cores |\n|---|---|---|---|---|---|---|---|---|");
    let Some(first) = rounds.first() else { return };
    for (index, turn) in first.iter().enumerate() {
        let turns: Vec<_> = rounds.iter().map(|round| &round[index]).collect();
        let cells = COLUMNS.map(|(_, figure)| cell(turns.iter().map(|turn| figure(turn))));
        let sum = |count: fn(&Turn) -> u64| turns.iter().map(|turn| count(turn)).sum::<u64>();
        let foreign = cell(turns.iter().map(|turn| Some(turn.foreign)));
        let (lost, astray) = (sum(|turn| turn.lost), sum(|turn| turn.astray));
        println!("| {} | {} | {lost} | {astray} | {foreign} |", turn.name, cells.join(" | "));
    }
    let Some((last, others)) = first.split_last() else { return };
    for (index, other) in others.iter().enumerate() {
        let cells = COLUMNS.map(|(_, figure)| {
            cell(rounds.iter().map(|round| Some(figure(&round[others.len()])? / figure(&round[index])?)))
        });
        println!("| {} / {} | {} | | | |", last.name, other.name, cells.join(" | "));
    }
}

fn cell(figures: impl Iterator<Item = Option<f64>>) -> String {
    let figures: Option<Vec<_>> = figures.collect();
    figures.map_or_else(|| "-".to_owned(), |figures| Spread::of(figures).to_string())
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median =
            if figures.len() % 2 == 1 { figures[middle] } else { (figures[middle - 1] + figures[middle]) / 2.0 };
        Self { median, least: figures[0], most: figures[figures.len() - 1] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |figure: f64| match figure {
            f if f >= 10_000.0 => format!("{:.0}k", f / 1000.0),
            f if f >= 100.0 => format!("{f:.0}"),
            f => format!("{f:.2}"),
        };
        write!(f, "{} ({}-{})", text(self.median), text(self.least), text(self.most))
    }
}
