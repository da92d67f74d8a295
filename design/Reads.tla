------------------------------- MODULE Reads -------------------------------
(***************************************************************************)
(* Linearizable reads at the leader and at another replica (Reading 1 to    *)
(* 4), without a lease: who shows an answer shows every interfering command *)
(* that any client could have been told of before the read began, and       *)
(* whatever must come before anything that it shows.                        *)
(*                                                                          *)
(* What a client may have been told of is whatever has been done anywhere.  *)
(* There is one read. That two agree, whoever serves them, needs more than  *)
(* each by itself: that of what two reads show of the keys that both want,  *)
(* one is part of the other. It is, because each shows a beginning: of what *)
(* the leader came to know, in that order (Later), or of its log, by        *)
(* position (ByPosition; and of one key, whatever the rule). The latter is  *)
(* what the invariant Beginning says.                                       *)
(*                                                                          *)
(* Hears: replicas conclude by themselves what is committed (Committing 4), *)
(* and the leader may come to know it late, and in another order. What it   *)
(* knows is then no measure, and reads of several keys show a beginning by  *)
(* position.                                                                *)
(*                                                                          *)
(* Wrong, one at a time: Note = FALSE waits for nothing in the log, Confirm *)
(* = FALSE does not ask whether it still leads, Later = FALSE waits for the *)
(* noted records only, First = FALSE is content with any record that writes *)
(* all that is read, Hears without ByPosition waits for what the leader     *)
(* knows, Promised = FALSE answers although it has promised another leader, *)
(* Same = FALSE answers at a replica that has taken another lineage since   *)
(* it asked.                                                                *)
(*                                                                          *)
(* Electing and replicating are those of Replication.tla, with sizes of     *)
(* read and write quorums. Commands read what they write, and the read      *)
(* wants all keys: each position has a key of its own, but those in Wide    *)
(* write all of them. (All in Wide: as if there were one key.)              *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, Sequences, TLC
CONSTANTS Replicas, ReadQ, WriteQ, MaxLeader, MaxLsn, Wide, Elsewhere,
          Hears, ByPosition, Note, Confirm, Later, First, Promised, Same

Leaders == 1..MaxLeader
Lsns    == 1..MaxLsn
All     == {"a", "b", "c"}
KeysAt(l) == IF l \in Wide THEN All ELSE {<<"a", "b", "c">>[l]}
Void    == {}
NoRec   == [author |-> 0, keys |-> {"none"}, deps |-> {}]
IsReal(r) == r.author # 0 /\ r.keys # Void
Max(S) == CHOOSE x \in S : \A y \in S : y <= x
Nobody == "nobody"

VARIABLES
  voted, committer, log,         \* as in Replication.tla
  leading, llog, base, acks,
  host,       \* [Leaders -> replica]
  known,      \* [Leaders -> SUBSET Lsns]  settled, as far as the leader knows
  committed,  \* {[lsn, author, keys]}
  learned,    \* [Replicas -> SUBSET Lsns]  settled, as far as the replica was told
  done,       \* [Replicas -> SUBSET Lsns]
  after,      \* [Leaders -> [Lsns -> SUBSET Lsns]]  done anywhere when it was proposed
  read
core == <<voted, committer, log, leading, llog, base, acks, host, known, committed>>
vars == <<core, learned, done, after, read>>

Init ==
  /\ voted = [r \in Replicas |-> 0]
  /\ committer = [r \in Replicas |-> 0]
  /\ log = [r \in Replicas |-> [l \in Lsns |-> NoRec]]
  /\ leading = {}
  /\ llog = [b \in Leaders |-> [l \in Lsns |-> NoRec]]
  /\ base = [b \in Leaders |-> 0]
  /\ acks = [b \in Leaders |-> [l \in Lsns |-> {}]]
  /\ host = [b \in Leaders |-> Nobody]
  /\ known = [b \in Leaders |-> {}]
  /\ committed = {}
  /\ learned = [r \in Replicas |-> {}]
  /\ done = [r \in Replicas |-> {}]
  /\ after = [b \in Leaders |-> [l \in Lsns |-> {}]]
  /\ read = [phase |-> "none", at |-> Nobody, leader |-> 0, must |-> {}, noted |-> {},
             echo |-> {}, shown |-> {}]

Matches(c, l, rec) ==
  IF l <= base[c] THEN rec.author # 0 /\ rec.author = llog[c][l].author ELSE rec.author = c
Survivors(Q, l) ==
  LET c == Max({committer[r] : r \in Q})
  IN IF c = 0 THEN {} ELSE {rec \in {log[r][l] : r \in Q} \ {NoRec} : Matches(c, l, rec)}
RECURSIVE Close(_)
Close(p) ==
  LET bad == {l \in Lsns : IsReal(p[l]) /\ \E d \in p[l].deps : ~IsReal(p[d])}
  IN IF bad = {} THEN p ELSE Close([l \in Lsns |-> IF l \in bad THEN NoRec ELSE p[l]])
Merged(Q) == Close([l \in Lsns |-> LET S == Survivors(Q, l)
                                  IN IF S = {} THEN NoRec ELSE CHOOSE x \in S : TRUE])
Used(lg) == {l \in Lsns : lg[l] # NoRec}
Top(lg)  == IF Used(lg) = {} THEN 0 ELSE Max(Used(lg))
Filled(p, top, b) == [l \in Lsns |->
  IF l > top THEN NoRec
  ELSE IF p[l] = NoRec THEN [author |-> b, keys |-> Void, deps |-> {}] ELSE p[l]]

\* It leads as far as it knows: it has promised nobody else.
Leads(b) == b \in leading /\ voted[host[b]] = b
Told == UNION {done[r] : r \in Replicas}

Elect(b) ==
  /\ b \notin leading
  /\ \E Q \in SUBSET Replicas : \E n \in Q :
       /\ Cardinality(Q) >= ReadQ /\ \A r \in Q : voted[r] < b
       /\ \E p \in {Merged(Q)} : \E top \in {Top(p)} :
            /\ llog' = [llog EXCEPT ![b] = Filled(p, top, b)]
            /\ base' = [base EXCEPT ![b] = top]
       /\ voted' = [r \in Replicas |-> IF r \in Q THEN b ELSE voted[r]]
       /\ host' = [host EXCEPT ![b] = n]
  /\ leading' = leading \cup {b}
  /\ UNCHANGED <<committer, log, acks, known, committed, learned, done, after, read>>

Propose(b) ==
  /\ Leads(b)
  /\ \E n \in {Cardinality(Used(llog[b])) + 1} :
       /\ n <= MaxLsn
       /\ after' = [after EXCEPT ![b][n] = Told]
       /\ llog' = [llog EXCEPT ![b][n] = [author |-> b, keys |-> KeysAt(n),
                     deps |-> {l \in Used(llog[b]) : llog[b][l].keys \cap KeysAt(n) # {}}]]
  /\ UNCHANGED <<voted, committer, log, leading, base, acks, host, known, committed, learned, done,
                 read>>

Adopted(b, r) ==
  IF committer[r] = b THEN log[r]
  ELSE [l \in Lsns |-> IF l <= base[b] /\ log[r][l].author # 0 /\ log[r][l].author = llog[b][l].author
                       THEN log[r][l] ELSE NoRec]

\* What the leader knows settled: what a write quorum has accepted under it, in order.
RECURSIVE Settled(_, _, _)
Settled(b, ak, have) ==
  LET more == {l \in Lsns \ have : llog[b][l] # NoRec /\ Cardinality(ak[l]) >= WriteQ
                                    /\ llog[b][l].deps \subseteq have}
  IN IF more = {} THEN have ELSE Settled(b, ak, have \cup more)

Accept(b, r) ==
  /\ b \in leading /\ voted[r] <= b
  /\ r # host[b] \/ voted[r] = b
  /\ \E l \in Used(llog[b]) :
     \E now \in {[Adopted(b, r) EXCEPT ![l] = llog[b][l]]} :
       /\ committer[r] # b \/ now # log[r]
       /\ log' = [log EXCEPT ![r] = now]
       /\ \E ak \in {[m \in Lsns |-> IF now[m] # NoRec THEN acks[b][m] \cup {r} ELSE acks[b][m]]} :
          \E facts \in {Settled(b, ak, known[b])} :
            /\ acks' = [acks EXCEPT ![b] = ak]
            /\ known' = IF Hears THEN known ELSE [known EXCEPT ![b] = facts]
            /\ committed' = committed \cup
                 {[lsn |-> m, author |-> llog[b][m].author, keys |-> llog[b][m].keys] : m \in facts}
  /\ voted' = [voted EXCEPT ![r] = b]
  /\ committer' = [committer EXCEPT ![r] = b]
  /\ UNCHANGED <<leading, llog, base, host, learned, done, after, read>>

\* With Hears the leader counts when it hears: any part of what is committed, in any order that
\* dependencies allow, and one at a time.
Count(b) ==
  /\ Hears /\ b \in leading
  /\ \E l \in Settled(b, acks[b], known[b]) \ known[b] :
       /\ llog[b][l].deps \subseteq known[b]
       /\ known' = [known EXCEPT ![b] = @ \cup {l}]
  /\ UNCHANGED <<voted, committer, log, leading, llog, base, acks, host, committed, learned, done,
                 after, read>>

\* A follower concludes by itself what it holds, under the leader whose lineage it took last.
Conclude(r) ==
  /\ Hears /\ committer[r] # 0
  /\ \E l \in Settled(committer[r], acks[committer[r]], learned[r]) \ learned[r] :
       /\ log[r][l] # NoRec /\ log[r][l].deps \subseteq learned[r]
       /\ learned' = [learned EXCEPT ![r] = @ \cup {l}]
  /\ UNCHANGED <<core, done, after, read>>

Learn(r) ==
  /\ committer[r] # 0
  /\ \E new \in {learned[r] \cup known[committer[r]]} :
       new # learned[r] /\ learned' = [learned EXCEPT ![r] = new]
  /\ UNCHANGED <<core, done, after, read>>

Apply(r) ==
  /\ \E l \in learned[r] \ done[r] :
       /\ log[r][l] # NoRec /\ log[r][l].deps \subseteq done[r]
       /\ done' = [done EXCEPT ![r] = @ \cup {l}]
  /\ UNCHANGED <<core, learned, after, read>>

-----------------------------------------------------------------------------
KeysOf(l) == (CHOOSE x \in committed : x.lsn = l).keys
Interfering(S) == {l \in S : KeysOf(l) # Void}
Noted(b) == IF Note THEN {l \in Used(llog[b]) : llog[b][l].keys # Void} ELSE {}

ReadAtLeader(b) ==
  /\ ~Elsewhere /\ read.phase = "none" /\ Leads(b)
  /\ read' = [read EXCEPT !.phase = "noted", !.at = host[b], !.leader = b,
                          !.must = Interfering(Told), !.noted = Noted(b)]
  /\ UNCHANGED <<core, learned, done, after>>

ReadElsewhere(r) ==
  /\ Elsewhere /\ read.phase = "none" /\ committer[r] # 0
  /\ read' = [read EXCEPT !.phase = "asked", !.at = r, !.leader = committer[r],
                          !.must = Interfering(Told)]
  /\ UNCHANGED <<core, learned, done, after>>

\* The leader answers with a set, once it has confirmed that it leads.
Asked ==
  /\ read.phase = "asked" /\ Leads(read.leader)
  /\ read' = [read EXCEPT !.phase = "noted", !.noted = Noted(read.leader)]
  /\ UNCHANGED <<core, learned, done, after>>

Echo(r) ==
  /\ read.phase = "noted" /\ r \notin read.echo /\ voted[r] <= read.leader
  /\ read' = [read EXCEPT !.echo = @ \cup {r}]
  /\ UNCHANGED <<core, learned, done, after>>

Confirmed == Cardinality(read.echo) >= ReadQ \/ Cardinality(read.echo) >= WriteQ \/ ~Confirm
Knows(r) == IF Elsewhere THEN learned[r] ELSE known[read.leader]

\* What is done at r of what interferes is a beginning, by position, as far as r can tell: of the
\* log of the leader, or of its own, where a hole may be anything.
InOrder(r) ==
  \A m \in Interfering(done[r]) : \A l \in 1..(m - 1) :
    \/ l \in done[r]
    \/ IF Elsewhere THEN log[r][l].keys = Void ELSE llog[read.leader][l].keys = Void

\* Of what interferes and is known settled, the first that is not done writes all that is read:
\* everything after it comes after it.
Complete(r) ==
  \E undone \in {Interfering(Knows(r)) \ done[r]} :
    \/ undone = {}
    \/ IF First THEN KeysOf(CHOOSE l \in undone : \A m \in undone : l <= m) = All
       ELSE \E l \in undone : KeysOf(l) = All

Show(r) ==
  /\ read.phase = "noted" /\ r = read.at /\ Confirmed
  /\ IF Elsewhere THEN committer[r] = read.leader \/ ~Same
     ELSE voted[r] = read.leader \/ ~Promised
  /\ read.noted \subseteq done[r]
  /\ IF ByPosition THEN InOrder(r) ELSE ~Later \/ Complete(r)
  /\ read' = [read EXCEPT !.phase = "shown", !.shown = Interfering(done[r])]
  /\ UNCHANGED <<core, learned, done, after>>

Next ==
  \/ Asked
  \/ \E b \in Leaders : Elect(b) \/ Propose(b) \/ Count(b) \/ ReadAtLeader(b)
       \/ \E r \in Replicas : Accept(b, r)
  \/ \E r \in Replicas : Conclude(r) \/ Learn(r) \/ Apply(r) \/ ReadElsewhere(r) \/ Echo(r)
       \/ Show(r)

-----------------------------------------------------------------------------
\* I-6
Agreement == \A x, y \in committed : x.lsn = y.lsn => x = y
\* I-9: linearizable.
Author(l) == (CHOOSE x \in committed : x.lsn = l).author
Fresh == read.phase = "shown" =>
  /\ read.must \subseteq read.shown
  /\ \A l \in read.shown : Interfering(after[Author(l)][l]) \subseteq read.shown
\* Nothing below what was shown is missing that is, or will ever be, committed: the leader that was
\* asked has it in its log.
Beginning == read.phase = "shown" =>
  \A m \in read.shown : \A l \in 1..(m - 1) :
    l \in read.shown \/ llog[read.leader][l].keys = Void
\* Nothing that was shown matters once it was right.
Over == read.phase # "shown"
Symmetry == Permutations(Replicas)
=============================================================================
