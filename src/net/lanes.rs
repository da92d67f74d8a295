//! Lanes: what waits to be sent, and the lines that take it to a connection.

use super::counts::{Counts, add};
use super::ear::Kind;
use super::newcomers::Both;
use crate::base::ReplicaId;
use crate::runtime::{Post, Transport};
use crate::snapshot::Transfer;
use crate::wire::{self, Version};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// What counts for anything that waits besides its bytes: so that small things are bounded, too.
const EACH: usize = 256;

/// What counts for a parcel without a chunk, in bytes. It is small unless a log is full of holes.
const SMALL_PARCEL: usize = 4 << 10;

/// All lanes of a replica: for each other one a lane for messages and one for parcels.
pub(super) struct Lanes {
    pub(super) lanes: BTreeMap<ReplicaId, Both>,
    /// Those to replicas that have called and that nobody named before.
    pub(super) learned: Receiver<(ReplicaId, Both)>,
    pub(super) counts: Arc<Counts>,
}

/// What waits for one replica, of one kind: behind one connection or several.
pub(super) struct Lane {
    ends: Vec<End>,
    bytes_max: usize,
    turn: usize,
}

/// Where a lane hands in. Its line ends when it is dropped.
struct End {
    posts: UnboundedSender<(Post, usize)>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Bytes that wait.
    waiting: AtomicUsize,
    /// There is a connection.
    is_up: AtomicBool,
}

/// What waits for one connection.
pub(super) struct Queue {
    posts: UnboundedReceiver<(Post, usize)>,
    state: Arc<State>,
    counts: Arc<Counts>,
}

impl Transport<Post> for Lanes {
    fn send(&mut self, to: ReplicaId, post: Post) {
        let at = usize::from(matches!(post, Post::Parcel(_)));
        if !self.lanes.contains_key(&to) {
            self.flush();
        }
        let taken = self.lanes.get_mut(&to).is_some_and(|lanes| lanes[at].take(post));
        if !taken {
            add(&self.counts.dropped, 1);
        }
    }

    /// Nothing is held back here; those who have called meanwhile are answered from now on.
    fn flush(&mut self) {
        self.lanes.extend(self.learned.try_iter());
    }
}

/// About how much memory it takes.
fn size(post: &Post) -> usize {
    let bytes = match post {
        Post::Message(envelope) => wire::encoded_len(envelope, Version::OLDEST),
        Post::Parcel(parcel) => match &parcel.transfer {
            Transfer::Chunk(chunk) => chunk.bytes.len(),
            Transfer::Offer(_) | Transfer::Want(_) => SMALL_PARCEL,
        },
    };
    bytes + EACH
}

impl Lane {
    /// With `lines` connections, whose queues are handed to `start`; and at most `bytes_max` that
    /// wait for all of them.
    pub(super) fn new(
        lines: usize,
        bytes_max: usize,
        counts: &Arc<Counts>,
        mut start: impl FnMut(Queue),
    ) -> Lane {
        let end = |_| {
            let (posts, receiver) = mpsc::unbounded_channel();
            let state = Arc::new(State::default());
            start(Queue { posts: receiver, state: state.clone(), counts: counts.clone() });
            End { posts, state }
        };
        Lane { ends: (0..lines.max(1)).map(end).collect(), bytes_max, turn: 0 }
    }

    /// Whether there was room. Only the thread of the replica adds, so no two find the same room.
    fn take(&mut self, post: Post) -> bool {
        let (size, waiting) = (size(&post), self.ends.iter().map(End::waiting).sum::<usize>());
        if waiting + size > self.bytes_max {
            return false;
        }
        let end = self.choose();
        end.state.waiting.fetch_add(size, Ordering::Relaxed);
        end.posts.send((post, size)).is_ok()
    }

    /// In turn, but the one for which least waits: so a connection that stands still holds up only
    /// what it has taken. One that is not there is not chosen while another is.
    fn choose(&mut self) -> &End {
        self.turn = (self.turn + 1) % self.ends.len();
        let (before, from) = self.ends.split_at(self.turn);
        let in_turn = from.iter().chain(before);
        let best =
            in_turn.min_by_key(|end| (!end.state.is_up.load(Ordering::Relaxed), end.waiting()));
        best.unwrap_or(&self.ends[0])
    }
}

impl End {
    fn waiting(&self) -> usize {
        self.state.waiting.load(Ordering::Relaxed)
    }
}

impl Queue {
    /// The next frame to send, a message in this version; none when the lane is gone. Nothing is
    /// lost if it is not waited for.
    pub(super) async fn next(&mut self, version: Version) -> Option<Bytes> {
        let (post, size) = self.posts.recv().await?;
        self.state.waiting.fetch_sub(size, Ordering::Relaxed);
        add(&self.counts.sent, 1);
        Some(match post {
            Post::Message(envelope) => wire::encode(&envelope, version),
            Post::Parcel(parcel) => parcel.encode(),
        })
    }

    fn set_up(&self, is_up: bool) {
        self.state.is_up.store(is_up, Ordering::Relaxed);
    }

