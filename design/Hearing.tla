------------------------------ MODULE Hearing ------------------------------
(***************************************************************************)
(* Everybody hears: replicas acknowledge to all, and a replica that holds   *)
(* a record concludes by itself that it is committed (everybody-hears.md).  *)
(*                                                                          *)
(* acks[b][l] of Replication.tla is who ever accepted l under b: what can   *)
(* have been heard by now. Messages may be lost, and then less is           *)
(* concluded; so the worst that can happen is that everybody hears at once  *)
(* and concludes at once. told is what anybody has concluded, for ever.     *)
(*                                                                          *)
(* Wrong: OneLeader = FALSE adds up acknowledgements under different        *)
(* leader ids, OwnLineage = FALSE counts those under a leader whose lineage *)
(* the replica has not taken, AfterDeps = FALSE does not look at what the   *)
(* record depends on.                                                       *)
(***************************************************************************)
EXTENDS Replication
CONSTANTS OneLeader, OwnLineage, AfterDeps
VARIABLES told

HInit == Init /\ told = {}

Named(w, l, lg) == [lsn |-> l, author |-> lg[w][l].rec.author,
                    key |-> lg[w][l].rec.key, deps |-> lg[w][l].rec.deps]
Heard(b, l, ak) == IF OneLeader THEN ak[b][l] ELSE UNION {ak[c][l] : c \in Leaders}

\* What w may conclude of what it holds at l, if b leads. A bit of its depends stands for the
\* record that the lineage of b has there, and no other.
Concludes(w, b, l, vt, cm, lg, ll, ak, td) ==
  /\ lg[w][l].rec.author # 0
  /\ ~OwnLineage \/ (cm[w] = b /\ vt[w] = b)
  /\ IsQ(Heard(b, l, ak))
  /\ AfterDeps => \A d \in lg[w][l].rec.deps : \E y \in td : y.lsn = d /\ y.author = ll[b][d].author

Told(ld, vt, cm, lg, ll, ak, td) ==
  td \cup UNION {{Named(w, l, lg) : l \in {m \in Lsns : \E b \in ld :
                    Concludes(w, b, m, vt, cm, lg, ll, ak, td)}} : w \in Replicas}

\* Twice: what was concluded may be what another record depends on.
HNext ==
  /\ Next
  /\ \E td \in {Told(leading', voted', committer', log', llog', acks', told)} :
       told' = Told(leading', voted', committer', log', llog', acks', td)

-----------------------------------------------------------------------------
\* I-6: whatever anybody calls committed, nobody calls another record committed in its place.
HeardAgreement == \A x, y \in committed \cup told : x.lsn = y.lsn => x = y
\* I-7
HeardClosed == \A x \in told : \A d \in x.deps : \E y \in committed \cup told : y.lsn = d
=============================================================================
