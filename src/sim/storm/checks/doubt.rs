//! In doubt a replica neither votes nor campaigns: it may have promised what it forgot.

use super::Check;
use crate::message::Message;

/// A replica says this, in doubt or not.
pub(super) fn silent(at: usize, message: &Message, in_doubt: bool) -> Check {
    let forbidden = match message {
        Message::Vote(_) | Message::PreVote(_) | Message::Replicate(_) => true,
        Message::VoteReply(reply) => reply.grant.is_some(),
        Message::PreVoteReply(reply) => reply.granted,
        _ => false,
    };
    if in_doubt && forbidden {
        return Err(format!("R-2 n{} is in doubt and says {message:?}", at + 1));
    }
    Ok(())
}
