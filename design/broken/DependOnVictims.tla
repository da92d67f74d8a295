-------------------------- MODULE DependOnVictims ---------------------------
(***************************************************************************)
(* Authoring 3, nearest wrong rule: a record may depend on what another of *)
(* its dependencies overrides. Position 1 writes a and reaches nobody. 2   *)
(* writes a and b and overrides it. 3 reads a and depends on both. 2 and 3 *)
(* commit. The next leader misses 1, drops 3, and puts something else      *)
(* there.                                                                  *)
(***************************************************************************)
EXTENDS Overrides
CONSTANTS r1, r2, r3

\* What the first leader proposes and who may ever accept what. Nothing else is cut.
Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ llog[1][1].wr \subseteq {"a"} /\ llog[1][1].rd = {} /\ llog[1][2].wr \in {{}, {"a", "b"}}
  /\ llog[1][3].rd = llog[1][3].wr
  /\ acks[1][1] = {} /\ acks[1][2] \subseteq {r1, r2} /\ acks[1][3] \subseteq {r1, r2}
  /\ acks[2][1] = {} /\ acks[2][2] \subseteq {r1}     /\ acks[2][3] \subseteq {r1, r3}
  /\ llog[2][1].what # "command" /\ llog[2][2].author < 2
=============================================================================
