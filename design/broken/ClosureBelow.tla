---------------------------- MODULE ClosureBelow ----------------------------
(***************************************************************************)
(* Rebuilding 3, nearest wrong rule: closure looks below the floor as      *)
(* well. 2 overrides 1 and commits, 1 reaches nobody. 3 has floor 3 and    *)
(* commits. The next leader finds nothing at 1 and drops 3.                *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1, r2

One == {A}
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ \A l \in Lsns : acks[1][l] \subseteq (IF l > 1 THEN {r2} ELSE {})
  /\ acks[2] = [l \in Lsns |-> {}] /\ know = {}
=============================================================================
