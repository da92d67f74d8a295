//! Checkers that know the contract and not the implementation.

pub mod history;
pub mod storage;
