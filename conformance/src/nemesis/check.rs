//! What the histories of all nodes say together.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::history::{History, Line, Run};
use super::plan::Fault;
use super::recovery::{Blow, Recovery, recoveries};

/// What came of a run. Messages count once for each node that is owed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Messages that were emitted, and not refused.
    pub(crate) sent: u64,
    /// Those of which `emit` has said at once that no other node gets them.
    pub(crate) refused: u64,
    /// Deliveries that are owed: sender and receiver live to the end, and the receiver was ready when it was sent.
    pub(crate) due: u64,
    /// Of these, what came.
    pub(crate) delivered: u64,
    /// Of these, what did not come, and what no gap accounts for.
    pub(crate) lost: u64,
    /// Of these, what did not come, and was reported.
    pub(crate) reported: u64,
    /// What was reported as lost because its sender was killed shortly after sending it.
    pub(crate) gone_with_senders: u64,
    /// Deliveries of the same message to the same socket, but the first.
    pub(crate) doubled: u64,
    /// Deliveries behind a later message of the same sender.
    pub(crate) disordered: u64,
    /// Deliveries to a socket that was not in the room.
    pub(crate) strays: u64,
    /// Deliveries of what nobody has sent.
    pub(crate) invented: u64,
    /// Rounds of joining a room, emitting, leaving, and emitting again.
    pub(crate) rounds: u64,
    /// Messages that were delivered because they were asked for and sent again, by the nodes' own count.
    pub(crate) repaired: u64,
    /// Nodes that were not killed, and have not come to the end.
    pub(crate) unfinished: Vec<Run>,
    pub(crate) questions: Questions,
    pub(crate) recoveries: BTreeMap<Fault, Recovery>,
    /// The longest time, in microseconds, in which a node that ran got nothing.
    pub(crate) silence: u64,
}

/// By then, in microseconds, a lost message has been repaired, also over a slow link after an outage.
const REPAIR: u64 = 5_000_000;

/// What became of questions to all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Questions {
    pub(crate) asked: u64,
    /// Every node answered.
    pub(crate) complete: u64,
    /// Some are missing, each with a reason other than time.
    pub(crate) partial: u64,
    /// Some had not answered when the time was up.
    pub(crate) late: u64,
    /// Could not be put.
    pub(crate) refused: u64,
    /// The longest one, in microseconds.
    pub(crate) slowest: u64,
}

/// What one run has sent.
#[derive(Default)]
struct Sender {
    /// When each number was sent.
    sent: HashMap<u64, u64>,
    /// When each round's room was joined, and by whose guest.
    inside: HashMap<u64, (u64, u32)>,
    refused: HashSet<u64>,
    refused_inside: HashSet<u64>,
    /// When it was connected.
    ready: Option<u64>,
    ended: bool,
}

/// What one socket got of one sender.
#[derive(Default)]
struct Stream {
    seen: HashSet<u64>,
    newest: Option<u64>,
}

/// What one run got of one sender.
#[derive(Default)]
struct Heard {
    all: Stream,
    inside: Stream,
    /// Of how many messages the gaps say that they are lost.
    reported: u64,
    /// A gap of unknown count.
    unknown: bool,
}

impl Findings {
    /// What the histories say. `killed` are the runs that were not to come to the end.
    pub(crate) fn of(histories: &[History], blows: &[Blow], killed: &[Run]) -> Self {
        let senders: HashMap<Run, Sender> = histories.iter().map(|of| (of.run, Sender::of(of))).collect();
        let mut found = Self::default();
        for sender in senders.values() {
            found.sent += (sender.sent.len() + sender.inside.len()) as u64;
            found.rounds += sender.inside.len() as u64;
            found.refused += (sender.refused.len() + sender.refused_inside.len()) as u64;
        }
        found.sent -= found.refused;
        let names = names(histories);
        for history in histories {
            let ended = senders.get(&history.run).is_some_and(|sender| sender.ended);
            if !ended && !killed.contains(&history.run) {
                found.unfinished.push(history.run);
            }
            let heard = found.listen(history, &senders, &names);
            if ended {
                found.balance(history, &senders, &heard);
            }
        }
        found.unfinished.sort_unstable();
        let times = senders.into_iter().map(|(run, sender)| (run, sender.accepted())).collect();
        (found.recoveries, found.silence) = recoveries(histories, &times, blows);
        found
    }

    /// Nothing was lost without a report, nothing came twice, out of order, from nowhere or to the wrong socket, and every node
    /// came to the end.
    pub(crate) fn is_clean(&self) -> bool {
        let bad = self.lost + self.doubled + self.disordered + self.strays + self.invented;
        bad == 0 && self.unfinished.is_empty()
    }

