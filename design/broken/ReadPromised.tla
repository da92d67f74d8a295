--------------------------- MODULE ReadPromised ---------------------------
(***************************************************************************)
(* Reading 3, nearest wrong rule: leader 1 has confirmed that it leads,    *)
(* then promises leader 2, follows it and still answers. Position 1 was    *)
(* done at r2 and acknowledged before position 2 was proposed; r1 has done *)
(* position 2 only.                                                        *)
(***************************************************************************)
EXTENDS Reads
CONSTANTS r1, r2

Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ host[1] \in {Nobody, r1} /\ host[2] \in {Nobody, r2}
  /\ llog[1][1] = NoRec
  /\ leading = {1, 2} => read.phase # "none"
  /\ 1 \notin done[r1] /\ 2 \notin done[r2]
=============================================================================
