//! The contract between the engine and the user's state.

use bytes::Bytes;

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
/// calls through different handles may overlap if their commands do not interfere. `read` sees the
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
