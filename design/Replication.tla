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
(* Leader ids are the numbers 1..MaxLeader: only their order matters.       *)
(* A voter answers with its whole log; promises and the answer are one step *)
(* (nothing a voter does in between can reach a lower leader id).           *)
(*                                                                          *)
(* \E x \in {e} : ... names the value of e. LET would do, but a checker may *)
(* evaluate its definition once for each use.                               *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, Sequences, TLC
CONSTANTS Replicas, MaxLeader, MaxLsn, Keys, Rule, Closure

Leaders == 1..MaxLeader
Lsns    == 1..MaxLsn
IsQ(Q)  == 2 * Cardinality(Q) > Cardinality(Replicas)
Quorums == {Q \in SUBSET Replicas : IsQ(Q)}
Void    == "void"
NoRec   == [author |-> 0, key |-> "none", deps |-> {}]
NoSlot  == [rec |-> NoRec, bal |-> 0]
IsReal(r) == r.author # 0 /\ r.key # Void
Max(S) == CHOOSE x \in S : \A y \in S : y <= x

VARIABLES
  voted,      \* [Replicas -> leader id]  the promise
  committer,  \* [Replicas -> leader id]  whose lineage it holds; 0 = none
  log,        \* [Replicas -> [Lsns -> [rec, bal]]]  bal = leader id it was accepted under
  leading,    \* leader ids that won an election
  llog,       \* [Leaders -> [Lsns -> record]]  the log of each leader
  base,       \* [Leaders -> lsn]  top of the log it rebuilt: its lineage ends here
  acks,       \* [Leaders -> [Lsns -> SUBSET Replicas]]  accepted under this leader
  committed   \* every record that ever met the commit rule
vars == <<voted, committer, log, leading, llog, base, acks, committed>>

Init ==
  /\ voted = [r \in Replicas |-> 0]
  /\ committer = [r \in Replicas |-> 0]
  /\ log = [r \in Replicas |-> [l \in Lsns |-> NoSlot]]
  /\ leading = {}
  /\ llog = [b \in Leaders |-> [l \in Lsns |-> NoRec]]
  /\ base = [b \in Leaders |-> 0]
  /\ acks = [b \in Leaders |-> [l \in Lsns |-> {}]]
  /\ committed = {}

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

RECURSIVE Close(_)
Close(p) ==
  LET bad == {l \in Lsns : IsReal(p[l]) /\ \E d \in p[l].deps : ~IsReal(p[d])}
  IN IF bad = {} \/ ~Closure THEN p
     ELSE Close([l \in Lsns |-> IF l \in bad THEN NoRec ELSE p[l]])

Merged(Q) == Close([l \in Lsns |-> LET S == Survivors(Q, l)
                                  IN IF S = {} THEN NoRec ELSE CHOOSE x \in S : TRUE])
Used(lg) == {l \in Lsns : lg[l] # NoRec}
Top(lg)  == IF Used(lg) = {} THEN 0 ELSE Max(Used(lg))
Filled(p, top, b) == [l \in Lsns |->
  IF l > top THEN NoRec
  ELSE IF p[l] = NoRec THEN [author |-> b, key |-> Void, deps |-> {}] ELSE p[l]]

Elect(b) ==
  /\ b \notin leading
  /\ \E Q \in Quorums :
       /\ \A r \in Q : voted[r] < b
       /\ \E p \in {Merged(Q)} : \E top \in {Top(p)} :
            /\ llog' = [llog EXCEPT ![b] = Filled(p, top, b)]
            /\ base' = [base EXCEPT ![b] = top]
       /\ voted' = [r \in Replicas |-> IF r \in Q THEN b ELSE voted[r]]
  /\ leading' = leading \cup {b}
  /\ UNCHANGED <<committer, log, acks, committed>>

Propose(b) ==
  /\ b \in leading
  /\ \E n \in {Cardinality(Used(llog[b])) + 1} :
       /\ n <= MaxLsn
       /\ \E k \in Keys : \E deps \in {{l \in Used(llog[b]) : IsReal(llog[b][l]) /\ llog[b][l].key = k}} :
            llog' = [llog EXCEPT ![b][n] = [author |-> b, key |-> k, deps |-> deps]]
  /\ UNCHANGED <<voted, committer, log, leading, base, acks, committed>>

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
  LET more == {Rec(b, l) : l \in {m \in Lsns : llog[b][m] # NoRec /\ IsQ(ak[m])
                          /\ (\A d \in llog[b][m].deps : Rec(b, d) \in done)}} \ done
  IN IF more = {} THEN done ELSE Chosen(b, ak, done \cup more)

Accept(b, r) ==
  /\ b \in leading
  /\ voted[r] <= b
  /\ \E l \in Used(llog[b]) :
     \E now \in {[Adopted(b, r) EXCEPT ![l] = [rec |-> llog[b][l], bal |-> b]]} :
       /\ committer[r] # b \/ now # log[r]
       /\ log' = [log EXCEPT ![r] = now]
       /\ \E ak \in {[m \in Lsns |-> IF now[m].bal = b THEN acks[b][m] \cup {r} ELSE acks[b][m]]} :
            /\ acks' = [acks EXCEPT ![b] = ak]
            /\ committed' = Chosen(b, ak, committed)
  /\ voted' = [voted EXCEPT ![r] = b]
  /\ committer' = [committer EXCEPT ![r] = b]
  /\ UNCHANGED <<leading, llog, base>>

Next == \E b \in Leaders : Elect(b) \/ Propose(b) \/ \E r \in Replicas : Accept(b, r)

-----------------------------------------------------------------------------
\* I-6
Agreement == \A x, y \in committed : x.lsn = y.lsn => x = y
\* I-7
Closed == \A x \in committed : \A d \in x.deps : \E y \in committed : y.lsn = d /\ y.key = x.key
\* I-8
Ordered == \A x, y \in committed :
   (x.key = y.key /\ x.key # Void /\ x.lsn < y.lsn) => x.lsn \in y.deps
Symmetry == Permutations(Replicas)
=============================================================================
