---------------------- MODULE ReadOnlyNotedElsewhere ----------------------
(***************************************************************************)
(* Reading 4, nearest wrong rule: another replica waits for what the       *)
(* leader named, and not for what it knows settled besides. Position 2 is  *)
(* done at the leader only, and acknowledged; position 3 comes after and   *)
(* is done at r2 first, which shows it without position 2.                 *)
(***************************************************************************)
EXTENDS Reads
CONSTANTS r1, r2

\* Position 1 is done everywhere before the read, the others come after it.
Path ==
  /\ host[1] \in {Nobody, r1}
  /\ read.phase = "none" => llog[1][2] = NoRec
  /\ read.phase # "none" => read.at = r2 /\ read.must = {1}
  /\ 2 \notin done[r2] /\ 3 \notin done[r1]
=============================================================================
