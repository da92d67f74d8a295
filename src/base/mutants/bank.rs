//! The known bugs, in the order of the sections of algorithm.md, then of the layers below.

use std::sync::atomic::{AtomicU32, Ordering};

/// One more than the number of the bug that is on; zero if none is.
static ON: AtomicU32 = AtomicU32::new(0);

/// Switches a bug on, or none, for the whole process.
pub fn switch_mutant(mutant: Option<Mutant>) {
    ON.store(mutant.map_or(0, |mutant| mutant as u32 + 1), Ordering::Relaxed);
}

/// The one that is on.
pub(super) fn on() -> Option<Mutant> {
    let number = ON.load(Ordering::Relaxed).checked_sub(1)?;
    Mutant::ALL.get(number as usize).copied()
}

impl Mutant {
    /// Whether it is on.
    pub fn is_on(self) -> bool {
        ON.load(Ordering::Relaxed) == self as u32 + 1
    }

    /// Its name on the command line: `ClosureOff` is `closure-off`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

/// Each bug: its name, the file of its one site, what it is of, and what goes wrong.
macro_rules! bank {
    ($($name:ident $file:literal $of:literal $about:literal;)*) => {
        /// A known bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $(#[doc = $about] $name,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name),*];

            /// What it does instead, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Mutant::$name => $about),* }
            }

            /// The rule that it breaks (algorithm.md), the near miss of losing-schedules.md
            /// that it is, or who had it.
            pub fn of(self) -> &'static str {
                match self { $(Mutant::$name => $of),* }
            }

            /// The file of its site, under `src/`.
            pub fn file(self) -> &'static str {
                match self { $(Mutant::$name => $file),* }
            }
        }
    };
}

