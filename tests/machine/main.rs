//! The machines against their dumb twins, and the kit that tests a machine.

mod block;
mod kv;
mod laws;
mod redis;
mod redis_twin;
mod session;
mod shared;
