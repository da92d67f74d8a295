//! Replicas whose addresses nobody named: whoever calls with the certificate of a replica is called
//! back.

use super::hub::Hub;
use super::lanes::Lane;
use crate::base::ReplicaId;
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most replicas that are learned of. One that misleads others can only give its own address,
/// and certificates are not given to many.
const LEARNED_MAX: usize = 64;

/// The lanes to one replica.
pub(super) type Both = [Lane; 2];

/// Begins lanes to a replica at an address.
pub(super) type Maker = Box<dyn Fn(&Arc<Hub>, ReplicaId, &str) -> Both + Send>;

/// Who has called, and what calls it back.
#[derive(Default)]
pub(super) struct Newcomers(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    known: BTreeMap<ReplicaId, String>,
    /// Nothing before a node joins, and after it has gone.
    begin: Option<(Maker, Sender<(ReplicaId, Both)>)>,
}

impl Newcomers {
    /// Somebody has joined, who is given lanes to those who call, and to those who have called
    /// while nobody was there: their calls last, and they do not say it again. To be called within
    /// the runtime.
    pub(super) fn open(&self, hub: &Arc<Hub>, maker: Maker) -> Receiver<(ReplicaId, Both)> {
        let (sender, receiver) = mpsc::channel();
        let mut inside = self.lock();
        for (id, address) in &inside.known {
            // Whoever takes them is here.
            let _ = sender.send((*id, maker(hub, *id, address)));
        }
        inside.begin = Some((maker, sender));
        receiver
    }

    pub(super) fn close(&self) {
        self.lock().begin = None;
    }

    /// `id` has shown that it is that replica, and says that it is reached there. What the options
    /// say goes before that. To be called within the runtime.
    pub(super) fn learn(&self, hub: &Arc<Hub>, id: ReplicaId, address: &str) {
        let is_named = id == hub.options.id || hub.options.peers.contains_key(&id);
        let mut inside = self.lock();
        let is_known = inside.known.get(&id).is_some_and(|known| known == address);
        let has_room = inside.known.len() < LEARNED_MAX || inside.known.contains_key(&id);
        if is_named || is_known || !has_room || !is_address(address) {
            return;
        }
        inside.known.insert(id, address.to_string());
        if let Some((maker, sender)) = &inside.begin {
            // Nobody takes them when the node has gone.
            let _ = sender.send((id, maker(hub, id, address)));
        }
    }

    /// All that have called, and where each is.
    pub(super) fn all(&self) -> BTreeMap<ReplicaId, String> {
        self.lock().known.clone()
    }

    /// Where one is that has called.
    pub(super) fn address(&self, id: ReplicaId) -> Option<String> {
        self.lock().known.get(&id).cloned()
    }

    /// What is inside is whole at every moment, so whoever panicked holding it left it so.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of a host and a port.
fn is_address(address: &str) -> bool {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0))
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert!(["a:1", "10.0.0.1:7400", "[::1]:7400"].iter().all(|address| is_address(address)));
        let odd = ["", "a", ":1", "a:", "a:0", "a:65536", "a:-1", "a:1 "];
        assert!(odd.iter().all(|address| !is_address(address)));
    }
}
