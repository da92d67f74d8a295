------------------------------ MODULE MarkSelf ------------------------------
(***************************************************************************)
(* Applying 2, nearest wrong rule: applying marks the record itself. 3     *)
(* runs, then what it overrides.                                           *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1

\* The writes of the first leader, in order.
Writes == <<{"a"}, {"a"}, {"a"}>>
Path == /\ \A l \in Lsns : llog[1][l].wr \in {{}, Writes[l]}
        /\ know # {} => llog[1][3] # NoRec
=============================================================================
