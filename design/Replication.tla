---------------------------- MODULE Replication ----------------------------
(***************************************************************************)
(* Electing, rebuilding, replicating and committing in generalized Raft:    *)
(* logs have holes, records that do not interfere commit in any order.      *)
(*                                                                          *)
(* Rule chooses how a new leader rebuilds the log and what a follower drops *)
(* at first contact:                                                        *)
(*   "lineage"       the rule of algorithm.md                               *)
(*   "maxcommitter"  traft's: only logs of the greatest committer           *)
(*   "perslot"       greatest leader id per position, nothing dropped       *)
(* Closure = FALSE keeps records whose dependencies did not survive.        *)
(* Only "lineage" with Closure = TRUE holds.                                *)
(*                                                                          *)
(* A replica may drop the records of a prefix that it has done: their       *)
(* effects are in its durable snapshot (MaxPurge positions at most; 0       *)
(* leaves purging out). Wrong: PurgeAny = TRUE drops whatever is done,      *)
(* AboveAll = FALSE places the next command above the survivors only.       *)
(*                                                                          *)
(* A disk may lose what it had (MaxLoss times; 0 leaves that out). The       *)
(* replica is then in doubt until a leader has given it all that it has     *)
(* placed by the time it hears of the loss. Wrong: DoubtVotes = TRUE lets   *)
(* it vote meanwhile, Jump = FALSE lets it start below a promise that was   *)
(* lost, Believe = TRUE counts what an earlier life has accepted as given   *)
(* back, Excuse = TRUE does without what is purged elsewhere.               *)
(*                                                                          *)
(* Leader ids are the numbers 1..MaxLeader: only their order matters.       *)
(* A voter answers with its whole log; promises and the answer are one step *)
(* (nothing a voter does in between can reach a lower leader id).           *)
(*                                                                          *)
(* \E x \in {e} : ... names the value of e. LET would do, but a checker may *)
(* evaluate its definition once for each use.                               *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, Sequences, TLC
CONSTANTS Replicas, MaxLeader, MaxLsn, Keys, Rule, Closure, MaxPurge, PurgeAny, AboveAll,
          MaxLoss, DoubtVotes, Jump, Believe, Excuse

Leaders == 1..MaxLeader
Lsns    == 1..MaxLsn
IsQ(Q)  == 2 * Cardinality(Q) > Cardinality(Replicas)
Quorums == {Q \in SUBSET Replicas : IsQ(Q)}
Void    == "void"
Empty   == "empty"   \* in the log of a leader: no record, some voter has purged it
NoRec   == [author |-> 0, key |-> "none", deps |-> {}]
NoSlot  == [rec |-> NoRec, bal |-> 0]
IsReal(r) == r.author # 0 /\ r.key \notin {Void, Empty}
Max(S) == CHOOSE x \in S : \A y \in S : y <= x

VARIABLES
  voted,      \* [Replicas -> leader id]  the promise
  committer,  \* [Replicas -> leader id]  whose lineage it holds; 0 = none
  log,        \* [Replicas -> [Lsns -> [rec, bal]]]  bal = leader id it was accepted under
  leading,    \* leader ids that won an election
  llog,       \* [Leaders -> [Lsns -> record]]  the log of each leader
  base,       \* [Leaders -> lsn]  top of the log it rebuilt: its lineage ends here
  acks,       \* [Leaders -> [Lsns -> SUBSET Replicas]]  accepted under this leader
  committed,  \* every record that ever met the commit rule
  purged,     \* [Replicas -> SUBSET Lsns]  dropped: done, and in the durable snapshot
  doubt,      \* SUBSET Replicas  have lost something, and may have acknowledged it
  need,       \* [Replicas -> [leader, lsns]]  who repairs it, and what it must then hold
  losses      \* how many there were
repair == <<doubt, need, losses>>
vars == <<voted, committer, log, leading, llog, base, acks, committed, purged, doubt, need, losses>>

Init ==
  /\ voted = [r \in Replicas |-> 0]
  /\ committer = [r \in Replicas |-> 0]
  /\ log = [r \in Replicas |-> [l \in Lsns |-> NoSlot]]
  /\ leading = {}
  /\ llog = [b \in Leaders |-> [l \in Lsns |-> NoRec]]
  /\ base = [b \in Leaders |-> 0]
  /\ acks = [b \in Leaders |-> [l \in Lsns |-> {}]]
  /\ committed = {}
  /\ purged = [r \in Replicas |-> {}]
  /\ doubt = {}
  /\ need = [r \in Replicas |-> [leader |-> 0, lsns |-> {}]]
  /\ losses = 0

MatchesLineage(c, l, rec) ==
  IF l <= base[c] THEN rec.author # 0 /\ rec.author = llog[c][l].author
  ELSE rec.author = c

Survivors(Q, l) ==
  LET c == Max({committer[r] : r \in Q})
      slots == {log[r][l] : r \in Q} \ {NoSlot}
      top == {s \in slots : \A t \in slots : t.bal <= s.bal}
      atmax == {log[r][l] : r \in {q \in Q : committer[q] = c}} \ {NoSlot}
  IN IF c = 0 THEN {}
     ELSE CASE Rule = "lineage" -> {s.rec : s \in {t \in slots : MatchesLineage(c, l, t.rec)}}
            [] Rule = "maxcommitter" -> {s.rec : s \in atmax}
            [] Rule = "perslot" -> {s.rec : s \in top}

\* A dependency that a voter has purged is settled: it need not survive.
RECURSIVE Close(_, _)
Close(p, gone) ==
  LET bad == {l \in Lsns : IsReal(p[l]) /\ \E d \in p[l].deps \ gone : ~IsReal(p[d])}
  IN IF bad = {} \/ ~Closure THEN p
     ELSE Close([l \in Lsns |-> IF l \in bad THEN NoRec ELSE p[l]], gone)

Gone(Q) == UNION {purged[r] : r \in Q}
LineageAuthor(Q, l) == LET c == Max({committer[r] : r \in Q})
                       IN IF c = 0 THEN 0 ELSE IF l <= base[c] THEN llog[c][l].author ELSE c
EmptyRec(Q, l) == [author |-> LineageAuthor(Q, l), key |-> Empty, deps |-> {}]
Merged(Q) == Close([l \in Lsns |-> LET S == Survivors(Q, l)
                                  IN IF S = {} THEN NoRec ELSE CHOOSE x \in S : TRUE], Gone(Q))
\* Rebuilding 2: without a survivor, and purged at a voter.
Emptied(p, Q, top) == [l \in Lsns |-> IF p[l] = NoRec /\ l \in Gone(Q) /\ l <= top
                                      THEN EmptyRec(Q, l) ELSE p[l]]
Used(lg) == {l \in Lsns : lg[l] # NoRec}
Top(lg)  == IF Used(lg) = {} THEN 0 ELSE Max(Used(lg))
Filled(p, top, b) == [l \in Lsns |->
  IF l > top THEN NoRec
  ELSE IF p[l] = NoRec THEN [author |-> b, key |-> Void, deps |-> {}] ELSE p[l]]

Elect(b) ==
  /\ b \notin leading
  /\ \E Q \in Quorums :
       /\ \A r \in Q : voted[r] < b /\ (r \notin doubt \/ DoubtVotes)
       /\ \E p \in {Merged(Q)} :
          \E top \in {IF AboveAll THEN Max({Top(p)} \cup Gone(Q)) ELSE Top(p)} :
            /\ llog' = [llog EXCEPT ![b] = Filled(Emptied(p, Q, top), top, b)]
            /\ base' = [base EXCEPT ![b] = top]
       /\ voted' = [r \in Replicas |-> IF r \in Q THEN b ELSE voted[r]]
  /\ leading' = leading \cup {b}
  /\ UNCHANGED <<committer, log, acks, committed, purged, repair>>

Propose(b) ==
  /\ b \in leading
  /\ \E n \in {Cardinality(Used(llog[b])) + 1} :
       /\ n <= MaxLsn
       /\ \E k \in Keys : \E deps \in {{l \in Used(llog[b]) : IsReal(llog[b][l]) /\ llog[b][l].key = k}} :
            llog' = [llog EXCEPT ![b][n] = [author |-> b, key |-> k, deps |-> deps]]
  /\ UNCHANGED <<voted, committer, log, leading, base, acks, committed, purged, repair>>

Adopted(b, r) ==
  IF committer[r] = b THEN log[r]
  ELSE CASE Rule = "lineage" -> [l \in Lsns |->
              IF l <= base[b] /\ log[r][l].rec.author # 0 /\ log[r][l].rec.author = llog[b][l].author
              THEN [rec |-> log[r][l].rec, bal |-> b] ELSE NoSlot]
         [] Rule = "maxcommitter" -> [l \in Lsns |-> NoSlot]
         [] Rule = "perslot" -> log[r]

Rec(b, l) == [lsn |-> l, author |-> llog[b][l].author, key |-> llog[b][l].key, deps |-> llog[b][l].deps]

RECURSIVE Chosen(_, _, _)
Chosen(b, ak, done) ==
  LET settled(d) == Rec(b, d) \in done \/ llog[b][d].key = Empty
      more == {Rec(b, l) : l \in {m \in Lsns :
                  llog[b][m] # NoRec /\ llog[b][m].key # Empty /\ IsQ(ak[m])
                  /\ (\A d \in llog[b][m].deps : settled(d))}} \ done
  IN IF more = {} THEN done ELSE Chosen(b, ak, done \cup more)

Accept(b, r) ==
  /\ b \in leading
  /\ voted[r] <= b
  /\ \E l \in {m \in Used(llog[b]) : llog[b][m].key # Empty /\ m \notin purged[r]} :
     \E now \in {[Adopted(b, r) EXCEPT ![l] = [rec |-> llog[b][l], bal |-> b]]} :
       /\ committer[r] # b \/ now # log[r]
       /\ log' = [log EXCEPT ![r] = now]
       \* What is purged here counts as accepted.
       /\ \E ak \in {[m \in Lsns |-> IF now[m].bal = b \/ m \in purged[r]
                                      THEN acks[b][m] \cup {r} ELSE acks[b][m]]} :
            /\ acks' = [acks EXCEPT ![b] = ak]
            /\ committed' = Chosen(b, ak, committed)
  /\ voted' = [voted EXCEPT ![r] = b]
  /\ committer' = [committer EXCEPT ![r] = b]
  /\ UNCHANGED <<leading, llog, base, purged, repair>>

\* A replica has done what it holds of the committed records, in an order that respects deps.
Holds(r, x) == log[r][x.lsn].rec = [author |-> x.author, key |-> x.key, deps |-> x.deps]
Done(r, l) == l \in purged[r] \/ \E x \in committed : x.lsn = l /\ Holds(r, x)
Purge(r) ==
  /\ Cardinality(purged[r]) < MaxPurge
  /\ \E l \in Lsns \ purged[r] :
       /\ \A k \in 1..(l - 1) : PurgeAny \/ k \in purged[r]
       /\ \E x \in committed : x.lsn = l /\ Holds(r, x) /\ \A d \in x.deps : Done(r, d)
       /\ purged' = [purged EXCEPT ![r] = @ \cup {l}]
       /\ log' = [log EXCEPT ![r][l] = NoSlot]
  /\ UNCHANGED <<voted, committer, leading, llog, base, acks, committed, repair>>

\* The snapshot of s takes the place of what r has done: only a longer prefix does.
Install(r, s) ==
  /\ purged[r] # purged[s] /\ purged[r] \subseteq purged[s]
  /\ purged' = [purged EXCEPT ![r] = purged[s]]
  /\ log' = [log EXCEPT ![r] = [l \in Lsns |-> IF l \in purged[s] THEN NoSlot ELSE log[r][l]]]
  /\ voted' = [voted EXCEPT ![r] = Max({voted[r], committer[s]})]
  /\ UNCHANGED <<committer, leading, llog, base, acks, committed, repair>>

\* A disk loses records, perhaps the newest lineages, perhaps the promise. What is read still
\* belongs to the greatest lineage read. The promise starts at or above the one that was lost.
Lose(r) ==
  /\ losses < MaxLoss
  /\ \E c \in {d \in leading \cup {0} : d <= committer[r]} :
     \E kept \in SUBSET {l \in Lsns : log[r][l] # NoSlot /\ c # 0
                                     /\ MatchesLineage(c, l, log[r][l].rec)} :
     \E v \in Leaders \cup {0} :
       /\ v >= (IF Jump THEN voted[r] ELSE c)
       /\ log' = [log EXCEPT ![r] = [l \in Lsns |->
            IF l \in kept THEN [rec |-> log[r][l].rec, bal |-> c] ELSE NoSlot]]
       /\ committer' = [committer EXCEPT ![r] = c]
       /\ voted' = [voted EXCEPT ![r] = v]
  /\ doubt' = doubt \cup {r}
  /\ need' = [need EXCEPT ![r] = [leader |-> 0, lsns |-> {}]]
  /\ losses' = losses + 1
  /\ UNCHANGED <<leading, llog, base, acks, committed, purged>>

\* A leader hears of the loss: from now on it knows nothing of what r holds.
Hear(b, r) ==
  /\ r \in doubt /\ b \in leading /\ need[r].leader # b
  /\ need' = [need EXCEPT ![r] = [leader |-> b,
                 lsns |-> {l \in Used(llog[b]) : llog[b][l].key # Empty \/ ~Excuse}]]
  /\ UNCHANGED <<voted, committer, log, leading, llog, base, acks, committed, purged, doubt, losses>>

\* It holds all that the leader had placed when it heard of the loss, and has done what others
\* have purged: nobody else may be left who has.
Repair(b, r) ==
  /\ r \in doubt /\ need[r].leader = b /\ voted[r] = b /\ committer[r] = b
  /\ \A l \in need[r].lsns \ purged[r] :
       IF Believe THEN r \in acks[b][l] ELSE log[r][l].rec = llog[b][l]
  /\ doubt' = doubt \ {r}
  /\ UNCHANGED <<voted, committer, log, leading, llog, base, acks, committed, purged, need, losses>>

Next ==
  \/ \E b \in Leaders : Elect(b) \/ Propose(b) \/ \E r \in Replicas : Accept(b, r)
  \/ MaxPurge > 0 /\ \E r \in Replicas : Purge(r) \/ \E s \in Replicas : Install(r, s)
  \/ MaxLoss > 0 /\ \E r \in Replicas : Lose(r) \/ \E b \in Leaders : Hear(b, r) \/ Repair(b, r)

-----------------------------------------------------------------------------
\* I-6
Agreement == \A x, y \in committed : x.lsn = y.lsn => x = y
\* I-7
Closed == \A x \in committed : \A d \in x.deps : \E y \in committed : y.lsn = d /\ y.key = x.key
\* I-8. What its author found purged lies below its floor: settled, and done first by everybody.
Ordered == \A x, y \in committed :
   (x.key = y.key /\ x.key # Void /\ x.lsn < y.lsn)
     => x.lsn \in y.deps \/ llog[y.author][x.lsn].key = Empty
\* Rebuilding 2: one voter's snapshot has all that any voter of a quorum has dropped.
OneHasAll == \A Q \in Quorums : \E r \in Q : Gone(Q) \subseteq purged[r]
Symmetry == Permutations(Replicas)
=============================================================================
