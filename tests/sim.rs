//! The deterministic world: the same every time, calibrated, and hostile without harm.

#[path = "sim/calibration.rs"]
mod calibration;
#[path = "sim/chaos.rs"]
mod chaos;
#[path = "sim/partial.rs"]
mod partial;
#[path = "sim/reads.rs"]
mod reads;
#[path = "sim/world.rs"]
mod world;
