----------------------------- MODULE FloorFalls -----------------------------
(***************************************************************************)
(* Authoring 1, nearest wrong rule: a new leader computes its floor from   *)
(* what it knows settled alone. Leader 1 commits 1 and places 2 with floor *)
(* 2. Leader 2 gives 3 floor 1: it overrides 1 and 2. The Observer has all *)
(* three, runs 2, since 1 is covered, and then 1.                          *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1, r2

One == {A}
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ \A b \in Leaders, l \in Lsns : llog[b][l].wr \in {{}, {"a"}} /\ llog[b][l].rd = {}
  /\ llog[1][3] = NoRec
  /\ \A l \in Lsns : acks[1][l] \subseteq {r2} /\ acks[2][l] \subseteq {r1}
  /\ (2 \in leading => acks[1][2] # {}) /\ acks[2][1] \subseteq acks[2][3]
=============================================================================
