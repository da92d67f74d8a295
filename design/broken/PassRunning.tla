---------------------------- MODULE PassRunning -----------------------------
(***************************************************************************)
(* Applying 3, nearest wrong rule: a covered record that runs does not     *)
(* hold up floors. 1 runs; 2 overrides it; 3, with floor 2, overrides 2    *)
(* and starts beside 1, because 1 is covered.                              *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1

\* The writes of the first leader, in order.
Writes == <<{"a"}, {"a"}, {"a"}>>
Path == /\ \A l \in Lsns : llog[1][l].wr \in {{}, Writes[l]}
        /\ know # {} => llog[1][3] # NoRec
=============================================================================
