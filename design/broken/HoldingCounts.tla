--------------------------- MODULE HoldingCounts ----------------------------
(***************************************************************************)
(* Words, nearest wrong reading: holding an overriding record counts as    *)
(* holding its victim. Position 1 writes a, 2 reads and writes b, 3 writes *)
(* both: it depends on 2 and overrides 1. r1 and r2 hold only 3, so 1      *)
(* counts as committed. The next leader drops 3, whose dependency is gone, *)
(* and nobody has 1.                                                       *)
(***************************************************************************)
EXTENDS Overrides
CONSTANTS r1, r2, r3

\* What the first leader proposes and who may ever accept what. Nothing else is cut.
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ llog[1][1].wr \subseteq {"a"} /\ llog[1][2].rd = llog[1][2].wr
  /\ llog[1][3].wr \in {{}, {"a", "b"}}
  /\ acks[1][1] \subseteq {r1, r2} /\ acks[1][2] = {} /\ acks[1][3] \subseteq {r1, r2}
  /\ acks[2][1] \subseteq {r1, r3} /\ acks[2][2] = {} /\ acks[2][3] = {} /\ llog[2][2].author < 2
=============================================================================
