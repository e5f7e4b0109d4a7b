use super::*;

const TICK: Duration = Duration::from_millis(250);

fn verdicts(echo: &mut Echo, ticks: usize, busy: bool) -> Vec<Verdict> {
    let tick = |_| {
        if busy {
            echo.arrived();
        }
        echo.tick(TICK, true, false)
    };
    (0..ticks).map(tick).filter(|verdict| *verdict != Verdict::Fine).collect()
}

#[test]
fn g07_a_link_from_which_nothing_comes_is_degraded_then_dead_and_recovers_with_an_echo() {
    let now = Instant::now();
    let mut echo = Echo::new(now);
    echo.heartbeat_sent(1, now);
    assert_eq!(verdicts(&mut echo, 5, false), []);
    assert_eq!(verdicts(&mut echo, 3, false), [Verdict::Degraded, Verdict::Dead]);
    echo.heartbeat(1, now);
    assert_eq!(verdicts(&mut echo, 1, false), [Verdict::Recovered]);
    assert_eq!(verdicts(&mut echo, 100, false), []);
}

#[test]
fn g07_a_busy_link_is_not_dead_but_one_that_only_listens_is() {
    let now = Instant::now();
    let mut echo = Echo::new(now);
    echo.heartbeat_sent(1, now);
    assert_eq!(verdicts(&mut echo, 36, true), [Verdict::Degraded]);
    assert_eq!(verdicts(&mut echo, 4, true), [Verdict::Dead]);
}

/// Sends heartbeat `2n` and probe `2n + 1` in second `n`, when this has those back that come then.
fn each_second(back: impl Fn(&mut Echo, u64, Instant)) -> Vec<Verdict> {
    let now = Instant::now();
    let mut echo = Echo::new(now);
    let second = |n: u64| {
        let at = now + Duration::from_secs(n);
        echo.heartbeat_sent(2 * n, at);
        echo.probe_sent(2 * n + 1, at);
        back(&mut echo, n, at);
        verdicts(&mut echo, 4, true)
    };
    (0..20).flat_map(second).collect()
}

/// Every echo comes back so many seconds after what was sent.
fn late(seconds: u64) -> impl Fn(&mut Echo, u64, Instant) {
    move |echo, n, at| {
        if let Some(n) = n.checked_sub(seconds) {
            echo.heartbeat(2 * n, at);
            echo.probe(2 * n + 1, at);
        }
    }
}

#[test]
fn g07_a_link_whose_echoes_are_always_late_is_degraded_and_not_dead() {
    assert_eq!(each_second(late(3)), [Verdict::Degraded]);
}

#[test]
fn g07_a_link_with_an_echo_always_on_its_way_is_slow_and_not_degraded() {
    assert_eq!(each_second(late(1)), []);
}

#[test]
fn g07_a_link_that_is_late_for_a_while_recovers_although_an_echo_is_always_on_its_way() {
    let busy = |echo: &mut Echo, n: u64, at: Instant| match n {
        0..5 => late(3)(echo, n, at),
        5 => {} // those of three seconds come at once
        6 => (3..=5).for_each(|n| late(0)(echo, n, at)),
        _ => late(1)(echo, n, at),
    };
    assert_eq!(each_second(busy), [Verdict::Degraded, Verdict::Recovered]);
}

#[test]
fn an_echo_that_is_lost_is_forgotten_with_the_next() {
    let lossy = |echo: &mut Echo, n: u64, at: Instant| {
        if n.is_multiple_of(2) {
            late(0)(echo, n, at);
        }
    };
    assert_eq!(each_second(lossy), []);
}

#[test]
fn g07_a_link_of_which_one_channel_is_deaf_is_dead() {
    let probes = |echo: &mut Echo, n: u64, at: Instant| echo.probe(2 * n + 1, at);
    assert_eq!(each_second(probes), [Verdict::Degraded, Verdict::Dead, Verdict::Dead]);
}

#[test]
fn g07_echoes_that_come_after_the_link_was_given_up_are_late_all_the_same() {
    assert_eq!(each_second(late(11)), [Verdict::Degraded, Verdict::Dead]);
}

#[test]
fn g07_a_link_on_the_brink_is_degraded_once() {
    let unsteady = |echo: &mut Echo, n: u64, at: Instant| {
        if n >= 2 && n.is_multiple_of(2) {
            (n - 2..n).for_each(|n| late(0)(echo, n, at));
        }
    };
    assert_eq!(each_second(unsteady), [Verdict::Degraded]);
}

