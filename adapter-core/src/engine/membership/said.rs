//! What a control frame says, if it may say so where it was heard.

use crate::model::node::MAX_NODE_NAME;
use crate::wire::{Bye, Frame, Heartbeat, Hello, Kind, Malformed, Mark, Nack, Nodes, Suspect, Tail, Welcome, decode};

/// What a control frame says.
#[derive(Debug)]
pub(super) enum Said {
    Hello(Hello),
    Welcome(Welcome),
    Nodes(Nodes),
    Heartbeat(Heartbeat),
    Bye(Bye),
    Tail(Mark),
    Nack(Nack),
    Suspect(Suspect),
    Probe,
    /// Of a kind that this build does not know.
    Unknown,
}

/// Reads a control frame of the inbox or of the cluster channel.
///
/// What concerns the whole cluster is believed on the cluster channel alone: there the one that it is said of hears it, too.
pub(super) fn read(frame: &Frame, inbox: bool) -> Result<Said, Malformed> {
    let head = &frame.head;
    if head.part.is_some() {
        return Err(Malformed::new("control in pieces"));
    }
    let here = match head.kind {
        Kind::HELLO | Kind::BYE | Kind::SUSPECT => !inbox,
        Kind::WELCOME | Kind::NODES | Kind::PROBE => inbox,
        _ => true,
    };
    if !here {
        return Err(Malformed::new("control on the wrong channel"));
    }
    let body = &frame.body;
    let said = match head.kind {
        Kind::HELLO => Said::Hello(decode(body)?),
        Kind::WELCOME => Said::Welcome(decode(body)?),
        Kind::NODES => Said::Nodes(decode(body)?),
        Kind::HEARTBEAT => Said::Heartbeat(decode(body)?),
        Kind::BYE => Said::Bye(decode(body)?),
        Kind::MARK => Said::Tail(decode::<Tail>(body)?.mark),
        Kind::NACK => Said::Nack(decode(body)?),
        Kind::SUSPECT => Said::Suspect(decode(body)?),
        Kind::PROBE => Said::Probe,
        _ => Said::Unknown,
    };
    let name = match &said {
        Said::Hello(Hello { name, .. }) | Said::Welcome(Welcome { name, .. }) => name,
        Said::Heartbeat(Heartbeat { name, .. }) => name,
        _ => "",
    };
    let sane = |mark: Mark| mark.epoch <= head.counter && mark.n <= head.counter && mark.n != u64::MAX;
    let others = if let Said::Bye(bye) = &said { &bye.inboxes[..] } else { &[] };
    // A number is given to each frame that has a counter, at the most; nobody with a longer name could connect.
    if !said.mark().into_iter().chain(others.iter().map(|inbox| inbox.mark)).all(sane) || name.len() > MAX_NODE_NAME {
        return Err(Malformed::number());
    }
    Ok(said)
}

impl Said {
    /// Where the sender's numbers stand, on the cluster channel or (a tail) on the channel of the frame.
    pub(super) fn mark(&self) -> Option<Mark> {
        match self {
            Self::Hello(Hello { cluster, .. }) | Self::Welcome(Welcome { cluster, .. }) => Some(*cluster),
            Self::Heartbeat(Heartbeat { cluster, .. }) | Self::Bye(Bye { cluster, .. }) => Some(*cluster),
            Self::Tail(mark) => Some(*mark),
            Self::Nodes(_) | Self::Nack(_) | Self::Suspect(_) | Self::Probe | Self::Unknown => None,
        }
    }

    /// Whether its marks are where the sender's numbers stood when it met this node: all after that is meant for us.
    pub(super) fn is_introduction(&self) -> bool {
        matches!(self, Self::Hello(_) | Self::Welcome(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeId;
    use crate::wire::{Head, InboxMark, Part, encode};

    fn frame<T: serde::Serialize>(kind: Kind, counter: u64, body: &T) -> Frame {
        let sender = NodeId::from_bytes([1; 16]);
        let head = Head::new(kind, sender, counter);
        Frame { head, body: encode(body), packet: bytes::Bytes::new() }
    }

    #[test]
    fn g14_a_mark_above_its_senders_counter_is_malformed() {
        let tail = |epoch, n| read(&frame(Kind::MARK, 9, &Tail { mark: Mark { epoch, n } }), true).is_ok();
        assert!(tail(9, 9) && tail(1, 0));
        assert!(!tail(10, 1) && !tail(1, 10) && !tail(1, u64::MAX) && !tail(u64::MAX, 1));
        let bye = |n| {
            let inboxes = vec![InboxMark { node: NodeId::from_bytes([2; 16]), mark: Mark { epoch: 1, n } }];
            read(&frame(Kind::BYE, 9, &Bye { cluster: Mark { epoch: 1, n: 1 }, inboxes }), false).is_ok()
        };
        assert!(bye(9) && !bye(10));
    }

    #[test]
    fn g14_what_concerns_all_is_believed_on_the_cluster_channel_alone() {
        let node = NodeId::from_bytes([2; 16]);
        let suspect = frame(Kind::SUSPECT, 9, &Suspect { node });
        assert!(read(&suspect, false).is_ok() && read(&suspect, true).is_err());
        let nodes = frame(Kind::NODES, 9, &Nodes { index: 0, nodes: vec![node] });
        assert!(read(&nodes, true).is_ok() && read(&nodes, false).is_err());
        let part = Some(Part { index: 0, of: 2, body: 9, packet: 9 });
        assert!(read(&Frame { head: Head { part, ..suspect.head }, ..suspect }, false).is_err());
    }
}
