//! A whole cluster in this process, in memory: for tests.

use super::engine::NodeError;
use super::node::Node;
use super::parts::{NodeOptions, Post, Recorder, Start};
use super::sync::Instant;
use super::transport::Loopback;
use crate::apply::Stateful;
use crate::base::{Membership, ReplicaId};
use crate::disk::SimDisk;
use std::time::Duration;

/// Nodes 1, 2, 3 and so on in this process, on simulated disks, joined by a [`Loopback`]. What they
/// run is what runs on a real disk and a real network.
pub struct Cluster<M: Stateful + Default> {
    disks: Vec<SimDisk>,
    network: Loopback<Post>,
    nodes: Vec<Option<Node<SimDisk, M>>>,
    recorder: Option<Recorder>,
}

impl<M: Stateful + Default> Cluster<M> {
    /// So many nodes, each with an empty disk.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn local(nodes: usize) -> Result<Cluster<M>, NodeError> {
        Cluster::begin(nodes, None)
    }

    /// The same; somebody is told of each step of each replica.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn recorded(nodes: usize, recorder: Recorder) -> Result<Cluster<M>, NodeError> {
        Cluster::begin(nodes, Some(recorder))
    }

    fn begin(nodes: usize, recorder: Option<Recorder>) -> Result<Cluster<M>, NodeError> {
        let mut cluster = Cluster {
            disks: (0..nodes).map(|_| SimDisk::new()).collect(),
            network: Loopback::new(),
            nodes: (0..nodes).map(|_| None).collect(),
            recorder,
        };
        (1..=nodes).try_for_each(|id| cluster.open(id as u64, Start::First))?;
        Ok(cluster)
    }

    /// The ids of all nodes, those included that are stopped.
    pub fn ids(&self) -> impl Iterator<Item = u64> + use<M> {
        1..=self.disks.len() as u64
    }

    /// Starts a node that is stopped, from what is on its disk.
    ///
    /// # Errors
    ///
    /// What the store says.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn start(&mut self, id: u64) -> Result<(), NodeError> {
        self.open(id, Start::Again)
    }

    fn open(&mut self, id: u64, start: Start) -> Result<(), NodeError> {
        let at = id as usize - 1;
        // The earlier one has to let go of the disk.
        self.nodes[at] = None;
        let members = Membership::majority(self.ids().map(ReplicaId));
        let recorder = self.recorder.clone();
        let defaults = NodeOptions::new(ReplicaId(id), members);
        let options = NodeOptions { start, recorder, ..defaults };
        let node = Node::open(self.disks[at].clone(), options, M::default(), &self.network)?;
        self.nodes[at] = Some(node);
        Ok(())
    }

    /// Stops a node without letting it answer. Its power fails: what is not synced is gone.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn crash(&mut self, id: u64) {
        let at = id as usize - 1;
        self.nodes[at] = None;
        self.disks[at] = SimDisk::of(self.disks[at].state().crash(|_| false));
    }

    /// A node.
    ///
    /// # Panics
    ///
    /// If it is stopped, or there is none.
    pub fn node(&self, id: u64) -> &Node<SimDisk, M> {
        self.nodes[id as usize - 1].as_ref().expect("the node runs")
    }

    /// Waits until a node leads and the others that run know it; gives its id. `None` if that is
    /// not so in time.
    pub fn leader(&self, patience: Duration) -> Option<u64> {
        let end = Instant::now() + patience;
        let running = || self.nodes.iter().flatten();
        loop {
            let leader = running().find_map(|node| node.watch().view().leader);
            let known = |leader| {
                running().all(|node| {
                    let left = end.saturating_duration_since(Instant::now());
                    let knows = node.watch().until(left, |view| view.leader.is_some());
                    knows.is_some_and(|view| view.leader == Some(leader))
                })
            };
            match leader {
                Some(leader) if known(leader) => return Some(leader.0),
                _ if Instant::now() >= end => return None,
                _ => running().take(1).for_each(|node| {
                    let mut watch = node.watch();
                    watch.view();
                    watch.changed(Duration::from_millis(5));
                }),
            }
        }
    }
}
