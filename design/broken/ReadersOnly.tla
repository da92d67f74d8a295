---------------------------- MODULE ReadersOnly -----------------------------
(***************************************************************************)
(* Authoring 2, nearest wrong rule: between a victim and its overrider     *)
(* only readers are minded. Position 1 writes a, 2 reads and writes a and  *)
(* depends on it, 3 writes both and overrides 1 but not 2. A replica       *)
(* without 1 has no need of it and waits for it.                           *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1

\* The writes of the first leader, in order.
Writes == <<{"a"}, {"a"}, {"a", "b"}>>
\* What the leader proposes. Nothing else is cut.
Path == /\ \A l \in Lsns : llog[1][l].wr \in {{}, Writes[l]}
        /\ know # {} => llog[1][3] # NoRec
=============================================================================
