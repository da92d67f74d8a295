------------------------------ MODULE Sessions ------------------------------
(***************************************************************************)
(* Sessions: a request takes effect once, however often it is proposed, and *)
(* although sessions expire. One client, one session number, one machine:   *)
(* executing is deterministic and requests of a session are in order with   *)
(* whatever opens or ends it, so all replicas agree on what is here.        *)
(*                                                                          *)
(* What was proposed once may be placed at any later time and as often as   *)
(* the network and impatient clients like. The client may not have heard    *)
(* of what was executed.                                                    *)
(*                                                                          *)
(* A session's opening is the number of sweeps before it. Requests carry    *)
(* it. It is never given twice: a session is used when it is opened, so it  *)
(* ends only at a later sweep.                                              *)
(*                                                                          *)
(* Kept = TRUE: the client asks that its requests keep their order. They    *)
(* are in order with each other, but what was lost and is proposed again    *)
(* stands behind what was proposed later. So a request that is executed     *)
(* before an earlier one has no effect, and its client is told that.        *)
(*                                                                          *)
(* Wrong: Opening = FALSE takes a session that was opened anew, perhaps by  *)
(* a late copy of the client's own proposal, for the one that expired; Keep *)
(* = FALSE forgets which requests are finished; Saved = FALSE leaves        *)
(* sessions out of snapshots; Ordered = FALSE executes requests whose order *)
(* is to be kept as they come.                                              *)
(***************************************************************************)
EXTENDS Integers, FiniteSets
CONSTANTS Requests, Idle, MaxPlaced, MaxSweeps, Opening, Keep, Saved, Kept, Ordered

None    == 99
Numbers == 0..(Requests - 1)
NoSession == [opening |-> None, finished |-> {}, below |-> 0, used |-> 0]

VARIABLES
  sweeps,    \* how many there were
  session,   \* opening, finished requests, those below have been acknowledged, last use
  effects,   \* [openings -> [Numbers -> how often]]  by the opening that the client meant
  sent,      \* what was ever proposed
  answers,   \* {<<what, outcome>>}
  mine,      \* the opening that the client knows; None before
  last,      \* the one before, or -1
  next,      \* its next request
  placed
client == <<mine, last, next>>
vars == <<sweeps, session, effects, sent, answers, mine, last, next, placed>>

Expired == -1
Done == 0
Forgotten == 1
Ahead == 2

Cmd(kind, opening, n) == [kind |-> kind, opening |-> opening, n |-> n]
Open == Cmd("open", None, 0)

Init ==
  /\ sweeps = 0 /\ session = NoSession /\ placed = 0
  /\ effects = [o \in 0..MaxSweeps |-> [n \in Numbers |-> 0]]
  /\ sent = {} /\ answers = {}
  /\ mine = None /\ last = -1 /\ next = 0

Machine == <<sweeps, session, effects, answers, placed>>

SendOpen ==
  /\ mine = None /\ Open \notin sent
  /\ sent' = sent \cup {Open}
  /\ UNCHANGED <<Machine, client>>
\* It takes an answer, perhaps an old one: no older than the session it has lost.
Opened(o) ==
  /\ mine = None /\ o > last /\ <<Open, o>> \in answers
  /\ mine' = o /\ next' = 0
  /\ UNCHANGED <<Machine, sent, last>>
SendDo ==
  /\ mine # None /\ next < Requests
  /\ sent' = sent \cup {Cmd("do", mine, next)}
  /\ next' = next + 1
  /\ UNCHANGED <<Machine, mine, last>>
SendHave(n) ==
  /\ mine # None /\ n <= next /\ Cmd("have", mine, n) \notin sent
  /\ \A m \in 0..(n - 1) : \E a \in answers : a[1] = Cmd("do", mine, m) /\ a[2] # Ahead
  /\ sent' = sent \cup {Cmd("have", mine, n)}
  /\ UNCHANGED <<Machine, client>>
GiveUp ==
  /\ mine # None
  /\ \E a \in answers : a[1].kind = "do" /\ a[1].opening = mine /\ a[2] = -1
  /\ mine' = None /\ last' = mine /\ next' = 0
  /\ UNCHANGED <<Machine, sent>>

Answer(c, what) == answers' = answers \cup {<<c, what>>}
Is(c) == session # NoSession /\ (~Opening \/ session.opening = c.opening)

ExecuteOpen(c) ==
  \E s \in {IF session = NoSession THEN [NoSession EXCEPT !.opening = sweeps] ELSE session} :
    /\ session' = [s EXCEPT !.used = sweeps]
    /\ Answer(c, s.opening)
    /\ UNCHANGED <<sweeps, effects>>

ExecuteDo(c) ==
  IF ~Is(c) THEN Answer(c, Expired) /\ UNCHANGED <<sweeps, session, effects>>
  ELSE IF c.n < session.below \/ c.n \in session.finished
  THEN /\ Answer(c, IF c.n < session.below THEN Forgotten ELSE Done)
       /\ session' = [session EXCEPT !.used = sweeps]
       /\ UNCHANGED <<sweeps, effects>>
  ELSE IF Kept /\ Ordered /\ (\E m \in session.below..(c.n - 1) : m \notin session.finished)
  THEN /\ Answer(c, Ahead)
       /\ session' = [session EXCEPT !.used = sweeps]
       /\ UNCHANGED <<sweeps, effects>>
  ELSE /\ Answer(c, Done)
       /\ effects' = [effects EXCEPT ![c.opening][c.n] = @ + 1]
       /\ session' = [session EXCEPT !.used = sweeps,
                        !.finished = IF Keep THEN @ \cup {c.n} ELSE @]
       /\ UNCHANGED sweeps

ExecuteHave(c) ==
  /\ session' = IF Is(c) /\ c.n > session.below
                THEN [session EXCEPT !.below = c.n, !.used = sweeps] ELSE session
  /\ UNCHANGED <<sweeps, effects, answers>>

Execute(c) ==
  /\ placed < MaxPlaced
  /\ placed' = placed + 1
  /\ CASE c.kind = "open" -> ExecuteOpen(c)
       [] c.kind = "do"   -> ExecuteDo(c)
       [] c.kind = "have" -> ExecuteHave(c)
  /\ UNCHANGED <<sent, client>>

Sweep ==
  /\ sweeps < MaxSweeps
  /\ sweeps' = sweeps + 1
  /\ session' = IF session # NoSession /\ session.used + Idle < sweeps + 1 THEN NoSession
                ELSE session
  /\ UNCHANGED <<effects, answers, placed, sent, client>>

\* A replica that starts from a snapshot.
Restore ==
  /\ ~Saved
  /\ session' = NoSession /\ sweeps' = 0
  /\ UNCHANGED <<effects, answers, placed, sent, client>>

Next ==
  \/ SendOpen \/ SendDo \/ GiveUp \/ Sweep \/ Restore
  \/ \E o \in 0..MaxSweeps : Opened(o)
  \/ \E n \in 1..Requests : SendHave(n)
  \/ \E c \in sent : Execute(c)

-----------------------------------------------------------------------------
Once == \A o \in 0..MaxSweeps : \A n \in Numbers : effects[o][n] <= 1
\* Who is told that it is done, or was, can count on it.
Told == \A a \in answers : a[1].kind = "do" /\ a[2] \in {Done, Forgotten}
                             => effects[a[1].opening][a[1].n] = 1
\* Whose order is to be kept: none took effect before an earlier one.
InOrder ==
  Kept => \A o \in 0..MaxSweeps : \A n \in Numbers : \A m \in 0..(n - 1) :
            effects[o][n] > 0 => effects[o][m] > 0
=============================================================================
