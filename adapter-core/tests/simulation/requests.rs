//! The checks of questions and their answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::checks::{hold, was_forgotten};
use super::history::{History, Life, N, What};
use crate::model::{Departure, MissingReason, SocketId};
use crate::wire::{Answer, Operation};

/// One question, as its asker saw it.
#[derive(Debug)]
struct Question {
    op: usize,
    asker: N,
    called: Duration,
    deadline: Duration,
    asked: BTreeSet<N>,
    /// Last answers, by who gave them.
    answered: BTreeMap<N, Duration>,
    missed: BTreeMap<N, (Duration, MissingReason)>,
    ended: Option<(Duration, Vec<(N, MissingReason)>)>,
    forgotten: bool,
    acks: BTreeMap<N, Vec<SocketId>>,
    expected: BTreeMap<N, BTreeSet<SocketId>>,
}

/// Follows every question of a node; fails at the first thing that cannot be.
fn questions(history: &History, asker: N) -> Result<Vec<Question>, String> {
    let mut questions: BTreeMap<u64, Question> = BTreeMap::new();
    for record in history.of(asker) {
        match &record.what {
            What::Asked { op, request, asked, deadline } => {
                let question = Question {
                    op: *op,
                    asker,
                    called: record.at,
                    deadline: *deadline,
                    asked: asked.iter().copied().collect(),
                    answered: BTreeMap::new(),
                    missed: BTreeMap::new(),
                    ended: None,
                    forgotten: false,
                    acks: BTreeMap::new(),
                    expected: BTreeMap::new(),
                };
                questions.insert(*request, question);
            }
            What::Forgot { request } => {
                questions.entry(*request).and_modify(|question| question.forgotten = true);
            }
            What::Answered { request, from, answer } => {
                let question = questions.get_mut(request).ok_or_else(|| format!("{request} was never asked"))?;
                question.open(*from)?;
                question.take(*from, answer, record.at);
            }
            What::Missed { request, from, why } => {
                let question = questions.get_mut(request).ok_or_else(|| format!("{request} was never asked"))?;
                question.open(*from)?;
                question.missed.insert(*from, (record.at, *why));
            }
            What::Ended { request, missing } => {
                let question = questions.get_mut(request).ok_or_else(|| format!("{request} was never asked"))?;
                hold(question.ended.is_none(), || format!("question {request} of node {asker} ended twice"))?;
                question.ended = Some((record.at, missing.clone()));
            }
            _ => {}
        }
    }
    Ok(questions.into_values().collect())
}

impl Question {
    /// Whether something of this node may still come.
    fn open(&self, from: N) -> Result<(), String> {
        let counted = self.answered.contains_key(&from) || self.missed.contains_key(&from);
        let fine = self.asked.contains(&from) && !counted && self.ended.is_none() && !self.forgotten;
        hold(fine, || format!("node {from} was counted although nothing of it was awaited: {self:?}"))
    }

    fn take(&mut self, from: N, answer: &Answer, at: Duration) {
        if let Answer::Acks(batch) = answer {
            self.expected.entry(from).or_default().extend(batch.expected.iter().flatten().cloned());
            self.acks.entry(from).or_default().extend(batch.acks.iter().map(|ack| ack.socket.clone()));
        }
        if answer.is_last() {
            self.answered.insert(from, at);
        }
    }
}

