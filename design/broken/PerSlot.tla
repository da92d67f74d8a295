------------------------------ MODULE PerSlot -------------------------------
(***************************************************************************)
(* Rebuilding 1, nearest wrong rule: at each position the record accepted  *)
(* under the greatest leader id wins, and nothing is dropped at first      *)
(* contact. Leader 1 leaves x at position 2 at r1 alone. Leader 2 commits  *)
(* x at position 1. Leader 3 finds both: the dead record is back, above    *)
(* one that it was never ordered with.                                     *)
(***************************************************************************)
EXTENDS Replication
CONSTANTS r1, r2, r3

\* Which leaders come, what they propose and who may ever accept it. Nothing else is cut.
Path ==
  /\ leading \in {{}, {1}, {1, 2}, {1, 2, 3}}
  /\ llog[1][1].key \in {"none", "y"} /\ llog[1][2].key \in {"none", "x"}
  /\ llog[2][1].key \in {"none", "x"} /\ llog[2][2] = NoRec
  /\ acks[1][1] = {}               /\ acks[1][2] \subseteq {r1}
  /\ acks[2][1] \subseteq {r2, r3} /\ acks[3][1] = {} /\ acks[3][2] \subseteq {r1, r2}
=============================================================================
