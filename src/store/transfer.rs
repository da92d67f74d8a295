//! Sending a snapshot, and receiving one.

use super::{Home, StoreError, meta};
use crate::base::{Lsn, ReplicaId, TailBitmap};
use crate::disk::Disk;
use crate::replica::SnapshotMeta;
use crate::snapshot::{
    Offer, Parcel, Progress, ReceiveError, Receiver, Snapshot, Transfer, Want, serve,
};
use std::sync::Arc;

/// The most bytes that one request is answered with: twice the window of a receiver and the rest of
/// a segment.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A snapshot on its way to here.
#[derive(Debug)]
pub(super) struct Incoming<D: Disk> {
    from: ReplicaId,
    offer: Offer,
    receiver: Receiver<D>,
}

/// What came of a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that the replica has to know.
    Nothing,
    /// A snapshot has arrived, whole and durable:
    /// [`Input::Install`](crate::replica::Input::Install).
    Arrived(Box<SnapshotMeta>),
    /// What is offered is done here. Whoever offers it misses records here that it has dropped
    /// itself; it will cease when they are in a snapshot here: [`take`](Home::take) one.
    Known,
}

impl<D: Disk + Clone> Home<D> {
    /// Offers the own snapshot to a replica that needs one of everything below `below`. `None`
    /// if there is none: [`take`](Self::take) one, the replica will ask again.
    pub fn offer(&mut self, to: ReplicaId, below: Lsn) -> Option<Parcel> {
        let own = self.own.as_ref().filter(|own| own.header().done.offset() >= below)?;
        // One that is on its way is not replaced by the next one, or none would ever arrive.
        let (outgoing, _) = self.outgoing.get_or_insert_with(|| (own.clone(), 0));
        if outgoing.header().done.offset() < below {
            *outgoing = own.clone();
        }
        let transfer = Transfer::Offer(outgoing.offer());
        Some(Parcel { from: self.identity.replica, to, transfer })
    }

    /// A parcel has come; answers go to `answers`. `done` is what is done here.
    ///
    /// # Errors
    ///
    /// [`StoreError::Disk`] and [`StoreError::Snapshot`], of the own disk. What a sender does wrong
    /// is no error here: the transfer ends, and somebody else may offer.
    pub fn hear(
        &mut self,
        parcel: Parcel,
        done: &TailBitmap,
        answers: &mut Vec<Parcel>,
    ) -> Result<Heard, StoreError> {
        let Parcel { from, to, transfer } = parcel;
        if to != self.identity.replica || from == to {
            return Ok(Heard::Nothing);
        }
        match transfer {
            Transfer::Offer(offer) => return self.on_offer(from, offer, done, answers),
            Transfer::Want(want) => self.on_want(from, &want, answers)?,
            Transfer::Chunk(chunk) => {
                let Some(incoming) = &mut self.incoming else { return Ok(Heard::Nothing) };
                let taken = incoming.receiver.take(&chunk);
                return self.go_on(taken.map(drop), answers);
            }
        }
        Ok(Heard::Nothing)
    }

    fn on_offer(
        &mut self,
        from: ReplicaId,
        offer: Offer,
        done: &TailBitmap,
        answers: &mut Vec<Parcel>,
    ) -> Result<Heard, StoreError> {
        if offer.cluster != self.identity.cluster {
            return Ok(Heard::Nothing);
        }
        if offer.done.offset() <= done.offset() {
            return Ok(Heard::Known);
        }
        if let Some(arrived) = &self.arrived
            && arrived.header().done.offset() >= offer.done.offset()
        {
            return Ok(Heard::Arrived(Box::new(meta(arrived.header()))));
        }
        let here = self.incoming.as_ref();
        // One at a time. That of the same sender is given up for what it has now.
        if here.is_some_and(|incoming| incoming.offer == offer || incoming.from != from) {
            return Ok(Heard::Nothing);
        }
        let (cluster, options) = (self.identity.cluster, self.options.transfer);
        // Whether something done here would be lost is for the replica to say, when it is here.
        let local = self.own.clone();
        let here = (cluster, done, done);
        let begun = Receiver::new(self.disk.clone(), offer.clone(), here, local, options);
        match begun {
            Ok(receiver) => {
                self.incoming = Some(Incoming { from, offer, receiver });
                self.go_on(Ok(()), answers)
            }
            Err(ReceiveError::Disk(error)) => Err(error.into()),
            Err(_) => Ok(Heard::Nothing),
        }
    }