    /// Follows what one run got, in its order.
    fn listen(
        &mut self,
        history: &History,
        senders: &HashMap<Run, Sender>,
        names: &HashMap<&str, Run>,
    ) -> HashMap<Run, Heard> {
        let mut heard: HashMap<Run, Heard> = HashMap::new();
        for line in &history.lines {
            match line {
                Line::Got { from, n, .. } => {
                    let was_sent = senders.get(from).is_some_and(|sender| sender.sent.contains_key(n));
                    self.invented += u64::from(!was_sent);
                    self.take(&mut heard.entry(*from).or_default().all, *n);
                }
                Line::GotInside { from, round, .. } => {
                    match senders.get(from).and_then(|sender| sender.inside.get(round)) {
                        None => self.invented += 1,
                        Some((_, guest)) => self.strays += u64::from(*guest != history.run.node),
                    }
                    self.take(&mut heard.entry(*from).or_default().inside, *round);
                }
                Line::GotOutside { .. } => self.strays += 1,
                Line::Gap { id, inbox: false, count } => {
                    let Some(from) = names.get(id.as_str()) else { continue };
                    let heard = heard.entry(*from).or_default();
                    heard.reported += count.unwrap_or(0);
                    heard.unknown |= count.is_none();
                }
                Line::Asked { took, missing, late, .. } => {
                    self.questions.asked += 1;
                    self.questions.slowest = self.questions.slowest.max(*took);
                    match (missing, late) {
                        (0, _) => self.questions.complete += 1,
                        (_, 0) => self.questions.partial += 1,
                        _ => self.questions.late += 1,
                    }
                }
                Line::NotAsked => {
                    self.questions.asked += 1;
                    self.questions.refused += 1;
                }
                Line::Counted { repaired, .. } => self.repaired += repaired,
                _ => {}
            }
        }
        heard
    }

    fn take(&mut self, stream: &mut Stream, n: u64) {
        if !stream.seen.insert(n) {
            self.doubled += 1;
        } else if stream.newest.is_some_and(|newest| n < newest) {
            self.disordered += 1;
        }
        stream.newest = stream.newest.max(Some(n));
    }

    /// Weighs what a run that came to the end was owed against what it got and what was reported to it.
    fn balance(&mut self, history: &History, senders: &HashMap<Run, Sender>, heard: &HashMap<Run, Heard>) {
        let Some(ready) = senders.get(&history.run).and_then(|this| this.ready) else { return };
        let nothing = Heard::default();
        for (run, sender) in senders.iter().filter(|(run, _)| run.node != history.run.node) {
            let heard = heard.get(run).unwrap_or(&nothing);
            let owed = sender.sent.iter().filter(|(n, at)| **at >= ready && !sender.refused.contains(n));
            let rooms = sender.inside.iter().filter(|(round, (joined, guest))| {
                *joined >= ready && *guest == history.run.node && !sender.refused_inside.contains(round)
            });
            let owed = owed.map(|(n, at)| (&heard.all, *n, *at));
            let rooms = rooms.map(|(round, (joined, _))| (&heard.inside, *round, *joined));
            let first = sender.first_of(heard);
            let (mut due, mut missing, mut tail, mut before, mut late) = (0, 0, 0, 0, 0);
            let end = sender.end();
            for (stream, n, at) in owed.chain(rooms) {
                due += 1;
                if stream.seen.contains(&n) {
                    continue;
                }
                let last = !sender.ended && stream.newest.is_none_or(|newest| n > newest);
                match () {
                    () if last => tail += 1,
                    // Where its messages begin, nobody could say: a gap of unknown count, too.
                    () if heard.unknown && at < first => before += 1,
                    () => {
                        missing += 1;
                        late += u64::from(end.is_some_and(|end| at >= end.saturating_sub(REPAIR)));
                    }
                }
            }
            // What a killed sender sent last is a gap of unknown count; without one it is lost in silence, too. Of one that was never
            // heard, nobody can know.
            if heard.unknown || first == u64::MAX || tail == 0 {
                self.gone_with_senders += tail;
                due -= tail;
            } else {
                missing += tail;
            }
            let reported = missing.min(heard.reported);
            self.lost += missing - reported;
            // The gaps do not say which messages: those that could not be repaired are counted first.
            let late = late.min(reported);
            self.gone_with_senders += late;
            self.due += due - late;
            self.delivered += due - missing - before;
            self.reported += reported - late + before;
        }
    }
}

impl Sender {
    fn of(history: &History) -> Self {
        let mut sender = Self::default();
        for line in &history.lines {
            match line {
                Line::Sent { at, n } => drop(sender.sent.insert(*n, *at)),
                Line::Refused { n } => drop(sender.refused.insert(*n)),
                Line::SentInside { joined, round, guest } => drop(sender.inside.insert(*round, (*joined, *guest))),
                Line::RefusedInside { round } => drop(sender.refused_inside.insert(*round)),
                Line::Ready { at, .. } => sender.ready = Some(*at),
                Line::Ended { .. } => sender.ended = true,
                _ => {}
            }
        }
        sender
    }

    /// When each number was sent that was not refused.
    fn accepted(mut self) -> HashMap<u64, u64> {
        self.sent.retain(|n, _| !self.refused.contains(n));
        self.sent
    }

    /// When it was killed, if it was. Nobody repairs what was lost shortly before that.
    fn end(&self) -> Option<u64> {
        self.sent.values().max().filter(|_| !self.ended).copied()
    }

    /// When it sent the first message that came; later than all if none did.
    fn first_of(&self, heard: &Heard) -> u64 {
        let all = heard.all.seen.iter().filter_map(|n| self.sent.get(n)).min();
        let inside =
            heard.inside.seen.iter().filter_map(|round| self.inside.get(round)).map(|(joined, _)| joined).min();
        all.into_iter().chain(inside).min().copied().unwrap_or(u64::MAX)
    }
}

/// Which run has which id.
fn names(histories: &[History]) -> HashMap<&str, Run> {
    let ready = histories.iter().flat_map(|history| history.lines.iter().map(|line| (history.run, line)));
    let ids =
        ready.filter_map(|(run, line)| if let Line::Ready { id, .. } = line { Some((id.as_str(), run)) } else { None });
    ids.collect()
}
