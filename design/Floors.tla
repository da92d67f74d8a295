------------------------------- MODULE Floors -------------------------------
(***************************************************************************)
(* Overrides.tla with what keeps records small and what makes them run:    *)
(* floors in authoring, what each leader knows settled, and one replica,   *)
(* the Observer, that learns, applies and marks as done.                   *)
(*                                                                         *)
(* Wrong chooses one nearest wrong reading, or "none", which holds:        *)
(*   "floorfalls"  a new leader's floor forgets the floors in its log      *)
(*   "readers"     between victim and overrider only readers are minded    *)
(*   "forget"      the overrides of a victim are not added                 *)
(*   "victims"     depending on what another dependency overrides          *)
(*   "below"       closure looks below the floor as well                   *)
(*   "coveredbit"  a covered bit of depends is enough to apply             *)
(*   "donefloor"   all below the floor must be done, covered is not enough *)
(*   "markself"    applying marks only the record itself                   *)
(*   "markown"     applying marks the record's own victims, not theirs     *)
(*   "nochain"     a covered record is never sent                          *)
(*   "startcovered" a covered record starts, beside what overrides it      *)
(*   "startover"   a record starts although one of its victims runs        *)
(*   "passrunning" a covered record that runs does not hold up floors      *)
(*                                                                         *)
(* Read and Write are the sizes of the quorums. With Parallel, applying is *)
(* two steps, and several records run at the same time.                    *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, TLC
CONSTANTS Replicas, Observer, Read, Write, MaxLeader, MaxLsn, Reads, Wrong,
          Parallel

A  == [rd |-> {}, wr |-> {"a"}]
B  == [rd |-> {}, wr |-> {"b"}]
AB == [rd |-> {}, wr |-> {"a", "b"}]
RW == [rd |-> {Reads}, wr |-> {Reads}]
Commands == {A, AB, RW}
Two      == {AB, RW}       \* Commands <- Two: fewer states

Leaders == 1..MaxLeader
Lsns    == 1..MaxLsn
Void    == "void"
Empty   == "empty"
Blank(b, what) ==
  [author |-> b, what |-> what, rd |-> {}, wr |-> {}, floor |-> 1, deps |-> {}, overs |-> {}]
NoRec   == Blank(0, "none")
IsReal(r) == r.what = "command"
IsHeld(r) == r.what = "command" \/ r.what = Void
Interfere(x, y) == x.wr \cap (y.rd \cup y.wr) # {} \/ y.wr \cap x.rd # {}
Max(S) == CHOOSE x \in S : \A y \in S : y <= x
Used(lg) == {l \in Lsns : lg[l] # NoRec}
Top(lg)  == IF Used(lg) = {} THEN 0 ELSE Max(Used(lg))
Overs(lg, S) == UNION {lg[l].overs : l \in S}
BelowFloors(lg) == {l \in Lsns : \E m \in Lsns : IsReal(lg[m]) /\ l < lg[m].floor}

VARIABLES
  voted,      \* [Replicas -> leader id]  the promise
  committer,  \* [Replicas -> leader id]  whose lineage it holds; 0 = none
  log,        \* [Replicas -> [Lsns -> record]]  accepted under the committer
  leading,    \* leader ids that won an election
  llog,       \* [Leaders -> [Lsns -> record]]  the log of each leader
  base,       \* [Leaders -> lsn]  top of the log it rebuilt: its lineage ends here
  acks,       \* [Leaders -> [Lsns -> SUBSET Replicas]]  accepted under this leader
  lset,       \* [Leaders -> SUBSET Lsns]  what this leader knows settled
  committed,  \* every record that ever met the commit rule, with the leader it met it at
  know,       \* what the Observer was told is settled
  done,       \* applied or marked at the Observer
  running,    \* given out at the Observer and not finished
  ran,        \* what the Observer applied or began to
  wrong       \* it applied two that interfere the other way round, or at the same time
cluster == <<voted, committer, log, leading, llog, base, acks, lset, committed>>
observer == <<know, done, running, ran, wrong>>

Init ==
  /\ voted = [r \in Replicas |-> 0]
  /\ committer = [r \in Replicas |-> 0]
  /\ log = [r \in Replicas |-> [l \in Lsns |-> NoRec]]
  /\ leading = {}
  /\ llog = [b \in Leaders |-> [l \in Lsns |-> NoRec]]
  /\ base = [b \in Leaders |-> 0]
  /\ acks = [b \in Leaders |-> [l \in Lsns |-> {}]]
  /\ lset = [b \in Leaders |-> {}]
  /\ committed = {}
  /\ know = {} /\ done = {} /\ running = {} /\ ran = {} /\ wrong = FALSE

-----------------------------------------------------------------------------
\* Rebuilding

NameOf(c, l) == IF l <= base[c] THEN llog[c][l].author ELSE c

Survivors(Q, l) ==
  LET c == Max({committer[r] : r \in Q})
  IN IF c = 0 THEN {} ELSE {x \in {log[r][l] : r \in Q} : IsHeld(x) /\ x.author = NameOf(c, l)}

RECURSIVE Close(_)
Close(p) ==
  LET kept == Overs(p, Lsns)
      lost(d) == ~IsReal(p[d])
      bad == {l \in Lsns : IsReal(p[l]) /\ l \notin kept
                /\ \/ \E d \in p[l].deps : lost(d)
                   \/ Wrong = "below" /\ \E d \in 1..(p[l].floor - 1) : lost(d)}
  IN IF bad = {} THEN p ELSE Close([l \in Lsns |-> IF l \in bad THEN NoRec ELSE p[l]])

Merged(Q) == Close([l \in Lsns |-> LET S == Survivors(Q, l)
                                  IN IF S = {} THEN NoRec ELSE CHOOSE x \in S : TRUE])

Filled(p, top, b, c) == LET covered == Overs(p, Lsns) IN [l \in Lsns |->
  IF l > top THEN NoRec
  ELSE IF p[l] # NoRec THEN p[l]
  ELSE IF l \in covered THEN Blank(NameOf(c, l), Empty)
  ELSE Blank(b, Void)]

Elect(b) ==
  /\ b \notin leading
  /\ \E Q \in SUBSET Replicas :
       /\ Cardinality(Q) >= Read
       /\ \A r \in Q : voted[r] < b
       /\ \E p \in {Merged(Q)} : \E top \in {Top(p)} :
          \E lg \in {Filled(p, top, b, Max({committer[r] : r \in Q}))} :
            /\ llog' = [llog EXCEPT ![b] = lg]
            /\ base' = [base EXCEPT ![b] = top]
            /\ lset' = [lset EXCEPT ![b] = IF Wrong = "floorfalls" THEN {} ELSE BelowFloors(lg)]
       /\ voted' = [r \in Replicas |-> IF r \in Q THEN b ELSE voted[r]]
  /\ leading' = leading \cup {b}
  /\ UNCHANGED <<committer, log, acks, committed, observer>>

-----------------------------------------------------------------------------
\* Authoring

\* What command x, to be placed at n, overrides in log lg, from position l down to floor f.
RECURSIVE Over(_, _, _, _, _, _)
Over(lg, n, x, f, l, acc) ==
  IF l < f THEN acc
  ELSE LET r == lg[l]
           minded(u) == IsReal(lg[u]) /\ Interfere(lg[u], r)
                        /\ (Wrong = "readers" => lg[u].wr = {})
           yes == /\ IsReal(r) /\ r.rd = {} /\ x.rd = {} /\ r.wr \subseteq x.wr
                  /\ \A u \in (l + 1)..(n - 1) : minded(u) => u \in acc
           more == IF Wrong = "forget" THEN {l} ELSE {l} \cup {v \in r.overs : v >= f}
       IN Over(lg, n, x, f, l - 1, IF yes THEN acc \cup more ELSE acc)

RECURSIVE Reach(_, _)
Reach(lg, ds) == IF ds = {} THEN {} ELSE ds \cup Reach(lg, UNION {lg[d].deps : d \in ds})

Authored(b, lg, n, x, f) ==
  LET overs == Over(lg, n, x, f, n - 1, {})
      meet == {l \in f..(n - 1) : IsReal(lg[l]) /\ Interfere(lg[l], x)} \ overs
      live == IF Wrong = "victims" THEN meet ELSE meet \ Overs(lg, meet)
      deps == {l \in live : ~\E o \in live : l \in Reach(lg, lg[o].deps)}
  IN [author |-> b, what |-> "command", rd |-> x.rd, wr |-> x.wr,
      floor |-> f, deps |-> deps, overs |-> overs]

\* Any floor between the greatest in the log and the first position not known settled will do.
Lowest(b) == Max({1} \cup {llog[b][l].floor : l \in {m \in Lsns : IsReal(llog[b][m])
                                                         /\ (Wrong = "floorfalls" => m > base[b])}})

Propose(b) ==
  /\ b \in leading
  /\ \E n \in {Top(llog[b]) + 1} :
       /\ n <= MaxLsn
       /\ \E f \in {l \in Lowest(b)..n : \A m \in 1..(l - 1) : m \in lset[b]} :
          \E x \in Commands : llog' = [llog EXCEPT ![b][n] = Authored(b, llog[b], n, x, f)]
  /\ UNCHANGED <<voted, committer, log, leading, base, acks, lset, committed, observer>>

-----------------------------------------------------------------------------
\* Replicating and committing

Adopted(b, r) ==
  IF committer[r] = b THEN log[r]
  ELSE [l \in Lsns |-> IF IsHeld(log[r][l]) /\ log[r][l].author = NameOf(b, l)
                       THEN log[r][l] ELSE NoRec]

\* What leader b knows settled once acceptances are ak.
RECURSIVE Settle(_, _, _)
Settle(lg, ak, known) ==
  LET more == {l \in Lsns : IsHeld(lg[l]) /\ l \notin known /\ Cardinality(ak[l]) >= Write
                            /\ lg[l].deps \subseteq known}
  IN IF more = {} THEN known ELSE Settle(lg, ak, known \cup more \cup Overs(lg, more))

\* Which of them commit: also those that are settled already because something overrides them.
Commits(b, lg, ak, known) ==
  {[lsn |-> l, at |-> b, rec |-> lg[l]] : l \in {m \in Lsns : IsHeld(lg[m])
     /\ Cardinality(ak[m]) >= Write /\ lg[m].deps \subseteq known}}

Accept(b, r) ==
  /\ b \in leading
  /\ voted[r] <= b
  /\ \E l \in {m \in Lsns : IsHeld(llog[b][m])} :
     \E now \in {[Adopted(b, r) EXCEPT ![l] = llog[b][l]]} :
       /\ committer[r] # b \/ now # log[r]
       /\ log' = [log EXCEPT ![r] = now]
       /\ \E ak \in {[m \in Lsns |-> IF IsHeld(now[m]) THEN acks[b][m] \cup {r} ELSE acks[b][m]]} :
          \E known \in {Settle(llog[b], ak, lset[b])} :
            /\ acks' = [acks EXCEPT ![b] = ak]
            /\ lset' = [lset EXCEPT ![b] = known]
            /\ committed' = committed \cup {x \in Commits(b, llog[b], ak, known) :
                               ~\E y \in committed : y.lsn = x.lsn /\ y.rec = x.rec}
  /\ voted' = [voted EXCEPT ![r] = b]
  /\ committer' = [committer EXCEPT ![r] = b]
  /\ UNCHANGED <<leading, llog, base, observer>>

-----------------------------------------------------------------------------
\* Applying at the Observer

mine == log[Observer]

Learn ==
  /\ committer[Observer] > 0
  /\ \E l \in lset[committer[Observer]] \ know : know' = know \cup {l}
  /\ UNCHANGED <<cluster, done, running, ran, wrong>>

\* May l start, with lg held, settled known, dn done and rn running? A covered record need not run;
\* where applying takes time, it does not start either.
MayRun(lg, settled, dn, rn, l) ==
  LET covered == Overs(lg, settled)
      passed  == dn \cup (IF Wrong = "passrunning" THEN covered ELSE covered \ rn)
  IN /\ IsHeld(lg[l]) /\ l \in settled /\ l \notin dn \cup rn
     /\ lg[l].deps \subseteq (IF Wrong = "coveredbit" THEN dn \cup covered ELSE dn)
     /\ 1..(lg[l].floor - 1) \subseteq (IF Wrong = "donefloor" THEN dn ELSE passed)
     /\ Parallel => /\ Wrong = "startcovered" \/ l \notin covered
                    /\ Wrong = "startover" \/ lg[l].overs \cap rn = {}

RECURSIVE Marked(_, _)
Marked(lg, S) == LET more == Overs(lg, {l \in S : IsHeld(lg[l])}) \ S
                 IN IF more = {} THEN S ELSE Marked(lg, S \cup more)
Marks(lg, l) == IF Wrong = "markself" THEN {l}
                ELSE IF Wrong = "markown" THEN {l} \cup lg[l].overs
                ELSE Marked(lg, {l})

Apply ==
  /\ \E l \in {m \in Lsns : MayRun(mine, know \cup BelowFloors(mine), done, running, m)} :
       /\ IF Parallel THEN running' = running \cup {l} /\ UNCHANGED done
          ELSE done' = done \cup Marks(mine, l) /\ UNCHANGED running
       /\ ran' = ran \cup {[lsn |-> l, rec |-> mine[l]]}
       /\ wrong' = (wrong \/ \E q \in ran :
                      (q.lsn > l \/ q.lsn \in running) /\ Interfere(q.rec, mine[l]))
  /\ UNCHANGED <<cluster, know>>

Finish ==
  /\ \E l \in running :
       /\ running' = running \ {l}
       /\ done' = done \cup Marks(mine, l)
  /\ UNCHANGED <<cluster, know, ran, wrong>>

Next ==
  \/ Learn \/ Apply \/ Finish
  \/ \E b \in Leaders : Elect(b) \/ Propose(b) \/ \E r \in Replicas : Accept(b, r)

-----------------------------------------------------------------------------
\* I-5: what committed is in the log of every greater leader, or empty there.
Complete == \A x \in committed : \A b \in leading : x.at < b =>
  \/ llog[b][x.lsn] = x.rec
  \/ llog[b][x.lsn].what = Empty /\ llog[b][x.lsn].author = x.rec.author
\* I-6
Agreement == \A x, y \in committed : x.lsn = y.lsn => x.rec = y.rec
\* I-7
Overridden == UNION {x.rec.overs : x \in committed}
Settled == {x.lsn : x \in committed} \cup Overridden
Closed == \A x \in committed : x.rec.deps \subseteq Settled
\* I-8, at the Observer
Ordered == ~wrong
\* I-11
Floors ==
  /\ \A b \in leading : \A l, m \in Lsns :
       IsReal(llog[b][l]) /\ IsReal(llog[b][m]) /\ l < m => llog[b][l].floor <= llog[b][m].floor
  /\ \A b \in leading : lset[b] \subseteq Settled

\* A candidate may take its own word for what it knows settled without a gap from the start: nothing
\* there is dropped, and a hole there is empty (Rebuilding, in the code: it need not read that part).
Shortcut == \A Q \in SUBSET Replicas : Cardinality(Q) >= Read /\ Observer \in Q =>
  \E p \in {Merged(Q)} : \A l \in Lsns : 1..l \subseteq know \cup BelowFloors(mine) =>
    IF Survivors(Q, l) = {} THEN l \in Overs(p, Lsns) ELSE p[l] # NoRec

\* I-12: if from now on the greatest leader delivers everything, then everything becomes done at the
\* Observer. The leader may stop sending when each position is accepted or covered there, unless a
\* covered record is needed for the chain; whatever else it sent by then is up to chance.
RECURSIVE Drain(_, _, _)
Drain(lg, settled, dn) ==
  LET now == {l \in Lsns : MayRun(lg, settled, dn, {}, l)}
  IN IF now = {} THEN dn ELSE Drain(lg, settled, dn \cup Marks(lg, CHOOSE l \in now : TRUE))

Enough(b, held) ==
  LET has == {l \in Lsns : IsHeld(held[l])}
      covered == Overs(held, has)
      owed(l) == /\ Wrong # "nochain"
                 /\ \E v \in llog[b][l].overs : v \notin has \cup covered /\ llog[b][v].what = Empty
  IN \A l \in Lsns : IsHeld(llog[b][l]) => l \in has \/ (l \in covered /\ ~owed(l))

Finishes == leading # {} => LET b == Max(leading) IN
  \A S \in SUBSET {l \in Lsns : IsHeld(llog[b][l])} :
    LET held == [l \in Lsns |-> IF l \in S THEN llog[b][l] ELSE Adopted(b, Observer)[l]]
        all == 1..Top(llog[b])
        now == done \cup UNION {Marks(held, l) : l \in running}
    IN Enough(b, held) => all \subseteq Drain(held, all, now)
=============================================================================
