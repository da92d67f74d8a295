----------------------------- MODULE Membership -----------------------------
(***************************************************************************)
(* The lineage rule of Replication.tla with one change of membership, from  *)
(* Members1 to Members2 (majorities). The membership record is joint with   *)
(* the old one until it commits; then the new one stands alone.             *)
(*   Barrier  = FALSE  it commits like any record: breaks I-6               *)
(*   Fixpoint = FALSE  a candidate trusts only the membership it knows      *)
(*                     itself: breaks I-6                                   *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, TLC
CONSTANTS Replicas, MaxLeader, MaxLsn, Keys, Members1, Members2, Barrier, Fixpoint

Leaders == 1..MaxLeader
Lsns    == 1..MaxLsn
Cfgs    == {1, 2}
Members(c) == IF c = 1 THEN Members1 ELSE Members2
IsQ(S, c) == 2 * Cardinality(S \cap Members(c)) > Cardinality(Members(c))
Void  == "void"
Cfg   == "cfg"
NoRec == [author |-> 0, key |-> "none", deps |-> {}]
IsReal(r) == r.author # 0 /\ r.key # Void
Max(S) == CHOOSE x \in S : \A y \in S : y <= x

VARIABLES voted, committer, log, known, leading, llog, base, lknown, acks, committed
vars == <<voted, committer, log, known, leading, llog, base, lknown, acks, committed>>
\* known[r]: r knows that config 2 is committed; lknown[b]: leader b knows it

Init ==
  /\ voted = [r \in Replicas |-> 0]
  /\ committer = [r \in Replicas |-> 0]
  /\ log = [r \in Replicas |-> [l \in Lsns |-> NoRec]]
  /\ known = [r \in Replicas |-> FALSE]
  /\ leading = {}
  /\ llog = [b \in Leaders |-> [l \in Lsns |-> NoRec]]
  /\ base = [b \in Leaders |-> 0]
  /\ lknown = [b \in Leaders |-> FALSE]
  /\ acks = [b \in Leaders |-> [l \in Lsns |-> {}]]
  /\ committed = {}

HasCfg(lg) == \E l \in Lsns : lg[l].key = Cfg
InForce(lg, kn) == IF kn THEN {2} ELSE IF HasCfg(lg) THEN {1, 2} ELSE {1}

MatchesLineage(c, l, rec) ==
  IF l <= base[c] THEN rec.author # 0 /\ rec.author = llog[c][l].author
  ELSE rec.author = c

Survivors(Q, l) ==
  LET c == Max({committer[r] : r \in Q})
  IN IF c = 0 THEN {} ELSE {rec \in {log[r][l] : r \in Q} \ {NoRec} : MatchesLineage(c, l, rec)}

RECURSIVE Close(_)
Close(p) ==
  LET bad == {l \in Lsns : IsReal(p[l]) /\ (\E d \in p[l].deps : ~IsReal(p[d]))}
  IN IF bad = {} THEN p ELSE Close([l \in Lsns |-> IF l \in bad THEN NoRec ELSE p[l]])

Merged(Q) == Close([l \in Lsns |-> LET S == Survivors(Q, l)
                                  IN IF S = {} THEN NoRec ELSE CHOOSE x \in S : TRUE])
Used(lg) == {l \in Lsns : lg[l] # NoRec}
Top(lg)  == IF Used(lg) = {} THEN 0 ELSE Max(Used(lg))
Filled(p, top, b) == [l \in Lsns |->
  IF l > top THEN NoRec
  ELSE IF p[l] = NoRec THEN [author |-> b, key |-> Void, deps |-> {}] ELSE p[l]]

\* The memberships that a candidate n must win in when Q answers it. It starts from what it
\* knows itself; replies can only enlarge that.
Need(Q, n) ==
  IF ~Fixpoint THEN InForce(log[n], known[n])
  ELSE IF \E r \in Q : known[r] THEN {2}
  ELSE IF \E r \in Q : HasCfg(log[r]) THEN {1, 2} ELSE {1}

Elect(b) ==
  /\ b \notin leading
  /\ \E Q \in SUBSET Replicas : \E n \in Q :
       /\ \A r \in Q : voted[r] < b
       /\ \A c \in Need(Q, n) : IsQ(Q, c)
       /\ \E p \in {Merged(Q)} : \E top \in {Top(p)} :
            /\ llog' = [llog EXCEPT ![b] = Filled(p, top, b)]
            /\ base' = [base EXCEPT ![b] = top]
       /\ lknown' = [lknown EXCEPT ![b] = \E r \in Q : known[r]]
       /\ voted' = [r \in Replicas |-> IF r \in Q THEN b ELSE voted[r]]
  /\ leading' = leading \cup {b}
  /\ UNCHANGED <<committer, log, known, acks, committed>>

Propose(b) ==
  /\ b \in leading
  /\ \E n \in {Cardinality(Used(llog[b])) + 1} :
       /\ n <= MaxLsn
       /\ \E k \in Keys \cup {Cfg} :
            /\ k = Cfg => ~HasCfg(llog[b]) /\ ~lknown[b]
            /\ \E deps \in {{l \in Used(llog[b]) : IsReal(llog[b][l]) /\ llog[b][l].key = k}} :
                 llog' = [llog EXCEPT ![b][n] = [author |-> b, key |-> k, deps |-> deps]]
  /\ UNCHANGED <<voted, committer, log, known, leading, base, lknown, acks, committed>>

Adopted(b, r) ==
  IF committer[r] = b THEN log[r]
  ELSE [l \in Lsns |-> IF l <= base[b] /\ log[r][l].author # 0 /\ log[r][l].author = llog[b][l].author
                       THEN log[r][l] ELSE NoRec]

Rec(b, l) == [lsn |-> l, author |-> llog[b][l].author, key |-> llog[b][l].key, deps |-> llog[b][l].deps]

Covered(b, ak, l, kn) ==   \* a write quorum in every config in force
  LET need == InForce(llog[b], kn)
      holders == IF llog[b][l].key = Cfg /\ Barrier
                 THEN {r \in Replicas : \A m \in 1..l : r \in ak[m]} ELSE ak[l]
  IN \A c \in need : IsQ(holders, c)

RECURSIVE Chosen(_, _, _, _)
Chosen(b, ak, done, kn) ==
  LET more == {Rec(b, l) : l \in {m \in Lsns : (llog[b][m] # NoRec) /\ Covered(b, ak, m, kn)
                          /\ (\A d \in llog[b][m].deps : Rec(b, d) \in done)}} \ done
  IN IF more = {} THEN done ELSE Chosen(b, ak, done \cup more, kn)

Accept(b, r) ==
  /\ b \in leading
  /\ voted[r] <= b
  /\ \E l \in Used(llog[b]) :
     \E now \in {[Adopted(b, r) EXCEPT ![l] = llog[b][l]]} :
       /\ committer[r] # b \/ now # log[r]
       /\ log' = [log EXCEPT ![r] = now]
       /\ \E ak \in {[m \in Lsns |-> IF now[m] # NoRec THEN acks[b][m] \cup {r} ELSE acks[b][m]]} :
          \E done \in {Chosen(b, ak, committed, lknown[b])} :
          \E kn \in {lknown[b] \/ \E x \in done : x.key = Cfg /\ Rec(b, x.lsn) = x} :
            /\ acks' = [acks EXCEPT ![b] = ak]
            /\ lknown' = [lknown EXCEPT ![b] = kn]
            /\ committed' = Chosen(b, ak, done, kn)
  /\ voted' = [voted EXCEPT ![r] = b]
  /\ committer' = [committer EXCEPT ![r] = b]
  /\ UNCHANGED <<known, leading, llog, base>>

Learn(b, r) ==
  /\ b \in leading /\ lknown[b] /\ committer[r] = b /\ ~known[r]
  /\ known' = [known EXCEPT ![r] = TRUE]
  /\ UNCHANGED <<voted, committer, log, leading, llog, base, lknown, acks, committed>>

Next == \E b \in Leaders : Elect(b) \/ Propose(b) \/ (\E r \in Replicas : Accept(b, r) \/ Learn(b, r))

-----------------------------------------------------------------------------
\* I-6
Agreement == \A x, y \in committed : x.lsn = y.lsn => x = y
\* I-7
Closed == \A x \in committed : \A d \in x.deps : \E y \in committed : y.lsn = d /\ y.key = x.key
\* I-8
Ordered == \A x, y \in committed :
   (x.key = y.key /\ x.key # Void /\ x.lsn < y.lsn) => x.lsn \in y.deps
=============================================================================