#[test]
fn g07_of_a_deaf_channel_the_oldest_echo_is_remembered_however_much_is_sent() {
    let now = Instant::now();
    let mut echo = Echo::new(now);
    let tick = |n: u64| {
        (100 * n..100 * n + 100).for_each(|counter| echo.probe_sent(counter, now));
        echo.arrived();
        echo.tick(TICK, true, false)
    };
    let said: Vec<_> = (0..20).map(tick).filter(|verdict| *verdict != Verdict::Fine).collect();
    assert_eq!(said, [Verdict::Degraded]);
    echo.probe(1999, now);
    assert_eq!(verdicts(&mut echo, 1, true), [Verdict::Recovered]);
}

#[test]
fn g07_what_waits_to_be_sent_is_overdue_unless_others_like_it_come_back() {
    let run = |comes_back: bool| {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        let tick = |n: u64| {
            let verdict = echo.tick(TICK, true, true);
            if comes_back {
                echo.heartbeat_sent(n, now);
                echo.heartbeat(n, now);
                echo.arrived();
            }
            verdict
        };
        (0..10).map(tick).filter(|verdict| *verdict != Verdict::Fine).collect::<Vec<_>>()
    };
    assert_eq!(run(true), []);
    assert_eq!(run(false), [Verdict::Degraded, Verdict::Dead]);
}

#[test]
fn g07_an_echo_is_awaited_from_when_its_heartbeat_was_due() {
    let now = Instant::now();
    let mut echo = Echo::new(now);
    assert!((0..4).all(|_| echo.tick(TICK, true, true) == Verdict::Fine));
    echo.heartbeat_sent(1, now);
    assert_eq!(verdicts(&mut echo, 2, true), [Verdict::Degraded]);
}

#[test]
fn in_a_ring_a_heartbeat_that_is_lost_is_forgotten_by_what_arrives_after_it() {
    let now = Instant::now();
    let mut echo = Echo::new(now);
    echo.set_ring(true);
    echo.heartbeat_sent(1, now);
    assert_eq!(verdicts(&mut echo, 4, true), []);
    echo.arrived_on_cluster(now);
    assert_eq!(verdicts(&mut echo, 20, true), []);
}

#[test]
fn g07_in_a_ring_whatever_arrives_on_the_cluster_channel_proves_it_and_probes_prove_the_rest() {
    // Sends a probe in each second, as a ring does; the cluster channel is heard while this says so.
    let run = |heard: fn(u64) -> bool, back: fn(u64) -> bool| {
        let now = Instant::now();
        let mut echo = Echo::new(now);
        echo.set_ring(true);
        let second = |n: u64| {
            let at = now + Duration::from_secs(n);
            echo.probe_sent(2 * n, at);
            if heard(n) {
                echo.arrived_on_cluster(at);
            } else {
                echo.heartbeat_sent(2 * n + 1, at); // the channel is quiet: a heartbeat is sent to prove it
            }
            if back(n) {
                echo.probe(2 * n, at);
            }
            verdicts(&mut echo, 4, true)
        };
        let verdicts: Vec<_> = (0..20).flat_map(second).collect();
        (verdicts, echo.health(now + Duration::from_secs(20)))
    };
    assert_eq!(run(|_| true, |_| true), (vec![], Duration::from_secs(1)));
    let deaf = (vec![Verdict::Degraded, Verdict::Dead], Duration::from_secs(16));
    assert_eq!(run(|n| n < 5, |_| true), deaf);
    assert_eq!(run(|_| true, |n| n < 5), deaf);
}

#[test]
fn an_outage_that_the_backend_reports_is_degraded_once_and_over_with_the_first_echo_on_each_channel() {
    let now = Instant::now();
    let mut echo = Echo::new(now);
    assert_eq!((echo.link_down(), echo.link_down()), (Verdict::Degraded, Verdict::Fine));
    assert_eq!(echo.tick(TICK, false, true), Verdict::Fine);
    echo.probe_sent(2, now);
    echo.probe(2, now);
    assert_eq!(verdicts(&mut echo, 2, true), [], "the other channel is not proved");
    echo.heartbeat_sent(3, now);
    assert_eq!(verdicts(&mut echo, 2, true), []);
    echo.heartbeat(3, now);
    assert_eq!(verdicts(&mut echo, 2, true), [Verdict::Recovered]);
}
