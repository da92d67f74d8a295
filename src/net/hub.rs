//! What all connections of one network share.

use super::clients::Behind;
use super::counts::{Counts, add};
use super::credentials::{Credentials, Keys};
use super::crowd::{Crowd, Gone, Seat};
use super::ear::{Ear, Kind, Who};
use super::lanes::{KINDS, Lane, Lanes, Queue};
use super::newcomers::Newcomers;
use super::{Door, NetError, NetOptions};
use crate::base::ReplicaId;
use crate::wire::{Apart, Version, Versions};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// What TLS shows and believes at the moment; `None` without TLS.
pub(super) type Current = Option<Arc<Keys>>;

/// The version of the wire in which each other replica is written to; or why in none.
pub type Spoken = BTreeMap<ReplicaId, Result<Version, Apart>>;

/// What all connections of one network share.
pub(super) struct Hub {
    pub(super) options: NetOptions,
    pub(super) door: Door,
    pub(super) counts: Arc<Counts>,
    keys: watch::Sender<Current>,
    /// What is offered as spoken on top of TLS, the best first.
    protocols: Vec<&'static [u8]>,
    /// What was agreed with each other one when it was called last.
    spoken: Mutex<Spoken>,
    /// Those that have not shown who they are.
    unknown: Arc<Crowd<IpAddr>>,
    replicas: Arc<Crowd<ReplicaId>>,
    others: Arc<Crowd<()>>,
    pub(super) newcomers: Newcomers,
    pub(super) behind: Behind,
}

/// The place of a connection that has shown who it is. Dropped, it is free.
pub(super) enum Place {
    Replica { _seat: Seat<ReplicaId> },
    Other { _seat: Seat<()> },
}

impl Hub {
    /// For connections that speak one of these, the best first.
    pub(super) fn new(
        options: NetOptions,
        protocols: Vec<&'static [u8]>,
    ) -> Result<Arc<Hub>, NetError> {
        let keys = |credentials: &Credentials| credentials.keys(options.id, &protocols);
        let keys = options.credentials.as_ref().map(keys).transpose()?.map(Arc::new);
        let guests = options.guests.clone();
        let replicas_max = guests.replica_max.saturating_mul(options.peers.len().max(16));
        Ok(Arc::new(Hub {
            options,
            door: Door::default(),
            counts: Arc::default(),
            keys: watch::Sender::new(keys),
            protocols,
            spoken: Mutex::default(),
            unknown: Crowd::new(guests.unknown_each_max, guests.unknown_max),
            replicas: Crowd::new(guests.replica_max, replicas_max),
            others: Crowd::new(guests.others_max, guests.others_max),
            newcomers: Newcomers::default(),
            behind: Behind::default(),
        }))
    }

    pub(super) fn runtime(&self) -> Result<Runtime, NetError> {
        let name = format!("{} net", self.options.id);
        let mut builder = Builder::new_multi_thread();
        Ok(builder.worker_threads(2).thread_name(name).enable_all().build()?)
    }

    pub(super) fn ear(&self) -> Ear {
        Ear {
            id: self.options.id,
            cluster: self.options.cluster,
            wire_max: self.options.wire_max,
            door: self.door.clone(),
            counts: self.counts.clone(),
        }
    }

    pub(super) fn keys(&self) -> Current {
        self.keys.borrow().clone()
    }

    /// To be told of new ones.
    pub(super) fn watch_keys(&self) -> watch::Receiver<Current> {
        self.keys.subscribe()
    }

    /// Whether `keys` are still those that count.
    pub(super) fn are_current(&self, keys: &Current) -> bool {
        match (&*self.keys.borrow(), keys) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (now, then) => now.is_none() && then.is_none(),
        }
    }

    /// Credentials as they are used, if they are of use here.
    pub(super) fn check(&self, credentials: &Credentials) -> Result<Arc<Keys>, NetError> {
        if self.options.credentials.is_none() {
            return Err(NetError::NoCredentials);
        }
        Ok(Arc::new(credentials.keys(self.options.id, &self.protocols)?))
    }

    /// From now on TLS shows and believes these. All connections end, and are made anew with them:
    /// so whoever is believed no longer is heard no longer.
    pub(super) fn replace(&self, keys: Arc<Keys>) {
        self.keys.send_replace(Some(keys));
        self.unknown.clear();
        self.replicas.clear();
        self.others.clear();
    }

    /// Where a replica is reached, if that is known.
    pub(super) fn address(&self, id: ReplicaId) -> Option<String> {
        let named = self.options.peers.get(&id).cloned();
        named.or_else(|| self.newcomers.address(id))
    }

    /// Where replicas are reached, as far as that is known: what the options say goes before what
    /// was learned.
    pub(super) fn addresses(&self) -> BTreeMap<ReplicaId, String> {
        let mut all = self.newcomers.all();
        all.extend(self.options.peers.clone());
        all
    }

    /// Which versions of the wire are spoken here.
    pub(super) fn versions(&self) -> Versions {
        Versions::up_to(self.options.wire_max)
    }

    /// Keeps what was agreed with another one, for whoever asks.
    pub(super) fn agreed(&self, id: ReplicaId, version: Result<Version, Apart>) {
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner).insert(id, version);
    }

    /// What was agreed with all of them.
    pub(super) fn spoken(&self) -> Spoken {
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets in somebody who has not shown anything.
    pub(super) fn greet(&self, address: IpAddr) -> (Seat<IpAddr>, Gone) {
        let (seat, gone, displaced) = self.unknown.enter(address);
        add(&self.counts.displaced, displaced);
        (seat, gone)
    }

    /// Lets in somebody who has shown who it is.
    pub(super) fn seat(&self, who: Who) -> (Place, Gone) {
        let (place, gone, displaced) = match who {
            Who::Replica(id) => {
                let (seat, gone, displaced) = self.replicas.enter(id);
                (Place::Replica { _seat: seat }, gone, displaced)
            }
            Who::Client | Who::NoReplica | Who::Anybody => {
                let (seat, gone, displaced) = self.others.enter(());
                (Place::Other { _seat: seat }, gone, displaced)
            }
        };
        add(&self.counts.displaced, displaced);
        (place, gone)
    }

    /// How many connections from outside there are: without and with a known other end.
    pub(super) fn guests(&self) -> (usize, usize) {
        (self.unknown.len(), self.replicas.len() + self.others.len())
    }

    /// Lanes to all others, and to those who call: that of messages with `lines` connections, that
    /// of parcels with one, which `start` begins to dial.
    pub(super) fn lanes(
        self: &Arc<Hub>,
        lines: usize,
        start: impl Fn(&Arc<Hub>, ReplicaId, &str, Kind, Queue) + Send + 'static,
    ) -> Lanes {
        let make = move |hub: &Arc<Hub>, id: ReplicaId, address: &str| {
            let lane = |kind| {
                let bytes_max = hub.options.queue_bytes;
                let lines = if kind == Kind::Messages { lines } else { 1 };
                Lane::new(lines, bytes_max, &hub.counts, |queue| {
                    start(hub, id, address, kind, queue);
                })
            };
            KINDS.map(lane)
        };
        let others = self.options.peers.iter().filter(|(id, _)| **id != self.options.id);
        let lanes = others.map(|(id, address)| (*id, make(self, *id, address))).collect();
        let learned = self.newcomers.open(self, Box::new(make));
        Lanes { lanes, learned, counts: self.counts.clone() }
    }
}
