--------------------------- MODULE ReadUnconfirmed ---------------------------
(***************************************************************************)
(* Reading 2, nearest wrong rule: a leader does not ask whether it still   *)
(* leads. Leader 2 was elected without it, and what it committed is not in *)
(* the answer of leader 1.                                                 *)
(***************************************************************************)
EXTENDS Reads
CONSTANTS r1, r2, r3

Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ host[1] \in {Nobody, r1} /\ host[2] \in {Nobody, r2}
  /\ llog[1][1] = NoRec /\ acks[2][1] \subseteq {r2, r3} /\ done[r3] = {}
=============================================================================
