//! Which versions of the wire there are, and which of them two ends have in common.

use std::fmt;

/// A version of the wire. A release reads and writes the newest one and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Each record of a [`Replicate`](crate::message::Replicate) is written as in the log.
    One = 1,
    /// What a record of a [`Replicate`](crate::message::Replicate) has in common with the message,
    /// or with the record before it, is left out: `Lean` in the schema.
    Two = 2,
}

impl Version {
    /// Every version that is spoken here, the oldest first.
    pub const ALL: [Version; 2] = [Version::One, Version::Two];

    /// The oldest that is spoken here.
    pub const OLDEST: Version = Version::One;

    /// The newest.
    pub const NEWEST: Version = Version::Two;

    /// As it is written in an envelope.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The version with this number, if it is spoken here.
    pub fn numbered(number: u32) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.number() == number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// The versions that one end of a connection speaks, as it says. They may be unknown here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub oldest: u32,
    /// The newest, and all in between.
    pub newest: u32,
}

impl Versions {
    /// Those of an end that does not say: releases before there was a choice.
    pub const UNSAID: Versions = Versions { oldest: 1, newest: 1 };

    /// Those that are spoken here, if none above `max` is to be.
    pub fn up_to(max: Version) -> Versions {
        Versions { oldest: Version::OLDEST.number(), newest: max.number() }
    }

    /// Whether one is among them.
    pub fn has(self, version: Version) -> bool {
        (self.oldest..=self.newest).contains(&version.number())
    }

    /// The newest that both ends speak, `self` being this one.
    ///
    /// # Errors
    ///
    /// [`Apart`], if there is none.
    pub fn common(self, theirs: Versions) -> Result<Version, Apart> {
        let newest = self.newest.min(theirs.newest);
        let oldest = self.oldest.max(theirs.oldest);
        match Version::numbered(newest) {
            Some(version) if oldest <= newest => Ok(version),
            _ if theirs.newest < self.oldest => Err(Apart::Old { theirs, here: self }),
            _ => Err(Apart::New { theirs, here: self }),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.oldest == self.newest {
            true => write!(f, "version {}", self.newest),
            false => write!(f, "versions {} to {}", self.oldest, self.newest),
        }
    }
}

/// Two ends have no version of the wire in common. Nothing is said until one of them is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Apart {
    /// The other end is too old.
    #[error(
        "the other end speaks {theirs} of the wire and this one {here}: upgrade that one first, \
         by one version after the other"
    )]
    Old {
        /// Of the other end.
        theirs: Versions,
        /// Of this one.
        here: Versions,
    },
    /// The other end is too new, or this one is told to write no newer version.
    #[error(
        "the other end speaks {theirs} of the wire and this one {here}: raise `wire-max` here, \
         upgrade this one, or take that one back to the release before"
    )]
    New {
        /// Of the other end.
        theirs: Versions,
        /// Of this one.
        here: Versions,
    },
    /// The other end does not say which ones it speaks.
    #[error(
        "the other end speaks none of {here} of the wire: the older one of the two has to be \
         upgraded first, by one version after the other"
    )]
    Neither {
        /// Of this one.
        here: Versions,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ends_speak_the_newest_that_both_know() {
        let of = |oldest, newest| Versions { oldest, newest };
        let (one, both) = (Versions::up_to(Version::One), Versions::up_to(Version::Two));
        assert_eq!((one, both), (Versions::UNSAID, of(1, 2)));
        for (here, theirs, spoken) in [
            (one, one, Version::One),
            (one, both, Version::One),
            (both, one, Version::One),
            (both, both, Version::Two),
            // The release after this one, which reads the one before it.
            (both, of(2, 3), Version::Two),
            (one, of(0, 9), Version::One),
        ] {
            assert_eq!(here.common(theirs), Ok(spoken), "{here}, {theirs}");
        }
        let later = of(2, 3);
        assert_eq!(later.common(one), Err(Apart::Old { theirs: one, here: later }));
        assert_eq!(one.common(later), Err(Apart::New { theirs: later, here: one }));
        assert_eq!(both.common(of(3, 4)), Err(Apart::New { theirs: of(3, 4), here: both }));
        assert_eq!(both.common(of(0, 0)), Err(Apart::Old { theirs: of(0, 0), here: both }));
        // No range at all is nobody's.
        assert!(both.common(of(2, 1)).is_err());
    }

    #[test]
    fn what_is_said_says_what_to_do() {
        let (one, later) = (Versions::UNSAID, Versions { oldest: 2, newest: 3 });
        let said = one.common(later).expect_err("apart").to_string();
        assert!(said.contains("versions 2 to 3") && said.contains("raise `wire-max`"), "{said}");
        let said = later.common(one).expect_err("apart").to_string();
        assert!(
            said.contains("speaks version 1 of") && said.contains("upgrade that one"),
            "{said}"
        );
    }
}
