//! Checkers that know the contract and not the implementation.

pub mod history;
pub mod model;
pub mod refine;
pub mod scenario;
pub mod search;
pub mod spec;
pub mod storage;
