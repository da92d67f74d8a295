//! The contract between the engine and the user's state.

use super::Bottom;
use crate::base::Command;
use bytes::Bytes;
use std::sync::Arc;

/// The user's state, and how commands change it.
///
/// A driver calls [`apply`](Self::apply) once for each record that its replica gives out, and
/// nothing else changes the state. Replicas execute records in different orders and leave out
/// overridden ones; that their states agree all the same (I-9) rests on this contract.
/// [`laws`](super::laws) searches a machine for a breach of each point.
///
/// 1. **Determined.** State and results follow from the state before and the body. No clock, no
///    random number, no address, no order of a hash map, nothing of this machine or process.
/// 2. **Inside its footprint.** A command reads and writes no key outside the footprint it was
///    proposed with, so that two commands that do not interfere commute: both orders give the same
///    state and the same two results. One that writes nothing changes nothing.
/// 3. **Blind means blind.** A command that reads nothing returns nothing, since its client is
///    answered before it is executed; and what it leaves in the keys it writes does not depend on
///    what was there, since whatever another blind command writes over may never be executed.
/// 4. **Total.** Every body has a result. An error of a command (no such account, a malformed
///    body) is a result like any other, the same at every replica. A panic is none: it stops the
///    replica, and every other one as well when the record gets there.
/// 5. **No way to fail.** What the machine itself rests on, such as a disk, may fail; then it must
///    not answer, because the others will not give the same answer. It panics, the replica stops,
///    and a restart executes the record again.
///
/// # What may run at the same time
///
/// Records that are given out together do not interfere, so they may run in any order or at once;
/// but one that says which it comes `after` runs after that one.
/// `apply` takes `&mut self` so that a machine driven by one thread needs no lock. A machine that
/// is shared by several threads implements the trait for its *handle*, as `std` has `Write` for
/// `&File`: the exclusive borrow is then that of the handle, each thread has one of its own, and
/// calls through different handles may overlap if their commands do not interfere. A node drives
/// such a machine with several workers if it gives out [hands](Stateful::hand). `read` sees the
/// effect of every `apply` that returned before it was called. `digest` is called only while no
/// `apply` is under way.
pub trait Machine {
    /// Executes the command with this body and gives its result: empty if the command is blind.
    fn apply(&mut self, body: &Bytes) -> Bytes;

    /// The result of a command that writes nothing, as `apply` would give it now. A body that does
    /// write has an error for a result, and does nothing.
    fn read(&self, body: &Bytes) -> Bytes;

    /// A number that equal states share and others almost surely do not: everything that a later
    /// command or read can see goes into it, and nothing else. Linear in the state.
    fn digest(&self) -> u64;
}

/// A command or a read with its type: what it asks of a machine, and what it gets.
pub trait Request {
    /// What it gets.
    type Answer;

    /// The command: a body for the machine, and the keys that it reads and writes.
    fn command(&self) -> Command;

    /// What the machine's result means. Total: a result that no machine of this type gives is an
    /// answer that says so.
    fn answer(result: &Bytes) -> Self::Answer;
}

/// A machine whose state can be kept in a snapshot and taken back from there, as keys and values.
/// Whoever keeps something else puts it under keys of its own.
pub trait Stateful: Machine + Send + 'static {
    /// The state of one moment, held fast while the machine goes on.
    type Frozen: Send + 'static;

    /// Whether it can rest on a snapshot that stays in its file: [`adopt`](Self::adopt) and
    /// [`rest_on`](Self::rest_on) do something.
    const ADOPTS: bool = false;

    /// Holds the state of this moment fast. Takes no longer than a command, however large the state
    /// is. `None` while an earlier one is still held; then it is asked again.
    fn freeze(&mut self) -> Option<Self::Frozen>;

    /// All pairs in the order of their keys, each key once. Called on another thread.
    fn pairs(frozen: &Self::Frozen) -> impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>;

    /// Forgets the state: as it was before the first command.
    fn clear(&mut self);

    /// Takes one pair of a snapshot, whose pairs come in order after [`clear`](Self::clear). In the
    /// end [`digest`](Machine::digest) is what it was.
    fn load(&mut self, key: &[u8], value: &[u8]);

    /// Takes the pairs of a snapshot for its state without reading all of them: instead of
    /// [`clear`](Self::clear) and [`load`](Self::load), and to the same effect. Says whether it
    /// did; otherwise it has it loaded.
    fn adopt(&mut self, snapshot: Arc<dyn Bottom>) -> bool {
        let _ = snapshot;
        false
    }

    /// What was held fast has become a snapshot: what is in it need not be in memory any more.
    /// Nothing that can be asked changes, whether or not it makes use of that; nothing happens if
    /// this is not the state held fast last, or that state has been forgotten.
    fn rest_on(&mut self, frozen: &Self::Frozen, snapshot: Arc<dyn Bottom>) {
        let _ = (frozen, snapshot);
    }

    /// Another handle to the same state, for one more thread: calls through different handles may
    /// overlap then, if their commands do not interfere. `None`, which is the default: one thread
    /// executes everything. Handles are made once, before the first command. They are not in use
    /// while another method of this trait or [`digest`](Machine::digest) is, and see what that
    /// leaves.
    fn hand(&self) -> Option<Box<dyn Machine + Send>> {
        None
    }
}
