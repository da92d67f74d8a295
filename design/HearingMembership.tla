------------------------- MODULE HearingMembership -------------------------
(***************************************************************************)
(* Everybody hears, while the membership changes (everybody-hears.md). A    *)
(* replica counts in the membership that the leader has named, for the      *)
(* positions that the leader had placed when it named it; the leader names  *)
(* none while a change is pending in its log. Words come late, so that old  *)
(* ones count too: said[b][at] is all that leader b had placed while the    *)
(* membership at `at` was in force alone. As in Hearing.tla everything is   *)
(* said, heard and concluded as soon as it can be.                          *)
(*                                                                          *)
(* Wrong: Word = FALSE counts in the memberships that the replica knows     *)
(* itself. It may lack the record of a change that lies below.              *)
(***************************************************************************)
EXTENDS Membership
CONSTANTS Word
VARIABLES said, told

HInit == Init /\ said = [b \in Leaders |-> [at \in 0..MaxLsn |-> {}]] /\ told = {}

Said(ld, ll, lk) == [b \in Leaders |-> [at \in 0..MaxLsn |->
  IF b \in ld /\ lk[b].at = at /\ Later(ll[b], lk[b]) = {}
  THEN said[b][at] \cup Used(ll[b]) ELSE said[b][at]]]

Named(w, l, lg) == [lsn |-> l, author |-> lg[w][l].author,
                    key |-> lg[w][l].key, deps |-> lg[w][l].deps]

Concludes(w, b, l, sd, vt, cm, kn, lg, ll, ak, td) ==
  /\ lg[w][l].author # 0 /\ lg[w][l].key \notin Changes
  /\ cm[w] = b /\ vt[w] = b
  /\ Word => l \in sd[b][kn[w].at]
  /\ IsWrite(ak[b][l], kn[w].cfg)
  /\ \A d \in lg[w][l].deps : \E y \in td : y.lsn = d /\ y.author = ll[b][d].author

Told(sd, ld, vt, cm, kn, lg, ll, ak, td) ==
  td \cup UNION {{Named(w, l, lg) : l \in {m \in Lsns : \E b \in ld :
                    Concludes(w, b, m, sd, vt, cm, kn, lg, ll, ak, td)}} : w \in Replicas}

HNext ==
  /\ Next
  /\ said' = Said(leading', llog', lknown')
  /\ \E td \in {Told(said', leading', voted', committer', known', log', llog', acks', told)} :
       told' = Told(said', leading', voted', committer', known', log', llog', acks', td)

-----------------------------------------------------------------------------
\* I-6
HeardAgreement == \A x, y \in committed \cup told : x.lsn = y.lsn => x = y
\* I-7
HeardClosed == \A x \in told : \A d \in x.deps : \E y \in committed \cup told : y.lsn = d
=============================================================================
