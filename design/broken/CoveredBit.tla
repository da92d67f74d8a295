----------------------------- MODULE CoveredBit -----------------------------
(***************************************************************************)
(* Applying 1, nearest wrong rule: a covered bit is enough. Position 1     *)
(* writes both, 2 writes a and depends on it, 3 overrides both. 2 runs     *)
(* because 1 is covered, and then 1 runs.                                  *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1

\* The writes of the first leader, in order.
Writes == <<{"a", "b"}, {"a"}, {"a", "b"}>>
Path == /\ \A l \in Lsns : llog[1][l].wr \in {{}, Writes[l]}
        /\ know # {} => llog[1][3] # NoRec
=============================================================================