bank! {
    OnlyReadersBetween "replica/index/place.rs" "near miss: Authoring, overrides"
        "Of the records between a victim and its overrider only readers are looked for.";
    EmptyVictimForgotten "replica/index/place.rs" "near miss: Authoring, overrides"
        "The overrides of a victim are added only where the leader holds them.";
    ReadingCommandOverrides "replica/index/place.rs" "Authoring, blind"
        "A command that reads overrides what it writes again, too.";
    IncrementsCommute "replica/index/place.rs" "CX7"
        "Commands that read and write a key do not depend on what they read.";
    DependsOnOverridden "replica/index/place.rs" "near miss: Authoring, depends"
        "A record depends on what another of its dependencies overrides.";
    VictimsDependenciesImplied "replica/index/place.rs" "near miss: Authoring, depends"
        "What a victim depends on is not inherited by its overrider.";
    FloorFalls "replica/lead.rs" "near miss: Authoring, floor; I-11"
        "A new leader computes its floor from what it knows settled alone.";
    FloorAboveAHole "replica/author.rs" "Authoring, floor; I-11"
        "The floor is above everything settled, not at the first position that is not.";

    VoteForgotten "replica/elect.rs" "fault-N8; Electing 1"
        "A promise is not written to the disk.";
    VoteBeforeDurable "replica/elect.rs" "fault-N8; Electing 2"
        "A vote is sent before the promise is durable.";
    OwnVoteBeforeDurable "replica/elect.rs" "Electing 1"
        "A candidate counts its own vote before its promise is durable.";
    LowerIdInTerm "replica/elect.rs" "fault-N8 (CCF 8094); Electing 2"
        "A voter votes again in the same term, for a lower leader id.";
    ResumesLeaderId "replica/elect.rs" "Electing 1; I-2"
        "A leader that restarts resumes its old leader id.";
    OffersAboveOffset "replica/rebuild.rs" "CX4"
        "A voter offers no records below the offset of its bitmap.";
    OffersEmptyPositions "replica/elect.rs" "CX6"
        "A voter offers overridden positions that it does not hold.";
    CandidateAlone "replica/elect.rs" "near miss: Membership 4"
        "A candidate trusts the memberships that it knows itself.";

    TraftRule "replica/rebuild.rs" "near miss: Rebuilding 1; the traft rule"
        "Only the logs of the voters with the greatest committer count.";
    PerPosition "replica/rebuild.rs" "near miss: Rebuilding 1"
        "At each position the record accepted under the greatest leader id survives.";
    ClosureOff "replica/rebuild.rs" "near miss: Rebuilding 3; I-7"
        "A record with a lost dependency is not dropped.";
    ClosureBelowFloor "replica/rebuild.rs" "near miss: Rebuilding 3"
        "What is missing below its floor drops a record, too.";
    ClosureDropsOverridden "replica/rebuild.rs" "near miss: Rebuilding 3"
        "A record with a lost dependency is dropped though a survivor overrides it.";
    OverriddenHoleIsVoided "replica/rebuild.rs" "near miss: Rebuilding 4"
        "A hole that a survivor overrides becomes a void.";
    HolesStayEmpty "replica/rebuild.rs" "fault-G1 (ParallelRaft, ghost entries)"
        "No hole becomes a void: what a dead leader placed there may come back.";
    NextBelowPurged "replica/lead.rs" "near miss: Rebuilding 4"
        "The next position is above the highest survivor, not above what voters have purged.";

    AdoptionErases "replica/follow.rs" "CX1b; Replicating 1"
        "Taking a lineage drops every record.";
    AdoptionKeepsAll "replica/follow.rs" "CX1; Replicating 1; I-4"
        "Taking a lineage keeps records of dead leaders and counts them.";
    LowerLeaderAccepted "replica/follow.rs" "CX2; Replicating 1"
        "A replica goes back to an older leader that it hears, below its promise.";
    SettledFromAnybody "replica/follow.rs" "near miss: Replicating 3"
        "A settled bitmap is believed before the lineage of its leader is taken.";
    AcceptBeforeDurable "replica/follow.rs" "fault-L6; I-1"
        "A follower says what it accepted before that is durable.";
    LeaderCountsUndurable "replica/lead.rs" "fault-L6 (etcd 14370)"
        "A leader counts its own records before they are durable.";
    MixedLeaders "replica/lead.rs" "CX5; fault-L1 (figure 8)"
        "A leader counts what its voters have accepted under whatever leader.";
    OverriderHoldsVictim "replica/lead.rs" "CX3; near miss: Rebuilding"
        "The holder of an overriding record is counted as a holder of its victims.";
    HolesNeverRepaired "replica/peer.rs" "CX8; Replicating 4"
        "What a follower has missed is never sent again.";
    CommitsBeforeDependencies "replica/commit.rs" "Committing; I-7"
        "A record commits though what it depends on is not settled.";
    HeardUnderAnyLeader "replica/hearing.rs" "Committing 4; CX5"
        "A replica adds up what it heard acknowledged under different leaders.";
    HeardBeforeDependencies "replica/hearing.rs" "Committing 4; I-7"
        "A replica that hears everybody calls a record settled before what it depends on.";
    HeardWithoutTheLeader "replica/hearing.rs" "Committing 4; Membership 1"
        "A replica that hears everybody counts in the memberships that it knows itself.";

    CoveredBitIsEnough "replica/schedule.rs" "near miss: Applying"
        "What is covered counts as done, before its overrider is applied.";
    AllBelowFloorDone "replica/schedule.rs" "near miss: Applying; I-12"
        "Everything below the floor must be done; covered is not enough.";
    VictimsNotMarked "replica/schedule.rs" "near miss: Applying"
        "Applying a record marks only itself as done.";
    VictimsOfVictimsNotMarked "replica/schedule.rs" "near miss: Applying"
        "Applying a record marks its own victims only, not those of its held victims.";

    OnlyNotedReads "replica/shown.rs" "near miss: Reading 3"
        "A read of several keys waits only for the records noted when it came.";
    AnyWideReads "replica/shown.rs" "near miss: Reading 3"
        "A read waits for nothing settled if any of that writes all keys, not the first alone.";
    OutIsForgotten "replica/shown.rs" "Reading 3"
        "A read goes by what is done, whatever is out for execution.";
    HeardReadsByKnowledge "replica/shown.rs" "Reading 3; Committing 4"
        "Where everybody hears, a read of several keys waits for what the leader knows settled.";
    ReadNotesNothing "replica/read.rs" "fault-C2, fault-G5; Reading 1"
        "A read notes nothing: it waits only for what the leader knows settled.";
    ReadUnconfirmed "replica/read.rs" "near miss: Reading 2; fault-C1"
        "A read is served without asking whether the replica still leads.";
    ReadAfterPromise "replica/lead.rs" "near miss: Reading 3"
        "Reads that wait when a leadership ends are served.";
    LeaseKeptOverTransfer "replica/lease.rs" "fault-C3 (tikv 1593, openraft 1747)"
        "A lease is relied on after somebody was told to take over.";

    SnapshotCarriesApplied "replica/view.rs" "near miss: Purging"
        "A snapshot says what was applied, not what is done.";
    SnapshotOverHoles "replica/view.rs" "fault-G3; Purging"
        "A snapshot claims everything below the last position that is done.";
    PromiseStaysAtInstall "replica/snapshot.rs" "near miss: Purging"
        "Installing a snapshot does not raise the promise.";
    InstallWithoutHeldCheck "replica/snapshot.rs" "near miss: Purging"
        "A snapshot that lacks something done here is installed though that is not held.";
    OlderSnapshotInstalled "replica/snapshot.rs" "fault-P3"
        "Whatever snapshot comes is installed, however much more is done and purged here.";
    StaleMembershipAfterSnapshot "replica/snapshot.rs" "fault-M3 (openraft 1808)"
        "The membership in a snapshot is not put in force.";

    NewestMembershipAlone "replica/member.rs" "fault-M1 (the bug of 2015)"
        "While a change is pending only the newest membership counts.";
    MembershipWithoutBarrier "replica/commit.rs" "near miss: Membership 2; fault-G4"
        "A membership commits like any other record.";
    CoveredIsNoHolding "replica/commit.rs" "near miss: Membership 2"
        "A covered position does not count for the barrier.";
    OldQuorumsStay "replica/commit.rs" "fault-M9"
        "A leader goes on counting in the memberships that were in force when it was elected.";
    PendingForgotten "replica/mod.rs" "fault-M5, fault-M8"
        "A replica that restarts forgets memberships that are pending.";
    JointNeverLeft "replica/lead.rs" "fault-M4 (etcd 12136)"
        "A new leader does not finish the change of an earlier one.";

    DoubtVotes "replica/elect.rs" "fault-S14; Doubt"
        "A replica that has lost something votes.";
    StartsBelowLostPromise "replica/doubt.rs" "fault-S8; Doubt 1"
        "A replica that lost its promise starts with what it found.";
    RepairedTooSoon "replica/doubt.rs" "fault-S14; Doubt 3"
        "A replica that has lost something is called repaired before it has everything.";
    ExcusePurgedElsewhere "replica/doubt.rs" "Doubt 3"
        "A repaired replica may lack what others have purged.";

    UnknownIsRejected "replica/author.rs" "fault-K2"
        "A proposal whose end is unknown is called rejected.";
    ForwardsPlacedTwice "replica/author.rs" "fault-K1"
        "A forward that comes twice is placed twice.";
    TicketLifeIgnored "replica/forwards.rs" "fault-K1"
        "A forward of a sender that started again is taken for one of its earlier life.";
    LogNeverShrinks "replica/memory.rs" "fault-R1"
        "What is done stays in memory.";
    SessionForgets "apply/session/mod.rs" "fault-K1 (etcd 18424)"
        "A session does not remember which requests are finished.";
    SessionsNotInSnapshot "apply/session/mod.rs" "fault-K5"
        "Sessions are not in the snapshot.";

    UnsyncedLog "wal/flight.rs" "fault-S4 (etcd 14098, NATS)"
        "The log is written and not synced.";
    NewSegmentUnsynced "wal/flight.rs" "fault-S3 (etcd 6368)"
        "A new segment is not synced into its directory.";
    TornStepCounts "wal/replay.rs" "fault-S1, fault-S2"
        "What is there of a step counts though its end is not.";
    FailedSyncRetried "wal/write.rs" "fault-S5"
        "After a failed sync the log goes on as if nothing had happened.";
    DamageIsATornTail "wal/recover.rs" "fault-S6"
        "A wrong checksum is taken for the end of the log.";
    MisdirectedIsATornTail "wal/recover.rs" "fault-S9"
        "A sector that belongs elsewhere is taken for the end of the log.";
    LostTailUnnoticed "wal/survey.rs" "fault-S10"
        "Nobody looks at the mark that says how far the log was synced.";
    DoubtForgotten "wal/replay.rs" "fault-S16"
        "A replica that restarts in doubt has none.";
    PurgeDropsLive "wal/purge.rs" "Purging, in files"
        "A segment is removed with the records in it that are still needed.";
    RenameUnsynced "snapshot/build.rs" "fault-S3, fault-P1"
        "The name of a snapshot is not synced before the log is purged.";
    UnsyncedSnapshot "snapshot/build.rs" "fault-P1 (etcd 10219)"
        "A snapshot is not synced before the log is purged.";
    LostSnapshotUnnoticed "store/open.rs" "fault-P7 (dragonboat 156), fault-S8"
        "A replica whose snapshot is gone starts with what is left, and without a doubt.";
}
