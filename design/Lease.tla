------------------------------- MODULE Lease -------------------------------
(***************************************************************************)
(* Reading under a lease, restarts, and handing over (Reading 5): whoever   *)
(* reads without asking must still be the greatest leader that there is.    *)
(* Then everything that was acknowledged was acknowledged by it, or is in   *)
(* the log that it was elected with.                                        *)
(*                                                                          *)
(* Each replica has a clock of its own. At no moment are two of them more   *)
(* than Drift ticks apart: that is how far a lease may lean on them. From   *)
(* the sending of a round to any later moment one of them can so run        *)
(* 2 * Drift ticks more than another, and a lease is safe exactly if        *)
(* Usable + 2 * Drift <= Granted.                                           *)
(*                                                                          *)
(* Wrong: Usable too long, Rebind = FALSE lets a replica that starts again  *)
(* vote at once, GiveUp = FALSE keeps the lease after handing over, Self =  *)
(* TRUE lets a candidate vote for itself although it is bound.              *)
(*                                                                          *)
(* It begins with leader 1 at the replica First: how it was elected makes   *)
(* no difference. Logs are left out: see Reads.tla for what a read sees.    *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, TLC
CONSTANTS Replicas, First, ReadQ, WriteQ, MaxLeader, MaxTime, MaxRounds,
          MaxRestarts, Granted, Usable, Drift, Rebind, GiveUp, Self

Leaders == 1..MaxLeader
Nobody  == "nobody"

VARIABLES
  clock,    \* [Replicas -> ticks]
  voted,    \* [Replicas -> leader id]  the promise, durable
  holder,   \* [Replicas -> leader id]  whose lineage it holds, durable; 0 = none
  bound,    \* [Replicas -> ticks]  votes for nobody else before its clock shows this
  host,     \* [Leaders -> replica]  who campaigned under this id
  over,     \* [Leaders -> leader id]  which leader told it to take over; 0 = none
  votes,    \* [Leaders -> SUBSET Replicas]
  leading,  \* leader ids that won an election
  down,     \* leader ids whose replica has started again since
  sent,     \* {<<leader, ticks>>}  rounds, and the leader's clock when they began
  echo,     \* {<<leader, replica, ticks>>}  who has answered which
  handed,   \* {<<leader, replica>>}  who was told to take over, by whom
  given,    \* leaders that have given their lease up
  restarts
vars == <<clock, voted, holder, bound, host, over, votes, leading, down, sent, echo, handed, given,
          restarts>>

Init ==
  /\ clock = [r \in Replicas |-> 0]
  /\ voted = [r \in Replicas |-> IF r = First THEN 1 ELSE 0]
  /\ holder = [r \in Replicas |-> 0]
  /\ bound = [r \in Replicas |-> 0]
  /\ host = [b \in Leaders |-> IF b = 1 THEN First ELSE Nobody]
  /\ over = [b \in Leaders |-> 0]
  /\ votes = [b \in Leaders |-> {}]
  /\ leading = {1} /\ down = {} /\ sent = {} /\ echo = {} /\ handed = {} /\ given = {}
  /\ restarts = 0

\* It leads, as far as it can know.
Leads(b) == b \in leading /\ b \notin down /\ voted[host[b]] = b

Tick(r) ==
  /\ clock[r] < MaxTime
  /\ \A s \in Replicas : clock[r] + 1 - clock[s] <= Drift
  /\ clock' = [clock EXCEPT ![r] = @ + 1]
  /\ UNCHANGED <<voted, holder, bound, host, over, votes, leading, down, sent, echo, handed, given,
                 restarts>>

\* A lease binds to whoever holds it, and not against whom that one has named. A leader may vote
\* for another one: it does not read any more when it has.
Free(r, n, o) ==
  \/ clock[r] >= bound[r]
  \/ holder[r] # 0 /\ (host[holder[r]] = n \/ holder[r] = o)
  \/ \E b \in leading : host[b] = r /\ Leads(b)

Campaign(b, n, o) ==
  /\ host[b] = Nobody /\ voted[n] < b
  /\ o = 0 \/ <<o, n>> \in handed
  /\ Self \/ Free(n, n, o)
  /\ host' = [host EXCEPT ![b] = n]
  /\ over' = [over EXCEPT ![b] = o]
  /\ voted' = [voted EXCEPT ![n] = b]
  /\ votes' = [votes EXCEPT ![b] = {n}]
  /\ UNCHANGED <<clock, holder, bound, leading, down, sent, echo, handed, given, restarts>>

Vote(r, b) ==
  /\ host[b] # Nobody /\ voted[r] < b /\ Free(r, host[b], over[b])
  /\ voted' = [voted EXCEPT ![r] = b]
  /\ votes' = [votes EXCEPT ![b] = @ \cup {r}]
  /\ UNCHANGED <<clock, holder, bound, host, over, leading, down, sent, echo, handed, given,
                 restarts>>

Win(b) ==
  /\ b \notin leading /\ b \notin down /\ Cardinality(votes[b]) >= ReadQ /\ voted[host[b]] = b
  /\ leading' = leading \cup {b}
  /\ UNCHANGED <<clock, voted, holder, bound, host, over, votes, down, sent, echo, handed, given,
                 restarts>>

Round(b) ==
  /\ Leads(b)
  /\ <<b, clock[host[b]]>> \notin sent /\ Cardinality(sent) < MaxRounds
  /\ sent' = sent \cup {<<b, clock[host[b]]>>}
  /\ UNCHANGED <<clock, voted, holder, bound, host, over, votes, leading, down, echo, handed, given,
                 restarts>>

\* A round arrives, however late; the answer may be used at any time after.
Grant(r, b, t) ==
  /\ <<b, t>> \in sent /\ r # host[b] /\ voted[r] <= b
  /\ voted' = [voted EXCEPT ![r] = b]
  /\ holder' = [holder EXCEPT ![r] = b]
  /\ bound' = [bound EXCEPT ![r] = clock[r] + Granted]
  /\ echo' = {e \in echo : e[1] # b \/ e[2] # r \/ e[3] > t} \cup {<<b, r, t>>}
  /\ UNCHANGED <<clock, host, over, votes, leading, down, sent, handed, given, restarts>>

HandOver(b, n) ==
  /\ Leads(b) /\ n # host[b] /\ <<b, n>> \notin handed
  /\ handed' = handed \cup {<<b, n>>}
  /\ given' = IF GiveUp THEN given \cup {b} ELSE given
  /\ UNCHANGED <<clock, voted, holder, bound, host, over, votes, leading, down, sent, echo, restarts>>

Restart(r) ==
  /\ restarts < MaxRestarts
  /\ restarts' = restarts + 1
  /\ bound' = [bound EXCEPT ![r] = IF Rebind THEN clock[r] + Granted ELSE 0]
  /\ down' = down \cup {b \in Leaders : host[b] = r}
  /\ UNCHANGED <<clock, voted, holder, host, over, votes, leading, sent, echo, handed, given>>

Next ==
  \/ \E r \in Replicas : Tick(r) \/ Restart(r)
  \/ \E b \in Leaders : Win(b) \/ Round(b)
       \/ \E r \in Replicas : Vote(r, b) \/ HandOver(b, r)
            \/ \E o \in 0..MaxLeader : Campaign(b, r, o)
            \/ \E t \in 0..MaxTime : Grant(r, b, t)

-----------------------------------------------------------------------------
\* Those that have answered a round which is young enough, with the leader itself: a write quorum.
Holds(b) == {host[b]} \cup {r \in Replicas :
               \E t \in 0..MaxTime : <<b, r, t>> \in echo /\ t + Usable > clock[host[b]]}
MayRead(b) == Leads(b) /\ b \notin given /\ Cardinality(Holds(b)) >= WriteQ
\* I-9, the part that a lease stands for.
Greatest == \A b \in leading : MayRead(b) => \A c \in leading : c <= b
Symmetry == Permutations(Replicas \ {First})
=============================================================================
