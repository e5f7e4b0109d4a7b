//! What control frames say about the messages before them, taken in its place in the order.

use std::time::Instant;

use super::members::Life;
use crate::engine::Engine;
use crate::engine::account::Progress;
use crate::wire::{Frame, Hello, Kind, Malformed, Number, Pulse, Welcome, decode};

impl Engine {
    /// What a control frame says about the messages before it.
    pub(in crate::engine) fn marks(&mut self, frame: &Frame, now: Instant) -> Result<(), Malformed> {
        let sender = frame.head.sender;
        let (cluster, inboxes, bye) = match frame.head.kind {
            Kind::HELLO => (decode::<Hello>(&frame.body)?.cluster, Vec::new(), false),
            Kind::WELCOME => (decode::<Welcome>(&frame.body)?.cluster, Vec::new(), false),
            kind @ (Kind::HEARTBEAT | Kind::BYE) => {
                let pulse = decode::<Pulse>(&frame.body)?;
                (pulse.cluster, pulse.inboxes, kind == Kind::BYE)
            }
            _ => return Ok(()),
        };
        if inboxes.iter().map(|inbox| inbox.mark).chain([cluster]).any(|mark| mark.n == u64::MAX) {
            return Err(Malformed::number());
        }
        let me = self.settings.node.id;
        let inbox = inboxes.iter().find(|inbox| inbox.node == me).map(|inbox| inbox.mark);
        let (patience, patient) = (self.patience(), self.patient(now));
        if bye {
            self.members.meet(sender, now); // what it sent before and comes later must not bring it back
        }
        let Some(peer) = self.members.get_mut(sender) else { return Ok(()) };
        // A mark that is the first we hear of a channel is where our account of it begins.
        let begin = Number { epoch: cluster.epoch, n: cluster.n.saturating_add(1) };
        // Only an introduction is meant for us; without an order, a pulse may have overtaken what came before it.
        let introduction = matches!(frame.head.kind, Kind::HELLO | Kind::WELCOME);
        let unordered = (!self.settings.ordered).then_some(patient);
        let unsure = unordered.filter(|_| !introduction);
        let account = peer.account(false, begin, unsure);
        let mut begun = if introduction { account.begin(cluster) } else { Progress::default() };
        let progress = account.mark(cluster, patient, &patience);
        begun.steps.extend(progress.steps);
        let progress = Progress { steps: begun.steps, copies: progress.copies };
        let inbox_progress = inbox.map(|mark| {
            let first = Number { epoch: mark.epoch, n: mark.n.saturating_add(1) };
            peer.account(true, first, unordered).mark(mark, patient, &patience)
        });
        let stays = bye && matches!(peer.life, Life::Stranger | Life::Live);
        self.advance(sender, false, progress, now);
        if let Some(progress) = inbox_progress {
            self.advance(sender, true, progress, now);
        }
        if stays {
            self.goodbye(sender, cluster, inbox, now);
        }
        Ok(())
    }
}
