use socketioxide_core::Str;

use super::*;

const BOUND: usize = 4 << 20;

fn packet(len: usize) -> Packet {
    let mut text = format!("[\"{}\"]", "p".repeat(len));
    text.shrink_to_fit();
    Packet::event("/", Value::Str(Str::from(text), None))
}

/// Fills a backlog until it takes nothing more, and says how much it holds for each byte that it accounts.
fn held_for_each_byte(sockets: usize, bound: usize, item: impl Fn(&Backlog) -> Item) -> f64 {
    let sockets: Vec<_> = (0..sockets).map(|_| Sid::new()).collect();
    let (mut accounted, mut filled) = (0, None);
    let spent = allocation_counter::measure(|| {
        let mut backlog = Backlog::bounded(bound);
        'full: loop {
            // One packet for all of them.
            let one = item(&backlog);
            for socket in &sockets {
                let item = match &one {
                    Item::Packet(payload) => Item::Packet(Arc::clone(payload)),
                    _ => item(&backlog),
                };
                if !backlog.push(*socket, item) {
                    break 'full;
                }
            }
        }
        accounted = backlog.held();
        assert!(accounted.abs_diff(bound) < bound / 8, "{accounted} of {bound}");
        filled = Some(backlog);
    });
    drop(filled);
    spent.bytes_current as f64 / accounted as f64
}

/// Queues double when they grow: each is filled to several bounds, and the worst of them counts.
fn worst(sockets: usize, item: impl Fn(&Backlog) -> Item) -> f64 {
    let bounds = [1.0, 0.88, 0.77, 0.67, 0.58].map(|part| (BOUND as f64 * part) as usize);
    bounds.map(|bound| held_for_each_byte(sockets, bound, &item)).into_iter().fold(0.0, f64::max)
}

#[test]
fn g12_what_is_held_is_within_one_and_a_half_times_of_what_is_accounted() {
    let packets = |len| move |backlog: &Backlog| Item::Packet(backlog.payload(packet(len)));
    let rows = [
        ("one socket, packets of 64 B", worst(1, packets(64))),
        ("one socket, packets of 64 KiB", worst(1, packets(64 << 10))),
        ("100 sockets, packets of 64 B", worst(100, packets(64))),
        ("100,000 sockets, a packet of 64 B", worst(100_000, packets(64))),
        ("100,000 sockets, one disconnect each", worst(100_000, |_| Item::Disconnect)),
    ];
    for (what, ratio) in rows {
        println!("{what:<40} {ratio:.2}");
    }
    let wrong: Vec<_> = rows.iter().filter(|(_, ratio)| *ratio > 1.5).collect();
    assert!(wrong.is_empty(), "more is held than is accounted: {wrong:?}");
}

#[test]
fn g12_what_has_waited_counts_no_more() {
    let mut backlog = Backlog::bounded(BOUND);
    let (one, two) = (Sid::new(), Sid::new());
    let now = Instant::now();
    for socket in [one, two] {
        let payload = backlog.payload(packet(64));
        assert!((0..50).all(|_| backlog.push(socket, Item::Packet(Arc::clone(&payload)))));
    }
    backlog.turn(now, 10, |_, _| Offered::Taken);
    assert_eq!(backlog.places, 90 * PLACE);
    let lost = backlog.turn(now, 10, |_, _| Offered::Gone);
    assert_eq!((lost, backlog.places), (50, 40 * PLACE));
    backlog.recover();
    assert_eq!(backlog.places, 40 * PLACE);
    while !backlog.is_empty() {
        backlog.turn(now, 32, |_, _| Offered::Taken);
    }
    assert_eq!(backlog.held(), 0);
}
