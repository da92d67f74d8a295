----------------------------- MODULE Membership -----------------------------
(***************************************************************************)
(* The lineage rule of Replication.tla with changes of membership, one      *)
(* after the other or several pending at once. Membership c has Members(c), *)
(* read quorums of Read(c) of them, and the smallest write quorums that     *)
(* meet those. A change is a record with the key "cfgC"; it is joint with   *)
(* the newest known committed one until it commits. `Changes` is a set of   *)
(* such keys: with "cfg1" in it a change can be taken back by one on top.   *)
(*   Barrier  = FALSE  it commits like any record: breaks I-6               *)
(*   Fixpoint = FALSE  a candidate trusts only the memberships it knows     *)
(*                     itself: breaks I-6                                   *)
(*   Pending  = FALSE  of several pending changes only the last one counts: *)
(*                     breaks I-6                                           *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, TLC
CONSTANTS Replicas, MaxLeader, MaxLsn, Keys, Members1, Members2, Members3, Read1, Read2, Read3,
          Changes, Barrier, Fixpoint, Pending

Leaders == 1..MaxLeader
Lsns    == 1..MaxLsn
Members(c) == IF c = 1 THEN Members1 ELSE IF c = 2 THEN Members2 ELSE Members3
Read(c)    == IF c = 1 THEN Read1 ELSE IF c = 2 THEN Read2 ELSE Read3
IsRead(S, c)  == Cardinality(S \cap Members(c)) >= Read(c)
IsWrite(S, c) == Cardinality(S \cap Members(c)) > Cardinality(Members(c)) - Read(c)
Void  == "void"
CfgOf(k) == IF k = "cfg1" THEN 1 ELSE IF k = "cfg2" THEN 2 ELSE 3
NoRec == [author |-> 0, key |-> "none", deps |-> {}]
IsReal(r) == r.author # 0 /\ r.key # Void
IsCfg(r)  == r.author # 0 /\ r.key \in Changes
Max(S) == CHOOSE x \in S : \A y \in S : y <= x

VARIABLES voted, committer, log, known, leading, llog, base, lknown, acks, committed
vars == <<voted, committer, log, known, leading, llog, base, lknown, acks, committed>>
\* known[r]: the newest membership that r knows committed, and where it stands (0: the first one);
\* lknown[b]: the same of leader b

Init ==
  /\ voted = [r \in Replicas |-> 0]
  /\ committer = [r \in Replicas |-> 0]
  /\ log = [r \in Replicas |-> [l \in Lsns |-> NoRec]]
  /\ known = [r \in Replicas |-> [at |-> 0, cfg |-> 1]]
  /\ leading = {}
  /\ llog = [b \in Leaders |-> [l \in Lsns |-> NoRec]]
  /\ base = [b \in Leaders |-> 0]
  /\ lknown = [b \in Leaders |-> [at |-> 0, cfg |-> 1]]
  /\ acks = [b \in Leaders |-> [l \in Lsns |-> {}]]
  /\ committed = {}

\* In force with these changes after what is known committed: that one and all of them.
With(kn, changes) ==
  {kn.cfg} \cup (IF changes = {} THEN {}
                 ELSE IF Pending THEN {x.cfg : x \in changes}
                 ELSE {(CHOOSE x \in changes : \A y \in changes : y.at <= x.at).cfg})
Later(lg, kn) ==
  {[at |-> l, cfg |-> CfgOf(lg[l].key)] : l \in {m \in Lsns : m > kn.at /\ IsCfg(lg[m])}}
InForce(lg, kn) == With(kn, Later(lg, kn))

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

Newest(S) == CHOOSE x \in S : \A y \in S : y.at <= x.at

NeedBy(Q, c, kn) ==
  With(kn, {[at |-> l, cfg |-> CfgOf((CHOOSE rec \in Survivors(Q, l) : TRUE).key)] :
              l \in {m \in Lsns : m > kn.at /\ c # 0 /\ \E rec \in Survivors(Q, m) : IsCfg(rec)}})

\* The memberships that a candidate n must win in when Q answers it. It starts from what it
\* knows itself; replies can only enlarge that. A change that the lineage rule finds dead does not
\* count.
Need(Q, n) ==
  IF ~Fixpoint THEN InForce(log[n], known[n])
  ELSE NeedBy(Q, Max({committer[r] : r \in Q}), Newest({known[r] : r \in Q}))

Elect(b) ==
  /\ b \notin leading
  /\ \E Q \in SUBSET Replicas : \E n \in Q :
       /\ \A r \in Q : voted[r] < b
       /\ \A c \in Need(Q, n) : IsRead(Q, c)
       /\ \E p \in {Merged(Q)} : \E top \in {Top(p)} :
            /\ llog' = [llog EXCEPT ![b] = Filled(p, top, b)]
            /\ base' = [base EXCEPT ![b] = top]
       /\ lknown' = [lknown EXCEPT ![b] = Newest({known[r] : r \in Q})]
       /\ voted' = [r \in Replicas |-> IF r \in Q THEN b ELSE voted[r]]
  /\ leading' = leading \cup {b}
  /\ UNCHANGED <<committer, log, known, acks, committed>>

\* The changes that may be placed: none twice, and none to what alone is in force.
Open(b) ==
  {k \in Changes : /\ \A l \in Lsns : llog[b][l].key # k
                   /\ {CfgOf(k)} # InForce(llog[b], lknown[b])}

Propose(b) ==
  /\ b \in leading
  /\ \E n \in {Cardinality(Used(llog[b])) + 1} :
       /\ n <= MaxLsn
       /\ \E k \in Keys \cup Open(b) :
            \E deps \in {{l \in Used(llog[b]) : IsReal(llog[b][l]) /\ llog[b][l].key = k}} :
              llog' = [llog EXCEPT ![b][n] = [author |-> b, key |-> k, deps |-> deps]]
  /\ UNCHANGED <<voted, committer, log, known, leading, base, lknown, acks, committed>>

Adopted(b, r) ==
  IF committer[r] = b THEN log[r]
  ELSE [l \in Lsns |-> IF l <= base[b] /\ log[r][l].author # 0 /\ log[r][l].author = llog[b][l].author
                       THEN log[r][l] ELSE NoRec]

Rec(b, l) == [lsn |-> l, author |-> llog[b][l].author, key |-> llog[b][l].key, deps |-> llog[b][l].deps]

Covered(b, ak, l, kn) ==   \* a write quorum in every config in force
  LET need == InForce(llog[b], kn)
      holders == IF IsCfg(llog[b][l]) /\ Barrier
                 THEN {r \in Replicas : \A m \in 1..l : r \in ak[m]} ELSE ak[l]
  IN \A c \in need : IsWrite(holders, c)

RECURSIVE Chosen(_, _, _, _)
Chosen(b, ak, done, kn) ==
  LET more == {Rec(b, l) : l \in {m \in Lsns : (llog[b][m] # NoRec) /\ Covered(b, ak, m, kn)
                          /\ (\A d \in llog[b][m].deps : Rec(b, d) \in done)}} \ done
  IN IF more = {} THEN done ELSE Chosen(b, ak, done \cup more, kn)

\* A change that commits is in force alone, with the later ones; that may commit more.
RECURSIVE Settled(_, _, _, _)
Passed(b, done, kn) ==
  {[at |-> l, cfg |-> CfgOf(llog[b][l].key)] :
     l \in {m \in Lsns : m > kn.at /\ IsCfg(llog[b][m]) /\ Rec(b, m) \in done}}
After(b, ak, done, kn, passed) ==
  IF passed = {} THEN [done |-> done, kn |-> kn] ELSE Settled(b, ak, done, Newest(passed))
Within(b, ak, done, kn) == After(b, ak, done, kn, Passed(b, done, kn))
Settled(b, ak, old, kn) == Within(b, ak, Chosen(b, ak, old, kn), kn)

Accept(b, r) ==
  /\ b \in leading
  /\ voted[r] <= b
  /\ \E l \in Used(llog[b]) :
     \E now \in {[Adopted(b, r) EXCEPT ![l] = llog[b][l]]} :
       /\ committer[r] # b \/ now # log[r]
       /\ log' = [log EXCEPT ![r] = now]
       /\ \E ak \in {[m \in Lsns |-> IF now[m] # NoRec THEN acks[b][m] \cup {r} ELSE acks[b][m]]} :
          \E new \in {Settled(b, ak, committed, lknown[b])} :
            /\ acks' = [acks EXCEPT ![b] = ak]
            /\ lknown' = [lknown EXCEPT ![b] = new.kn]
            /\ committed' = new.done
  /\ voted' = [voted EXCEPT ![r] = b]
  /\ committer' = [committer EXCEPT ![r] = b]
  /\ UNCHANGED <<known, leading, llog, base>>

\* That a membership is committed is a fact, whoever says so: the leader that is followed, or
\* anybody who answers a pre-vote.
Learn(r) ==
  /\ \E kn \in {lknown[b] : b \in {x \in leading : committer[r] = x}} \cup {known[s] : s \in Replicas} :
       /\ kn.at > known[r].at
       /\ known' = [known EXCEPT ![r] = kn]
  /\ UNCHANGED <<voted, committer, log, leading, llog, base, lknown, acks, committed>>

Next ==
  \/ \E b \in Leaders : Elect(b) \/ Propose(b) \/ \E r \in Replicas : Accept(b, r)
  \/ \E r \in Replicas : Learn(r)

-----------------------------------------------------------------------------
\* I-6
Agreement == \A x, y \in committed : x.lsn = y.lsn => x = y
\* I-7
Closed == \A x \in committed : \A d \in x.deps : \E y \in committed : y.lsn = d /\ y.key = x.key
\* I-8
Ordered == \A x, y \in committed :
   (x.key = y.key /\ x.key # Void /\ x.lsn < y.lsn) => x.lsn \in y.deps
=============================================================================
