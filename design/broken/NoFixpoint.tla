----------------------------- MODULE NoFixpoint -----------------------------
(***************************************************************************)
(* Membership 4, nearest wrong rule: a candidate trusts the memberships    *)
(* that it knows itself. Leader 1 moves from {r1, r2, r3} to {r3}: the     *)
(* change commits at r1 and r3, and a record after it at r3 alone. r2      *)
(* knows nothing of it, r1 votes for it, and the new leader puts something *)
(* else at that position.                                                  *)
(***************************************************************************)
EXTENDS Membership
CONSTANTS r1, r2, r3

\* Which leaders come, what they propose and who may ever accept it. Nothing else is cut.
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ llog[1][1].key \in {"none", "cfg2"} /\ llog[1][2].key \in {"none", "x"}
  /\ acks[1][1] \subseteq {r1, r3}    /\ acks[1][2] \subseteq {r3}
  /\ acks[2][1] \subseteq {r1, r3}    /\ acks[2][2] \subseteq {r1, r3}
=============================================================================
