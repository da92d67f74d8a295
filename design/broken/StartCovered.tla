--------------------------- MODULE StartCovered -----------------------------
(***************************************************************************)
(* Applying 3, nearest wrong rule: a covered record starts. 2 runs, and 1, *)
(* which it overrides, starts beside it.                                   *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1

\* The writes of the first leader, in order.
Writes == <<{"a"}, {"a"}, {"a"}>>
Path == /\ \A l \in Lsns : llog[1][l].wr \in {{}, Writes[l]}
        /\ know # {} => llog[1][3] # NoRec
=============================================================================
