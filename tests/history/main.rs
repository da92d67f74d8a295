//! The checker of histories: against a brute-force twin, on known bad histories of each kind and
//! their good neighbours, on long ones, and as a program.

mod files;
mod long;
mod twin;
