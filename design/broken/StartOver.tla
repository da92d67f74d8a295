----------------------------- MODULE StartOver ------------------------------
(***************************************************************************)
(* Applying 3, nearest wrong rule: a record starts although one of its     *)
(* victims runs. 1 runs, and 2, which overrides it, starts beside it.      *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1

\* The writes of the first leader, in order.
Writes == <<{"a"}, {"a"}, {"a"}>>
Path == /\ \A l \in Lsns : llog[1][l].wr \in {{}, Writes[l]}
        /\ know # {} => llog[1][3] # NoRec
=============================================================================
