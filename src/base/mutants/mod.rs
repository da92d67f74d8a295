//! The bug bank: known bugs that can be put back, one at a time, to see whether the checks find
//! them. Only in builds with the feature `mutants`; in all others [`mutant!`] is its right side.
//!
//! Which bug is on is a number for the whole process, set once before anything runs: so one build
//! has all of them, and what reads logs on threads of its own has the same one. An atomic number is
//! enough, since nobody waits for it and nothing else depends on when it is seen; there is no lock
//! and no thread in the pure parts for it. Tests that switch a bug on are alone in their process.

/// `mutant!(Name, right, wrong)`: `right`, unless the bug of this name is on. Where the feature is
/// off, `wrong` is not even compiled.
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    // In braces, so that no lint takes `let x = mutant!(Name, x, y)` for a mistake.
    ($name:ident, $right:expr, $wrong:expr) => {{ $right }};
}

/// `mutant!(Name, right, wrong)`: `right`, unless the bug of this name is on.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($name:ident, $right:expr, $wrong:expr) => {
        if $crate::base::Mutant::$name.is_on() { $wrong } else { $right }
    };
}

pub(crate) use mutant;

/// The name of the bug that is on, if one is. Whoever keeps a user's data does not start then.
pub(crate) fn mutant_on() -> Option<String> {
    #[cfg(feature = "mutants")]
    return bank::on().map(bank::Mutant::name);
    #[cfg(not(feature = "mutants"))]
    None
}

#[cfg(feature = "mutants")]
mod bank;

#[cfg(feature = "mutants")]
pub use bank::{Mutant, switch_mutant};
