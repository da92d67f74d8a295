---------------------------- MODULE VoidCovered -----------------------------
(***************************************************************************)
(* Rebuilding 4, nearest wrong rule: every hole becomes a void. Position 1 *)
(* writes a and b and reaches nobody. 2 writes a and depends on it. 3      *)
(* writes both and overrides both. r1 and r2 hold 2 and 3, so both are     *)
(* committed. The next leader drops 2, for 1 is gone, and a void commits   *)
(* in its place.                                                           *)
(***************************************************************************)
EXTENDS Overrides
CONSTANTS r1, r2, r3

\* What the first leader proposes and who may ever accept what. Nothing else is cut.
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ llog[1][1].wr \in {{}, {"a", "b"}} /\ llog[1][2].rd = {} /\ llog[1][2].wr \subseteq {"a"}
  /\ llog[1][3].wr \in {{}, {"a", "b"}}
  /\ acks[1][1] = {} /\ acks[1][2] \subseteq {r1, r2} /\ acks[1][3] \subseteq {r1, r2}
  /\ acks[2][1] = {} /\ acks[2][2] \subseteq {r1, r2} /\ acks[2][3] \subseteq {r1, r2}
  /\ llog[2][1].what # "command"
=============================================================================
