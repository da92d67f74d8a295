---------------------------- MODULE MaxCommitter ----------------------------
(***************************************************************************)
(* Rebuilding 1, nearest wrong rule: only the logs of voters with the      *)
(* greatest committer count. Leader 1 commits position 1 at r1 and r2.     *)
(* Leader 2 knows it and gives r3 only position 2. Leader 3 asks r1 and    *)
(* r3: r3 has the greatest committer and lacks position 1.                 *)
(***************************************************************************)
EXTENDS Replication
CONSTANTS r1, r2, r3

\* Which leaders come, what they propose and who may ever accept it. Nothing else is cut.
Path ==
  /\ leading \in {{}, {1}, {1, 2}, {1, 2, 3}}
  /\ llog[1][2] = NoRec            /\ llog[3][2].author # 3
  /\ acks[1][1] \subseteq {r1, r2}
  /\ acks[2][1] = {}               /\ acks[2][2] \subseteq {r3}
  /\ acks[3][1] \subseteq {r1, r3} /\ acks[3][2] = {}
=============================================================================
