---------------------------- MODULE Overrides ----------------------------
(***************************************************************************)
(* Replication.tla with commands that read and write sets of keys. A blind  *)
(* write overrides the blind writes below it whose keys it writes again,    *)
(* when every record between that interferes with one is overridden too; it *)
(* depends on the other records it interferes with.                         *)
(* A hole that a surviving record overrides stays empty and keeps its       *)
(* author; a dependency that a committed record overrides is settled.       *)
(*   HoldingCounts = TRUE  the holder of an overriding record is counted as *)
(*                         holding its victims: breaks I-6 (Reads = "b")    *)
(*   VoidCovered = TRUE    such holes become voids like any other: breaks   *)
(*                         I-6                                              *)
(*   DependOnVictims = TRUE  a record may depend on what another of its     *)
(*                         dependencies overrides: breaks I-6               *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, Sequences, TLC
CONSTANTS Replicas, MaxLeader, MaxLsn, Rule, Closure, HoldingCounts, VoidCovered, DependOnVictims, Reads
\* Two blind writes and one that reads key Reads: enough for every partial overlap of two keys.
A  == [rd |-> {}, wr |-> {"a"}]
AB == [rd |-> {}, wr |-> {"a", "b"}]
RW == [rd |-> {Reads}, wr |-> {Reads}]
Commands == {A, AB, RW}
Two      == {AB, RW}       \* Commands <- Two: a partial overlap at a fifth of the states

Leaders == 1..MaxLeader
Lsns    == 1..MaxLsn
IsQ(Q)  == 2 * Cardinality(Q) > Cardinality(Replicas)
Quorums == {Q \in SUBSET Replicas : IsQ(Q)}
Void    == "void"
Empty   == "empty"
Blank(b, what) == [author |-> b, what |-> what, rd |-> {}, wr |-> {}, deps |-> {}, overs |-> {}]
NoRec   == Blank(0, "none")
NoSlot  == [rec |-> NoRec, bal |-> 0]
IsReal(r) == r.what = "command"
Interfere(x, y) == x.wr \cap (y.rd \cup y.wr) # {} \/ y.wr \cap x.rd # {}
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
Filled(p, top, b, c) == LET covered == UNION {p[l].overs : l \in Used(p)} IN [l \in Lsns |->
  IF l > top THEN NoRec
  ELSE IF p[l] # NoRec THEN p[l]
  ELSE IF l \in covered /\ ~VoidCovered
    THEN Blank(IF l <= base[c] THEN llog[c][l].author ELSE c, Empty)
  ELSE Blank(b, Void)]

Elect(b) ==
  /\ b \notin leading
  /\ \E Q \in Quorums :
       /\ \A r \in Q : voted[r] < b
       /\ \E p \in {Merged(Q)} : \E top \in {Top(p)} :
            /\ llog' = [llog EXCEPT ![b] = Filled(p, top, b, Max({committer[r] : r \in Q}))]
            /\ base' = [base EXCEPT ![b] = top]
       /\ voted' = [r \in Replicas |-> IF r \in Q THEN b ELSE voted[r]]
  /\ leading' = leading \cup {b}
  /\ UNCHANGED <<committer, log, acks, committed>>

\* what command x, to be placed at n, overrides in log lg, from position l down
RECURSIVE Over(_, _, _, _, _)
Over(lg, n, x, l, acc) ==
  IF l = 0 THEN acc
  ELSE LET r == lg[l]
           yes == /\ IsReal(r) /\ r.rd = {} /\ x.rd = {} /\ r.wr \subseteq x.wr
                  /\ \A u \in (l + 1)..(n - 1) : IsReal(lg[u]) /\ Interfere(lg[u], r) => u \in acc
       IN Over(lg, n, x, l - 1, IF yes THEN acc \cup {l} \cup r.overs ELSE acc)

RECURSIVE Reach(_, _)
Reach(lg, ds) == IF ds = {} THEN {} ELSE ds \cup Reach(lg, UNION {lg[d].deps : d \in ds})

\* the record of command x at n in log lg
Authored(b, lg, n, x) ==
  LET overs == Over(lg, n, x, n - 1, {})
      meet == {l \in 1..(n - 1) : IsReal(lg[l]) /\ Interfere(lg[l], x)} \ overs
      live == IF DependOnVictims THEN meet ELSE meet \ UNION {lg[l].overs : l \in meet}
      deps == {l \in live : ~\E o \in live : l \in Reach(lg, lg[o].deps)}
  IN [author |-> b, what |-> "command", rd |-> x.rd, wr |-> x.wr, deps |-> deps, overs |-> overs]

Propose(b) ==
  /\ b \in leading
  /\ \E n \in {Cardinality(Used(llog[b])) + 1} :
       /\ n <= MaxLsn
       /\ \E x \in Commands : llog' = [llog EXCEPT ![b][n] = Authored(b, llog[b], n, x)]
  /\ UNCHANGED <<voted, committer, log, leading, base, acks, committed>>

Adopted(b, r) ==
  IF committer[r] = b THEN log[r]
  ELSE CASE Rule = "lineage" -> [l \in Lsns |->
              IF l <= base[b] /\ log[r][l].rec.author # 0 /\ log[r][l].rec.author = llog[b][l].author
              THEN [rec |-> log[r][l].rec, bal |-> b] ELSE NoSlot]
         [] Rule = "maxcommitter" -> [l \in Lsns |-> NoSlot]
         [] Rule = "perslot" -> log[r]

Rec(b, l) == [lsn |-> l, rec |-> llog[b][l]]

RECURSIVE Chosen(_, _, _)
Chosen(b, ak, done) ==
  LET mine == {x \in done : x = Rec(b, x.lsn)}
      settled == {x.lsn : x \in mine} \cup UNION {x.rec.overs : x \in mine}
      more == {Rec(b, l) : l \in {m \in Lsns : llog[b][m].what \notin {"none", Empty} /\ IsQ(ak[m])
                          /\ llog[b][m].deps \subseteq settled}} \ done
  IN IF more = {} THEN done ELSE Chosen(b, ak, done \cup more)

Accept(b, r) ==
  /\ b \in leading
  /\ voted[r] <= b
  /\ \E l \in {m \in Used(llog[b]) : llog[b][m].what # Empty} :
     \E now \in {[Adopted(b, r) EXCEPT ![l] = [rec |-> llog[b][l], bal |-> b]]} :
       /\ committer[r] # b \/ now # log[r]
       /\ log' = [log EXCEPT ![r] = now]
       /\ \E ak \in {[m \in Lsns |->
              IF now[m].bal = b \/ (HoldingCounts /\ \E o \in Lsns : now[o].bal = b /\ m \in now[o].rec.overs)
              THEN acks[b][m] \cup {r} ELSE acks[b][m]]} :
            /\ acks' = [acks EXCEPT ![b] = ak]
            /\ committed' = Chosen(b, ak, committed)
  /\ voted' = [voted EXCEPT ![r] = b]
  /\ committer' = [committer EXCEPT ![r] = b]
  /\ UNCHANGED <<leading, llog, base>>

Next == \E b \in Leaders : Elect(b) \/ Propose(b) \/ \E r \in Replicas : Accept(b, r)

\* acknowledged: committed, or overridden by something committed
Overridden == UNION {x.rec.overs : x \in committed}
Settled == {x.lsn : x \in committed} \cup Overridden
Agreement == \A x, y \in committed : x.lsn = y.lsn => x = y
Closed == \A x \in committed : x.rec.deps \subseteq Settled
\* a dependency path or an override orders any two that interfere
RECURSIVE Below(_)
Below(x) == x.rec.deps \cup x.rec.overs \cup UNION {Below(y) : y \in {z \in committed : z.lsn \in x.rec.deps}}
Ordered == \A x, y \in committed :
   (x.lsn < y.lsn /\ Interfere(x.rec, y.rec) /\ y.lsn \notin Overridden) => x.lsn \in Below(y)
Symmetry == Permutations(Replicas)
=============================================================================
