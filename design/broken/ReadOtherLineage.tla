------------------------- MODULE ReadOtherLineage -------------------------
(***************************************************************************)
(* Reading 4, nearest wrong rule: r2 answers although it has taken another *)
(* lineage since it asked. Position 2 was acknowledged under leader 1      *)
(* after the read began. Leader 2 has it, but does not know yet that it is *)
(* settled, when position 3 is: r2 shows that one alone.                   *)
(***************************************************************************)
EXTENDS Reads
CONSTANTS r1, r2, r3

Path ==
  /\ leading \in {{}, {1}, {1, 2}}
  /\ host[1] \in {Nobody, r1} /\ host[2] \in {Nobody, r1}
  /\ read.phase = "none" => llog[1][2] = NoRec /\ 2 \notin leading
  /\ read.phase # "none" => read.at = r2 /\ read.must = {1} /\ read.echo \subseteq {r1, r2}
  /\ llog[1][3] = NoRec
  /\ llog[1][2] # NoRec => read.phase # "asked" /\ 1 \in done[r1] \cap done[r2]
  /\ 2 \in leading => 2 \in done[r1] /\ read.echo = {r1, r2}
  /\ done[r1] \subseteq {1, 2} /\ done[r2] \subseteq {1, 3} /\ done[r3] = {}
  /\ acks[1][1] \subseteq {r1, r2} /\ acks[1][2] \subseteq {r1, r3}
  /\ acks[2][1] \subseteq {r1, r2} /\ acks[2][2] \subseteq {r1} /\ acks[2][3] \subseteq {r1, r2}
=============================================================================
