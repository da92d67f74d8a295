//! The state of a replica as text: for a checker that has to tell states apart.

use super::lead::Leadership;
use super::{Replica, Role};
use crate::base::Lsn;
use std::fmt::{self, Write};

impl Replica {
    /// Writes down what decides what this replica does from here on: two replicas that write the
    /// same do the same, given the same inputs, as long as no [`Tick`](super::Input::Tick) is among
    /// them.
    ///
    /// Left out are options but the id, clocks and timers; sizes that only flow control looks at;
    /// who waits for which proposal; numbers of writes, but for how far each is from the last
    /// durable one; how records are batched; and what follows from the rest: the index of what
    /// interferes, compiled quorums.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_state(&self, out: &mut impl Write) -> fmt::Result {
        // Every field is named, so that a new one is thought of.
        let Replica {
            options,
            voted,
            lineage,
            log,
            accepted,
            purged,
            behind,
            memberships,
            incarnation,
            life: _,
            lives,
            doubt,
            settled,
            schedule,
            installing,
            proposals: _,
            role,
            writes,
            outputs: _,
            boxes: _,
            loans,
            seen,
            round,
            hearing,
            reply_due,
            awake: _,
            scratch: _,
            now: _,
            heard_leader_at: _,
            bound_until: _,
            reads_here,
            campaign_at: _,
            random: _,
        } = self;
        write!(
            out,
            "{} {voted} {lineage} {accepted} {purged} {behind} {settled} {seen} {round} ",
            options.id
        )?;
        write!(out, "{incarnation} {lives:?} {doubt:?} {reply_due} {loans:?} {memberships:?} ")?;
        write!(out, "from {} ", log.first())?;
        for record in log.iter_from(Lsn::ZERO) {
            write!(out, "{record:?} ")?;
        }
        schedule.write_state(accepted.end(), out)?;
        writes.write_state(out)?;
        write!(out, "{installing:?} ")?;
        if !reads_here.is_empty() {
            write!(out, "{reads_here:?} ")?;
        }
        if options.acknowledge_to_all {
            hearing.write_state(out)?;
        }
        match role {
            Role::Follower { leader } => write!(out, "follows {leader}"),
            Role::PreCandidate(pre) => write!(out, "{pre:?}"),
            Role::Candidate(candidacy) => candidacy.write_state(writes, out),
            Role::Leader(lead) => self.write_leadership(lead, out),
        }
    }

    fn write_leadership(&self, lead: &Leadership, out: &mut impl Write) -> fmt::Result {
        let Leadership {
            id,
            next,
            start,
            empties,
            index: _,
            settled,
            floor,
            fresh: _,
            news: _,
            unsettled_bytes: _,
            held,
            parked,
            membership_at,
            quorums: _,
            peers,
            bit,
            own,
            own_accepted,
            own_covered,
            loaded,
            load_at,
            reads,
            gone,
            lacking,
            handover,
            changes,
            stirred: _,
        } = lead;
        write!(out, "leads {id} {next} {start} {empties} {settled} {floor} {held} ")?;
        for lsn in (0..next.0).map(Lsn) {
            if let Some(waiting) = parked.get(&lsn) {
                write!(out, "{lsn} holds up {waiting:?} ")?;
            }
        }
        write!(out, "{membership_at:?} {bit} {own_accepted} {own_covered} {loaded:?} {gone} ")?;
        for (number, from, to) in own {
            write!(out, "{} {from} {to} ", self.writes.since_durable(*number))?;
        }
        write!(out, "{load_at:?} {lacking:?} {handover:?} {} ", reads.round())?;
        if !reads.is_empty() {
            write!(out, "{reads:?} ")?;
        }
        changes.write_state(&self.writes, out)?;
        peers.iter().try_for_each(|peer| peer.write_state(out))
    }
}
