//! A node as those see it who do not know its machine.

use super::engine::Busy;
use super::handle::Pending;
use super::node::{Node, SharedDisk};
use super::watch::View;
use crate::apply::{Request, Stateful};
use crate::base::Command;
use bytes::Bytes;

/// A command as it is, and its result as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw(pub Command);

impl Request for Raw {
    type Answer = Bytes;

    fn command(&self) -> Command {
        self.0.clone()
    }

    fn answer(result: &Bytes) -> Bytes {
        result.clone()
    }
}

/// What a [`Node`] of any machine does for those who call from outside.
pub trait Front: Send + Sync {
    /// As [`Node::propose`].
    ///
    /// # Errors
    ///
    /// [`Busy`].
    fn propose(&self, command: Command) -> Result<Pending<Raw>, Busy>;

    /// As [`Node::read`].
    ///
    /// # Errors
    ///
    /// [`Busy`].
    fn read(&self, command: Command) -> Result<Pending<Raw>, Busy>;

    /// What it is now.
    fn view(&self) -> View;
}

impl<D: SharedDisk, M: Stateful> Front for Node<D, M> {
    fn propose(&self, command: Command) -> Result<Pending<Raw>, Busy> {
        Node::propose(self, &Raw(command))
    }

    fn read(&self, command: Command) -> Result<Pending<Raw>, Busy> {
        Node::read(self, &Raw(command))
    }

    fn view(&self) -> View {
        self.watch().view()
    }
}
