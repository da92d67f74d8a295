------------------------------ MODULE LastOnly ------------------------------
(***************************************************************************)
(* Membership 1, nearest wrong rule: of several pending changes only the    *)
(* last one counts beside the committed one. Leader 1 moves from {r1} to    *)
(* {r2} and, while that is pending, back to {r1}: then only {r1} counts,    *)
(* and the first change commits at r1 alone. A record after both commits at *)
(* r2, and r2, which has neither change, elects another leader by itself.   *)
(***************************************************************************)
EXTENDS Membership
CONSTANTS r1, r2

\* Which leaders come, what they propose and who may ever accept it. Nothing else is cut.
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ llog[1][1].key \in {"none", "cfg2"} /\ llog[1][2].key \in {"none", "cfg1"}
  /\ llog[1][3].key \in {"none", "x"}
  /\ acks[1][1] \subseteq {r1} /\ acks[1][2] = {} /\ acks[1][3] \subseteq {r2}
=============================================================================