/// When an awaited change has returned, whoever is among the items has carried it out.
pub(super) fn g03_read_your_join(history: &History) -> Result<(), String> {
    let mut asked = BTreeMap::new();
    let mut carried = BTreeSet::new();
    let mut applied = BTreeSet::new();
    for record in &history.records {
        let node = record.node;
        match &record.what {
            What::Asked { op, request, asked: nodes, .. } => drop(asked.insert((node, *request), (*op, nodes))),
            What::Carried { op, .. } => drop(carried.insert((node, *op))),
            What::Answered { request, from, answer: Answer::Applied } => {
                let Some((op, _)) = asked.get(&(node, *request)) else { continue };
                hold(carried.contains(&(*from, *op)), || format!("node {from} says op {op} is applied: it is not"))?;
                applied.insert((node, *request, *from));
            }
            What::Ended { request, missing } => {
                let Some((op, nodes)) = asked.get(&(node, *request)) else { continue };
                if !matches!(history.ops[*op].operation, Operation::Change { .. }) {
                    continue;
                }
                for asked in nodes.iter() {
                    let named = missing.iter().any(|(missing, _)| missing == asked);
                    let told = named != applied.contains(&(node, *request, *asked));
                    hold(told, || format!("op {op} returned, and node {asked} is in neither list, or in both"))?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A question ends with its last answer, death or leave, at its deadline at the latest, and names who is missing.
pub(super) fn g04_requests(history: &History) -> Result<(), String> {
    let lives = history.lives();
    for asker in 0..history.nodes {
        for question in questions(history, asker)? {
            let op = question.op;
            check_end(&lives, &question).map_err(|why| format!("question of op {op}: {why}"))?;
            check_missing(history, &lives, &question).map_err(|why| format!("question of op {op}: {why}"))?;
            check_answers(history, &question).map_err(|why| format!("question of op {op}: {why}"))?;
        }
    }
    Ok(())
}

fn check_end(lives: &[Life], question: &Question) -> Result<(), String> {
    let asker = &lives[question.asker];
    let Some((ended, missing)) = &question.ended else {
        let over = question.asked.is_empty() || question.forgotten || asker.killed.is_some();
        return hold(over, || format!("it never ended: {question:?}"));
    };
    hold(!question.asked.is_empty() && !question.forgotten, || "it ended although nobody waited".to_owned())?;
    // An asker that does nothing itself ends nothing; what it slept through is over as soon as it wakes.
    let awake = |at: Duration| {
        let away = asker.away.iter().filter(|(from, to)| *from <= at && at <= *to);
        away.map(|(_, to)| *to + Duration::from_millis(4)).max().unwrap_or(at)
    };
    let deadline = asker.by_its_clock(question.called, question.deadline);
    hold(*ended <= awake(deadline), || format!("it ended at {ended:?}, after its deadline: {question:?}"))?;
    let silent = question
        .asked
        .iter()
        .filter(|node| !question.answered.contains_key(node) && !question.missed.contains_key(node));
    let silent = silent.count();
    let last = question.answered.values().chain(question.missed.values().map(|(at, _)| at)).max();
    if silent == 0 {
        hold(last == Some(ended), || format!("everyone had answered at {last:?}, it ended at {ended:?}"))?;
    } else {
        let closed = asker.closed.is_some_and(|closed| *ended == closed);
        hold(*ended >= question.deadline || closed, || format!("{silent} may still answer, it ended: {question:?}"))?;
    }
    let named: BTreeSet<_> = missing.iter().map(|(node, _)| *node).collect();
    let unanswered = question.asked.iter().filter(|node| !question.answered.contains_key(node)).copied().collect();
    hold(named == unanswered && named.len() == missing.len(), || {
        format!("it names {missing:?}, {unanswered:?} did not answer")
    })?;
    let agree = question.missed.iter().all(|(node, (_, why))| missing.contains(&(*node, *why)));
    hold(agree, || format!("{missing:?} are not the reasons that were told before: {question:?}"))?;
    Ok(())
}

/// The reasons fit, and nobody is named who could have answered.
fn check_missing(history: &History, lives: &[Life], question: &Question) -> Result<(), String> {
    let Some((ended, missing)) = &question.ended else { return Ok(()) };
    let operation = &history.ops[question.op].operation;
    let down = |node: N, how: Departure| {
        history
            .of(question.asker)
            .any(|record| record.what == What::Down(node, how) && record.at <= *ended && record.at >= question.called)
    };
    for (node, why) in missing {
        let fits = match why {
            MissingReason::Died => down(*node, Departure::Died),
            MissingReason::Left => down(*node, Departure::Left),
            MissingReason::NoHandler => {
                let none = What::Replied { op: question.op, answer: Answer::NoHandler };
                history.of(*node).any(|record| record.what == none)
            }
            MissingReason::Timeout => !question.missed.contains_key(node),
            _ => false,
        };
        hold(fits, || format!("node {node} is missing because of {why:?}, which is not so"))?;
        let prompt = matches!(
            operation,
            Operation::Broadcast { .. }
                | Operation::Change { .. }
                | Operation::FetchSockets { .. }
                | Operation::CountSockets { .. }
                | Operation::ListRooms { .. }
        );
        let margin = Duration::from_secs(1);
        let begin = question.called.saturating_sub(margin);
        let well =
            |node: N| lives[node].is_well(begin.max(lives[node].started.unwrap_or(begin)), question.deadline + margin);
        let patient = question.deadline >= question.called + Duration::from_secs(3);
        let could = prompt && patient && !history.plan.lossy && well(*node) && well(question.asker);
        hold(!could, || format!("node {node} is missing ({why:?}), although it could have answered: {question:?}"))?;
    }
    Ok(())
}

/// What was taken as a node's answer is what that node answered.
fn check_answers(history: &History, question: &Question) -> Result<(), String> {
    let op = question.op;
    if was_forgotten(history, &history.lives(), question.asker) {
        return Ok(()); // it may have been asked twice
    }
    // Where links lose messages, parts of a node's answers may be among them.
    let lossless = !history.plan.lossy;
    for node in question.answered.keys() {
        let carried = history.of(*node).any(|record| matches!(record.what, What::Carried { op: of, .. } if of == op));
        hold(carried, || format!("node {node} answered what it had not carried out"))?;
        let acked = |socket: &SocketId| {
            let what = What::Acked { op, socket: socket.clone() };
            history.of(*node).any(|record| record.what == what)
        };
        let acks = question.acks.get(node).map_or(&[][..], Vec::as_slice);
        let distinct: BTreeSet<_> = acks.iter().collect();
        let expected = question.expected.get(node);
        hold(distinct.len() == acks.len(), || format!("node {node}: a socket's answer was counted twice: {acks:?}"))?;
        hold(acks.iter().all(acked), || format!("node {node}: an answer that no socket gave: {acks:?}"))?;
        let known = acks.iter().all(|socket| expected.is_some_and(|expected| expected.contains(socket)));
        hold(known || !lossless, || format!("node {node}: {acks:?} answered, {expected:?} were asked"))?;
        let given =
            history.of(*node).filter(|record| matches!(record.what, What::Acked { op: of, .. } if of == op)).count();
        hold(given == acks.len() || !lossless, || {
            format!("node {node}: {given} sockets answered, {} answers came", acks.len())
        })?;
        if let Some(expected) = expected.filter(|_| lossless) {
            let delivered = |socket: &SocketId| What::Delivered { op, socket: socket.clone() };
            let all =
                history.of(*node).filter(|record| matches!(record.what, What::Delivered { op: of, .. } if of == op));
            let fits = expected.iter().all(|socket| history.of(*node).any(|record| record.what == delivered(socket)));
            hold(fits && all.count() == expected.len(), || format!("node {node}: {expected:?} are not whom it asked"))?;
        }
    }
    let mut request = None;
    for record in history.of(question.asker) {
        match &record.what {
            What::Asked { op: of, request: asked, .. } if *of == op => request = Some(*asked),
            What::Answered { request: of, from, answer }
                if Some(*of) == request && !matches!(answer, Answer::Acks(_)) =>
            {
                let given = What::Replied { op, answer: answer.clone() };
                let said = history.of(*from).any(|record| record.what == given);
                hold(said, || format!("node {from} did not answer {answer:?}"))?;
            }
            _ => {}
        }
    }
    Ok(())
}
