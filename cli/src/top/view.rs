//! How it is drawn.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row as TableRow, Table};

use super::state::{Link, Rate, Row, State};
use crate::text::{clock, shown, size};

/// The lines of the log, with its border.
const LOG: u16 = 8;

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &State) {
    let areas =
        Layout::vertical([Constraint::Length(4), Constraint::Min(3), Constraint::Length(LOG), Constraint::Length(1)]);
    let [head, nodes, log, foot] = areas.areas(frame.area());
    frame.render_widget(Paragraph::new(summary(state)), head);
    frame.render_widget(table(state), nodes);
    let lines: Vec<_> = state.events.iter().map(|(at, text)| Line::from(format!("{}  {text}", clock(*at)))).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::new().borders(Borders::TOP).title(" events ")), log);
    frame.render_widget(Line::from("q: quit").style(dim()), foot);
}

fn summary(state: &State) -> Vec<Line<'static>> {
    let stats = &state.stats;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let (slowest, round_trip) = (ms(state.slowest), ms(state.link.round_trip));
    let queue = &state.queue;
    let broker = state.link.broker.as_ref().map(|broker| format!(" ({broker})")).unwrap_or_default();
    let (sockets, nodes) = (state.sockets(), state.rows.len());
    let bad = |text: String, is_bad: bool| Span::styled(text, if is_bad { alarm() } else { Style::new() });
    vec![
        Line::from(vec![
            Span::styled(format!("roomcast: {}{broker}", state.title), bold),
            Span::raw("  "),
            link(state),
        ]),
        Line::from(format!(
            "nodes {nodes}  sockets {sockets}  packets {}/s  {}/s  round trip {round_trip}  slowest reply {slowest}",
            number(state.total.packets),
            bytes(state.total),
        )),
        Line::from(vec![
            Span::raw(format!(
                "queued {} ({}, {:.1} s)  repaired {}  ",
                queue.messages,
                size(usize::try_from(queue.bytes).unwrap_or(usize::MAX)),
                queue.oldest.as_secs_f64(),
                stats.repaired
            )),
            bad(format!("lost {}", stats.lost), stats.lost > 0),
            Span::raw(format!("  held {}  ", size(usize::try_from(stats.held_bytes).unwrap_or(usize::MAX)))),
            bad(format!("unreadable {}", stats.malformed + stats.too_new), stats.malformed + stats.too_new > 0),
        ]),
        Line::from(""),
    ]
}

fn link(state: &State) -> Span<'static> {
    let Link { down, since, outages, .. } = &state.link;
    let since = since.as_secs();
    match down {
        Some(reason) => Span::styled(format!("link down for {since} s: {reason}"), alarm()),
        None if *outages > 0 => Span::styled(format!("link up for {since} s, outages {outages}"), good()),
        None => Span::styled(format!("link up for {since} s"), good()),
    }
}

fn ms(time: Option<Duration>) -> String {
    time.map_or("?".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
}

fn table(state: &State) -> Table<'static> {
    let row = |Row { node, heard, sockets, rate }: &Row| {
        let (sockets, style) = match sockets {
            Ok(sockets) => (sockets.to_string(), Style::new()),
            Err(why) => (why.clone(), alarm()),
        };
        let name = if node.name.is_empty() { "-".to_owned() } else { shown(&node.name) };
        let (id, heard) = (node.id.to_string()[..8].to_owned(), format!("{:.1} s", heard.as_secs_f64()));
        cells([name, id, number(rate.packets), bytes(*rate), heard, sockets]).style(style)
    };
    let emitters = (state.emitters.packets > 0.0).then(|| {
        let Rate { packets, .. } = state.emitters;
        let [name, no] = ["emitters", ""].map(str::to_owned);
        cells([name, no.clone(), number(packets), bytes(state.emitters), no.clone(), no]).style(dim())
    });
    let widths = [
        Constraint::Min(12),
        Constraint::Length(8),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(6),
        Constraint::Min(8),
    ];
    let header = cells(["NODE", "ID", "PACKETS/s", "BYTES/s", "HEARD", "SOCKETS"].map(str::to_owned)).style(dim());
    Table::new(state.rows.iter().map(row).chain(emitters), widths).header(header)
}

