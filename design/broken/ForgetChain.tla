---------------------------- MODULE ForgetChain -----------------------------
(***************************************************************************)
(* Authoring 2, nearest wrong rule: the overrides of a victim are not      *)
(* added. 2 overrides 1, which reaches nobody. Leader 2 has no record at 1 *)
(* and lets 3 override 2 only. The Observer runs 3, which marks 2; when 2  *)
(* arrives it is done already, and nothing ever marks 1.                   *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1, r2

One == {A}
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ llog[1][3] = NoRec
  /\ acks[1][1] = {} /\ acks[1][2] \subseteq {r2}
  /\ acks[2][1] = {} /\ acks[2][2] \subseteq acks[2][3] /\ acks[2][3] \subseteq {r1}
  /\ llog[1][1].author = 1 => llog[1][2].author = 1 \/ 2 \notin leading
=============================================================================
