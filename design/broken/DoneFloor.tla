----------------------------- MODULE DoneFloor ------------------------------
(***************************************************************************)
(* Applying 1, nearest wrong rule: everything below the floor must be      *)
(* done. 5 overrides 1, 3 and 4 and has a bit for 2. 6, with floor 2,      *)
(* overrides 2 to 5. A replica with only 5 and 6 waits for 1 to be done    *)
(* before it runs 6, and for 2 before it runs 5.                           *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1, r2

\* The writes of the first leader, in order.
Writes == <<{"a"}, {"b", "c"}, {"a", "b"}, {"b"}, {"a", "b"}, {"a", "b", "c"}>>
Wide == {[rd |-> {}, wr |-> Writes[l]] : l \in Lsns}
Path ==
  /\ \A l \in Lsns : llog[1][l].wr \in {{}, Writes[l]}
  /\ acks[1][1] \subseteq {r2} /\ \A l \in 2..6 : acks[1][l] = {}
=============================================================================