fn cells(cells: [String; 6]) -> TableRow<'static> {
    TableRow::new(cells.map(Cell::from))
}

fn bytes(rate: Rate) -> String {
    match rate.bytes {
        rate if rate < 1024.0 => format!("{rate:.0} B"),
        rate if rate < 1_048_576.0 => format!("{:.1} KiB", rate / 1024.0),
        rate => format!("{:.1} MiB", rate / 1_048_576.0),
    }
}

fn number(rate: f64) -> String {
    if rate < 10.0 && rate > 0.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn good() -> Style {
    Style::new().fg(Color::Green)
}

fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use roomcast::{Gathered, Node, NodeId, QueueStatus, Stats};

    use super::super::meter::Amount;
    use super::super::state::Sample;
    use super::*;

    fn state() -> State {
        let [one, two] = [2, 3].map(|byte| NodeId::from_bytes([byte; 16]));
        let node = |id, name: &str| (Node::new(id, name), Duration::from_millis(750));
        let mut state = State::new("shop at redis://127.0.0.1".to_owned());
        let (mut stats, mut queue) = (Stats::default(), QueueStatus::default());
        (stats.lost, queue.messages, queue.bytes, queue.oldest) = (3, 12, 2048, Duration::from_millis(500));
        let round_trip = Some(Duration::from_millis(2));
        state.sample(Sample {
            over: Duration::from_secs(1),
            nodes: vec![node(two, "web-2"), node(one, "web\u{1b}-1")],
            link: Link {
                since: Duration::from_secs(61),
                round_trip,
                broker: Some("Redis 7.0.15".to_owned()),
                ..Link::default()
            },
            queue,
            stats,
            passed: HashMap::from([(two, Amount { packets: 1200, bytes: 2 << 20 })]),
        });
        let items = vec![(NodeId::from_bytes([1; 16]), 0), (one, 5), (two, 7)];
        state.counted(Duration::from_millis(3), Gathered::new(items, Vec::new()));
        state.log(3_723_004, "node 03 (web-2) is up".to_owned());
        state
    }

    fn drawn(state: &State, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test's");
        terminal.draw(|frame| draw(frame, state)).expect("drawn");
        let buffer = terminal.backend().buffer().clone();
        let line = |row: &[ratatui::buffer::Cell]| row.iter().map(|cell| cell.symbol()).collect::<String>();
        buffer.content().chunks(usize::from(width)).map(|row| line(row).trim_end().to_owned()).collect()
    }

    #[test]
    fn nodes_rates_and_events_are_on_the_screen() {
        let lines = drawn(&state(), 90, 20);
        let all = lines.join("\n");
        assert_eq!(lines[0], "roomcast: shop at redis://127.0.0.1 (Redis 7.0.15)  link up for 61 s");
        assert_eq!(lines[1], "nodes 2  sockets 12  packets 1200/s  2.0 MiB/s  round trip 2.0 ms  slowest reply 3.0 ms");
        assert!(lines[2].starts_with("queued 12 (2 KiB, 0.5 s)  repaired 0  lost 3  held 0 bytes"), "{all}");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&lines[6]), ["web-2", "03030303", "1200", "2.0", "MiB", "0.8", "s", "7"]);
        assert_eq!(words(&lines[5])[..2], ["web\\u{1b}-1", "02020202"]);
        assert!(all.contains("01:02:03.004  node 03 (web-2) is up") && !all.contains('\u{1b}'), "{all}");
    }

    #[test]
    fn a_link_that_is_or_was_down_says_so() {
        let mut state = state();
        state.link.outages = 2;
        assert!(drawn(&state, 90, 20)[0].ends_with("link up for 61 s, outages 2"));
        state.link.down = Some("connection refused".to_owned());
        assert!(drawn(&state, 90, 20)[0].ends_with("link down for 61 s: connection refused"));
    }

    #[test]
    fn a_terminal_of_any_size_is_drawn() {
        for (width, height) in [(1, 1), (10, 3), (20, 5), (300, 100)] {
            drawn(&state(), width, height);
        }
    }
}
