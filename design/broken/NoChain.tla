------------------------------ MODULE NoChain -------------------------------
(***************************************************************************)
(* Replicating 4, nearest wrong rule: a covered record is never sent. 3    *)
(* overrides 1 and commits; 4, with floor 2, overrides 2 and 3. Nobody has *)
(* 1. A replica with only 4 cannot know that 1, below the floor of 4, is   *)
(* covered by 3.                                                           *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1, r2

\* The writes of the first leader, in order.
Writes == <<{"a"}, {"b"}, {"a"}, {"a", "b"}>>
Three == {A, B, AB}
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ \A l \in Lsns : llog[1][l].wr \in {{}, Writes[l]}
  /\ \A l \in Lsns : acks[1][l] \subseteq (IF l > 2 THEN {r2} ELSE {})
  /\ \A l \in Lsns : llog[2][l].author < 2
  /\ know = {}
=============================================================================
