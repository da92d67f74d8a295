---------------------------- MODULE ReadAnyWide ----------------------------
(***************************************************************************)
(* Reading 3, nearest wrong rule: a read does not wait if any record that  *)
(* is known settled and not done writes all that is read, and not only if  *)
(* the first one does. Position 1 is acknowledged, position 2 is proposed  *)
(* after that and done here; 3 writes all and comes after both, and says   *)
(* nothing of 1, which the read misses.                                    *)
(***************************************************************************)
EXTENDS Reads
CONSTANTS r1, r2

Path ==
  /\ host[1] \in {Nobody, r1} /\ committer[r1] \in {0, 1}
  /\ read.phase = "none" => llog[1][1] = NoRec
  /\ done[r2] \subseteq {1} /\ done[r1] \cap {1, 3} = {}
=============================================================================
