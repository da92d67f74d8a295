------------------------------ MODULE MarkOwn -------------------------------
(***************************************************************************)
(* Applying 2, nearest wrong rule: applying marks the record's own victims *)
(* and not theirs. 1 is settled, so the floor of 3 lies above it. 3        *)
(* overrides 2 and runs, and then 1 runs, which 2 overrides.               *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1

\* The writes of the first leader, in order.
Writes == <<{"a"}, {"a"}, {"a"}>>
Path == /\ \A l \in Lsns : llog[1][l].wr \in {{}, Writes[l]}
        /\ know # {} => llog[1][3] # NoRec
=============================================================================
