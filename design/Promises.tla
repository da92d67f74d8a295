------------------------------ MODULE Promises ------------------------------
(***************************************************************************)
(* What a replica promises when its disk may have lost its promise          *)
(* (algorithm.md, Doubt 1). Only promises: whatever a replica accepted, no  *)
(* disk that lost any of its promises may bring it below the greatest one.  *)
(*                                                                          *)
(* A disk loses any of what it had: what can be read is some promise that   *)
(* the replica made, or none, and some incarnation of it, or none. Each     *)
(* loss is found at a time of its own; the incarnation that begins is the   *)
(* time at which it is found, read from the clock of that replica, and      *)
(* above what can be read of the earlier ones.                              *)
(*                                                                          *)
(* Wrong: ByTime = FALSE counts the incarnations of each replica by         *)
(* themselves, save those of emptied directories. A loss raises the terms   *)
(* of all; a replica that heard of it, and loses just that, starts below.   *)
(* Lag = 1: a clock may be behind by as much as lies between two losses.    *)
(*                                                                          *)
(* A replica in doubt does not campaign and hears only those who lead: all  *)
(* may do both here, at any time, which only adds behaviours. The number of *)
(* campaigns has to stay below the Jump: 2^32 in the code.                  *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, TLC
CONSTANTS Replicas, Jump, MaxCampaigns, MaxLoss, ByTime, Lag

VARIABLES
  had,          \* [Replicas -> SUBSET terms]  every promise made, in this life or an earlier one
  promise,      \* [Replicas -> term]  the one in force
  incarnation,  \* [Replicas -> number]
  campaigns,    \* how many there were
  time          \* how many losses there were
vars == <<had, promise, incarnation, campaigns, time>>

Max(S) == CHOOSE x \in S : \A y \in S : y <= x

Init ==
  /\ had = [r \in Replicas |-> {0}]
  /\ promise = [r \in Replicas |-> 0]
  /\ incarnation = [r \in Replicas |-> 0]
  /\ campaigns = 0
  /\ time = 0

Promise(r, term) ==
  /\ promise' = [promise EXCEPT ![r] = term]
  /\ had' = [had EXCEPT ![r] = @ \cup {term}]

Campaign(r) ==
  /\ campaigns < MaxCampaigns
  /\ campaigns' = campaigns + 1
  /\ Promise(r, promise[r] + 1)
  /\ UNCHANGED <<incarnation, time>>

\* Of a candidate or a leader, then or later: a message may take any time.
Hear(r) ==
  /\ \E q \in Replicas : \E term \in had[q] : term > promise[r] /\ Promise(r, term)
  /\ UNCHANGED <<incarnation, campaigns, time>>

Lose(r) ==
  /\ time < MaxLoss
  /\ time' = time + 1
  /\ \E seen \in had[r] : \E earlier \in {0, incarnation[r]} : \E lag \in 0..Lag :
     \E clock \in {time + 1 - lag} :
     \E now \in {IF ByTime \/ (seen = 0 /\ earlier = 0) THEN Max({clock, earlier + 1})
                 ELSE earlier + 1} :
       /\ incarnation' = [incarnation EXCEPT ![r] = now]
       /\ Promise(r, Max({seen + Jump, now * Jump}))
  /\ UNCHANGED campaigns

Next == \E r \in Replicas : Campaign(r) \/ Hear(r) \/ Lose(r)

-----------------------------------------------------------------------------
\* I-13, of promises: none is below one that was made.
Kept == \A r \in Replicas : \A term \in had[r] : term <= promise[r]
Symmetry == Permutations(Replicas)
=============================================================================
