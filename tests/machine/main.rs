//! The machines against their dumb twins, and the kit that tests a machine.

mod block;
mod kv;
mod laws;
mod session;
mod shared;
