--------------------------- MODULE VictimDepends ----------------------------
(***************************************************************************)
(* Authoring 3, nearest wrong rule: depending on what another dependency   *)
(* overrides. 2 overrides 1, which reaches nobody. 3 reads a and has bits  *)
(* for both. 2 and 3 commit; the next leader lacks 1 and drops 3.          *)
(***************************************************************************)
EXTENDS Floors
CONSTANTS r1, r2

\* The writes of the first leader, in order.
Writes == <<{"a"}, {"a", "b"}, {"a"}>>
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ \A l \in Lsns : /\ llog[1][l].wr \in {{}, Writes[l]}
                     /\ llog[1][l].rd = (IF l < 3 THEN {} ELSE llog[1][l].wr)
  /\ \A l \in Lsns : acks[1][l] \subseteq (IF l > 1 THEN {r2} ELSE {})
  /\ acks[2] = [l \in Lsns |-> {}] /\ committer[r1] = 0
=============================================================================