    fn on_want(
        &mut self,
        from: ReplicaId,
        want: &Want,
        answers: &mut Vec<Parcel>,
    ) -> Result<(), StoreError> {
        let outgoing = self.outgoing.as_ref().map(|(snapshot, _)| snapshot);
        let wanted = outgoing.into_iter().chain(&self.own).find(|s| s.root() == want.root).cloned();
        let parcel = |transfer| Parcel { from: self.identity.replica, to: from, transfer };
        let Some(snapshot) = wanted else {
            // That one is gone; there may be a newer one.
            answers.extend(self.own.as_ref().map(|own| parcel(Transfer::Offer(own.offer()))));
            return Ok(());
        };
        // What cannot be read here, or does not exist, is not sent; the other side gives up.
        if let Ok(chunks) = serve(&snapshot, want, ANSWER_BYTES_MAX) {
            answers.extend(chunks.into_iter().map(|chunk| parcel(Transfer::Chunk(chunk))));
        }
        self.outgoing = Some((snapshot, 0));
        Ok(())
    }

    /// Asks for what is missing, or finishes.
    fn go_on(
        &mut self,
        result: Result<(), ReceiveError>,
        answers: &mut Vec<Parcel>,
    ) -> Result<Heard, StoreError> {
        let Some(Incoming { from, receiver, .. }) = &mut self.incoming else {
            return Ok(Heard::Nothing);
        };
        let want = match result.and_then(|()| receiver.want()) {
            Ok(want) => want,
            // What has arrived stays, and is found by the next one that receives the same.
            Err(error) => {
                self.incoming = None;
                return match error {
                    ReceiveError::Disk(error) => Err(error.into()),
                    _ => Ok(Heard::Nothing),
                };
            }
        };
        if !want.spans.is_empty() {
            let transfer = Transfer::Want(want);
            answers.push(Parcel { from: self.identity.replica, to: *from, transfer });
        }
        if receiver.is_complete() { self.finish() } else { Ok(Heard::Nothing) }
    }

    fn finish(&mut self) -> Result<Heard, StoreError> {
        let Some(Incoming { offer, receiver, .. }) = self.incoming.take() else {
            return Ok(Heard::Nothing);
        };
        let below = offer.done.offset();
        let here = [Some(self.prefix()), self.draft].into_iter().flatten().max();
        if here.is_some_and(|here| below <= here) {
            self.remove(&format!("{}.part", crate::snapshot::snapshot_name(&offer.done)))?;
            return Ok(Heard::Known);
        }
        let name = match receiver.finish() {
            Ok(name) => name,
            Err(ReceiveError::Disk(error)) => return Err(error.into()),
            Err(_) => return Ok(Heard::Nothing),
        };
        let snapshot = Snapshot::open(self.disk.clone(), &name, self.options.cache_bytes)?;
        let meta = meta(snapshot.header());
        self.retired.extend(self.arrived.replace(Arc::new(snapshot)));
        Ok(Heard::Arrived(Box::new(meta)))
    }

    /// How much of the snapshot that is on its way has come, if one is.
    pub fn progress(&self) -> Option<Progress> {
        self.incoming.as_ref().map(|incoming| incoming.receiver.progress())
    }

    /// Some time has passed, the same from call to call; about 10 ms is a good measure. Asks again
    /// for what did not come, gives senders up that are silent, and lets go of what nobody asks
    /// for any more.
    ///
    /// # Errors
    ///
    /// As of [`hear`](Self::hear).
    pub fn tick(&mut self, answers: &mut Vec<Parcel>) -> Result<(), StoreError> {
        if let Some((_, idle)) = &mut self.outgoing {
            *idle += 1;
            if *idle > self.options.transfer.stall_ticks {
                self.outgoing = None;
            }
        }
        self.clean();
        if let Some(incoming) = &mut self.incoming {
            let ticked = incoming.receiver.tick();
            self.go_on(ticked, answers)?;
        }
        Ok(())
    }
}