    /// Drops what is handed in for a while. Says whether the lane is still there.
    async fn drop_for(&mut self, pause: Duration) -> bool {
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return true,
                post = self.posts.recv() => {
                    let Some((_, size)) = post else { return false };
                    self.state.waiting.fetch_sub(size, Ordering::Relaxed);
                    add(&self.counts.dropped, 1);
                }
            }
        }
    }
}

/// How a line reaches the other end.
pub(super) trait Way: Send + 'static {
    type Link: Send;

    /// A new connection, or none: nobody is there, or not whoever should be.
    fn dial(&mut self) -> impl Future<Output = Option<Self::Link>> + Send;

    /// Sends what comes until the connection ends. Says whether all was well: something was sent,
    /// and the other end did not object.
    fn serve(&mut self, link: Self::Link, queue: &mut Queue) -> impl Future<Output = bool> + Send;
}

/// The other end of a lane: dials, and sends what waits, until the lane is dropped.
pub(super) async fn line<W: Way>(mut way: W, mut queue: Queue, pause_max: Duration) {
    let mut pause = pause_max / 16;
    loop {
        if let Some(link) = way.dial().await {
            queue.set_up(true);
            let well = way.serve(link, &mut queue).await;
            queue.set_up(false);
            if well {
                pause = pause_max / 16;
            }
        }
        if !queue.drop_for(jittered(pause)).await {
            return;
        }
        pause = (pause * 2).min(pause_max);
    }
}

/// Between half of it and all of it, so that replicas which lost each other do not dial in step.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 1_000;
    pause / 2 + (pause / 2) * random as u32 / 1_000
}

/// Which lane of a pair is for what: as [`Lanes`] finds them.
pub(super) const KINDS: [Kind; 2] = [Kind::Messages, Kind::Parcels];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The shortest message, from 1 to 2.
    fn post() -> Post {
        let frame: &[u8] = &[8, 1, 16, 1, 24, 2, 0x7a, 6, 10, 4, 8, 4, 16, 1];
        let envelope = wire::decode(Bytes::from_static(frame)).expect("it is one");
        Post::Message(Box::new(envelope))
    }

    /// A lane with so many connections, all there, and room for so many posts.
    fn lane(lines: usize, posts: usize) -> (Lane, Vec<Queue>) {
        let mut queues = Vec::new();
        let lane = Lane::new(lines, posts * size(&post()), &Arc::default(), |q| queues.push(q));
        queues.iter().for_each(|queue| queue.set_up(true));
        (lane, queues)
    }

    #[test]
    fn connections_take_turns_and_one_that_stands_still_is_left_alone() {
        let (mut lane, mut queues) = lane(3, 100);
        (0..9).for_each(|_| assert!(lane.take(post())));
        assert!(queues.iter().all(|queue| queue.posts.len() == 3));
        // Two are emptied, and the third does not move.
        for _ in 0..10 {
            for queue in &mut queues[..2] {
                while let Ok((_, size)) = queue.posts.try_recv() {
                    queue.state.waiting.fetch_sub(size, Ordering::Relaxed);
                }
            }
            (0..4).for_each(|_| assert!(lane.take(post())));
        }
        assert_eq!(queues[2].posts.len(), 3);
    }

    proptest! {
        /// Beside counting: the one with the least, of those that are there, if any is.
        #[test]
        fn a_lane_is_bounded_and_chooses_the_one_with_the_least(
            (lines, posts) in (1..5_usize, 0..12_usize),
            acts in proptest::collection::vec((0..4_u8, 0..5_usize), 0..60),
        ) {
            let (mut lane, mut queues) = lane(lines, posts);
            let mut twin = vec![(true, 0_usize); lines];
            for (act, at) in acts {
                let at = at % lines;
                match act {
                    0 => {
                        queues[at].set_up(!twin[at].0);
                        twin[at].0 = !twin[at].0;
                    }
                    1 => if let Ok((_, size)) = queues[at].posts.try_recv() {
                        queues[at].state.waiting.fetch_sub(size, Ordering::Relaxed);
                        twin[at].1 -= 1;
                    },
                    _ => {
                        let full = twin.iter().map(|(_, waiting)| waiting).sum::<usize>() >= posts;
                        prop_assert_eq!(lane.take(post()), !full);
                        let now: Vec<_> = queues.iter().map(|queue| queue.posts.len()).collect();
                        let chosen = (0..lines).find(|&n| now[n] != twin[n].1);
                        prop_assert_eq!(chosen.is_none(), full);
                        if let Some(chosen) = chosen {
                            let any_up = twin.iter().any(|(up, _)| *up);
                            let fit = |up: bool| up || !any_up;
                            let there = twin.iter().filter(|(up, _)| fit(*up));
                            let least = there.map(|(_, waiting)| *waiting).min();
                            prop_assert!(fit(twin[chosen].0) && Some(twin[chosen].1) == least);
                            twin[chosen].1 += 1;
                        }
                    }
                }
            }
        }
    }
}
