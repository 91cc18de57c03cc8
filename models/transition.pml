/* The attempt: the table of docs/protocol.md ("The machine"). Each STEP is a line of that table; table_test.py compares them.
   Source: hasigner/protection/attempt/transition.cpp and decide.cpp.
   What an attempt does by itself happens at the moment of the answer that it follows from: no other attempt can see the difference.
   Times are not modelled: the end of a pause, a time-out and the deadline may come at any moment. */

/* One line of the table: the attempt is in this state and is told this event. The test of the table defines TABLE, and finds the
   lines as they are written. */
#ifndef TABLE
#define STEP(State, Event, Next, Action) \
  assert(A.state == State && event == Event); A.state = Next; A.action = Action; REACHED(State, Event, Next, Action); \
  printf("attempt %d, message %d: ", a, A.message); SAY(State, Event, Next, Action); SHOW_ROW
#endif
#ifdef COVERAGE
#define REACHED(State, Event, Next, Action) \
  c_code { static int reached; if (!reached) { reached = 1; printf("reached STEP(" #State ", " #Event ", " #Next ", " #Action ")\n"); } }
#else
#define REACHED(State, Event, Next, Action) skip
#endif
/* What a counterexample shows. */
#define SAY(...) printf(#__VA_ARGS__); printf("\n")
#define SHOW_ROW printf("        row: status %d (1 signed, 2 signing, 3 none), message %d, token kind %d of attempt %d; watermark %d\n", \
                        row.status, row.message, KIND_OF(row.token), ATTEMPT_OF(row.token), low_watermark)
mtype:event event;

/* What may happen: an option of a choice. FAILURE: a request fails, signing fails, the deadline passes or the signer stops. ALSO: what
   leads to no other states of the model than another option does, so that only the table needs it. */
#define MAY_FAIL (!calm)
#define OPTION(...) :: d_step { __VA_ARGS__ }
#define FAILURE(guard, ...) :: d_step { MAY_FAIL && (guard) -> __VA_ARGS__ }
#ifdef EVERY_EVENT
#define ALSO(guard, ...) :: d_step { MAY_FAIL && (guard) -> __VA_ARGS__ }
#else
#define ALSO(...)
#endif

/* ---- Traces. The code tells a row that was seen from a request without an answer, and forgets the first when it is gone. Here both are
        present: then a release is sent once more, and matches nothing. */

#define IN_ROW(t) (row.status == signing && row.token == (t))
#define IS_OURS \
  (row.status == signing && row.message == A.message && \
   (row.token == CLAIM_TOKEN(a) || (A.replacement != Absent && row.token == REPLACEMENT_TOKEN(a)) || \
    (A.takeover && row.token == TAKEOVER_TOKEN(a))))

/* Of no consequence where releases are left to clean-up. */
#define NOTE(trace, Presence) trace = (RELEASES -> Presence : Absent)
#define NOTE_CLAIM_THAT_STANDS A.claim = (IN_ROW(CLAIM_TOKEN(a)) && RELEASES -> Present : A.claim)

/* ---- Refusing: what may stand is released first, one trace after the other. Claims and replacements are released; a takeover of the
        same data stays, and so does what may be signed. */

#define BEGIN_ROUND A.claim_is_next = (A.claim != Absent); A.replacement_is_next = (A.replacement != Absent)
#define ROUND_IS_OVER (!A.claim_is_next && !A.replacement_is_next)
/* A request that is in flight comes last. */
#define CLAIM_COMES_NEXT (A.claim_is_next && !(A.claim == In_flight && A.replacement_is_next))
#define NEXT_IS_IN_FLIGHT (CLAIM_COMES_NEXT -> A.claim == In_flight : A.replacement == In_flight)
#define CHOOSE_TRACE \
  A.releases_claim = CLAIM_COMES_NEXT; \
  if \
  :: A.releases_claim -> A.claim_is_next = 0 \
  :: else -> A.replacement_is_next = 0 \
  fi
#define RELEASED_TOKEN (A.releases_claim -> CLAIM_TOKEN(a) : REPLACEMENT_TOKEN(a))

#define FORGET_PURSUIT \
  A.token = NO_TOKEN; A.next = 0; A.hand = Nothing_signed; A.doubt = 0; A.may_be_signed = 0; A.takeover = 0; \
  A.replaced = 0; A.peer_time_out_over = 0
#if RELEASES
#define RELEASE_OR_AWAIT(State, Event) \
  if \
  :: NEXT_IS_IN_FLIGHT -> CHOOSE_TRACE; STEP(State, Event, Releasing, await_in_flight) \
  :: else -> CHOOSE_TRACE; STEP(State, Event, Releasing, send_release) \
  fi
#else
#define RELEASE_OR_AWAIT(State, Event) A.claim_is_next = 0; A.replacement_is_next = 0; STEP(State, Event, Done, finish)
#endif

#define REFUSE(State, Event) \
  if \
  :: MUT_TAKEOVER_RELEASED && A.takeover && IN_ROW(TAKEOVER_TOKEN(a)) -> delete_row() \
  :: else \
  fi; \
  FORGET_PURSUIT; BEGIN_ROUND; \
  if \
  :: ROUND_IS_OVER || MUT_NOTHING_RELEASED || !RELEASES -> \
     A.claim_is_next = 0; A.replacement_is_next = 0; STEP(State, Event, Done, finish) \
  :: else -> CHOOSE_TRACE; STEP(State, Event, Releasing, send_release) \
  fi
#define REFUSED(State, Event) A.answer = Refused; REFUSE(State, Event)

/* No answer in time, or stopped. While a request that writes *signed* has no answer, nothing can be called unavailable. */
#define UNLESS_IN_DOUBT (A.doubt || A.may_be_signed || !RELEASES -> Refused : Unavailable)
#define GIVE_UP(State, Event) A.answer = UNLESS_IN_DOUBT; REFUSE(State, Event)
#define GIVE_UP_IN_FLIGHT(State, Event) A.answer = UNLESS_IN_DOUBT; FORGET_PURSUIT; BEGIN_ROUND; RELEASE_OR_AWAIT(State, Event)
/* The same for an attempt that holds the duty: while its record is in doubt the row stays. */
#define GIVE_UP_RECORD(State, Event) \
  if \
  :: A.doubt || A.may_be_signed -> IN_DOUBT(State, Event) \
  :: else -> GIVE_UP(State, Event) \
  fi
#define IN_DOUBT(State, Event) A.answer = In_doubt; STEP(State, Event, Done, finish)

/* ---- Following what the store found: decide() */

#define FORBIDDEN low_watermark
#define IS_HELD_BY_ANOTHER (row.status == signing && !IS_OURS)
#define IS_SAME_DATA (row.message == A.message)
#define MAY_REPLACE (IS_HELD_BY_ANOTHER && IS_EXPIRED(row.token) && !MUT_NOTHING_REPLACED)
#define MAY_NOT_REPLACE (IS_HELD_BY_ANOTHER && (IS_NOT_EXPIRED(row.token) || MUT_NOTHING_REPLACED))
#define MAY_TAKE_OVER (IS_SAME_DATA || MUT_OTHER_DATA_TAKEN_OVER)
/* The peer signing time-out: before the calm it has passed or not at any moment. */
#ifdef LIVENESS
#define PEER_TIME_OUT_IS_OVER (A.peer_time_out_over || !calm)
#define PEER_TIME_OUT_LASTS (!A.peer_time_out_over || !calm)
#else
#define PEER_TIME_OUT_IS_OVER true
#define PEER_TIME_OUT_LASTS true
#endif

#define PURSUE(State, Event, Next) A.next = Next; STEP(State, Event, Awaiting_lease, ensure_lease)
#define PURSUE_ROW(State, Event, Next) A.token = row.token; PURSUE(State, Event, Next)
#define RECLAIM(State, Event) PURSUE(State, Event, Claim)
#define PAUSE_AND_RECLAIM(State, Event) A.next = Claim; STEP(State, Event, Backing_off, pause)

#define WON_WITH_SIGNATURE(State, Event) A.token = row.token; STEP(State, Event, Recording, send_record)
/* For a caller a row that was only read is not won: the request that wrote it is repeated. */
#define WON(State, Event, Is_confirmed) \
  A.token = row.token; \
  if \
  :: A.purpose == For_caller && (Is_confirmed) -> A.answer = Held_token; STEP(State, Event, Done, finish) \
  :: A.purpose == For_caller && !(Is_confirmed) -> \
     A.next = (row.token == CLAIM_TOKEN(a) -> Claim : (row.token == REPLACEMENT_TOKEN(a) -> Replace : Take_over)); \
     STEP(State, Event, Awaiting_lease, ensure_lease) \
  :: A.purpose != For_caller && A.hand == Nothing_signed -> STEP(State, Event, Signing, sign) \
  :: A.purpose != For_caller && A.hand != Nothing_signed -> STEP(State, Event, Recording, send_record) \
  fi

#define FOUND_SIGNED(State, Event) \
  if \
  :: IS_SAME_DATA && !low_watermark && MUT_STORED_NOT_CONFIRMED -> A.answer = Signature; REFUSE(State, Event) \
  :: IS_SAME_DATA && !low_watermark && !MUT_STORED_NOT_CONFIRMED -> STEP(State, Event, Confirming_stored, confirm_stored) \
  :: else -> REFUSED(State, Event) \
  fi

#define FOLLOW(State, Event, If_won, If_no_row) \
  d_step { NOTE_CLAIM_THAT_STANDS; A.token = NO_TOKEN }; \
  if \
  OPTION(row.status == signed -> FOUND_SIGNED(State, Event)) \
  OPTION(row.status != signed && FORBIDDEN -> REFUSED(State, Event)) \
  OPTION(IS_OURS && !FORBIDDEN -> If_won) \
  OPTION(row.status == no_row && !FORBIDDEN -> If_no_row) \
  OPTION(MAY_REPLACE && !FORBIDDEN -> PURSUE_ROW(State, Event, Replace)) \
  OPTION(MAY_NOT_REPLACE && MAY_TAKE_OVER && !FORBIDDEN && (A.hand != Nothing_signed || PEER_TIME_OUT_IS_OVER) -> \
         PURSUE_ROW(State, Event, Take_over)) \
  OPTION(MAY_NOT_REPLACE && !FORBIDDEN && PEER_TIME_OUT_LASTS && !(IS_SAME_DATA && A.hand != Nothing_signed) -> \
         A.token = row.token; STEP(State, Event, Waiting, pause)) \
  OPTION(MAY_NOT_REPLACE && !MAY_TAKE_OVER && !FORBIDDEN && PEER_TIME_OUT_IS_OVER -> REFUSED(State, Event)) \
  fi; \
  A.peer_time_out_over = 0

/* After a record that matched nothing. The signature is made: where the row is gone, or another attempt holds it for the same data, it
   becomes ours again by the rules of claim and takeover. */
#define STILL_HELD IN_ROW(A.token)
#define INSPECT(State, Event) \
  if \
  OPTION((STILL_HELD && FORBIDDEN) || (row.status != no_row && !IS_SAME_DATA) -> REFUSED(State, Event)) \
  OPTION(STILL_HELD && !FORBIDDEN && IS_SAME_DATA -> STEP(State, Event, Record_backing_off, pause)) \
  FAILURE(STILL_HELD && !FORBIDDEN && IS_SAME_DATA, GIVE_UP_RECORD(State, Event)) \
  :: row.status == no_row || (!STILL_HELD && IS_SAME_DATA) -> \
     d_step { NOTE_CLAIM_THAT_STANDS; A.token = NO_TOKEN }; \
     if \
     OPTION(row.status == no_row && MUT_LOST_LOCK_NOT_REGAINED -> REFUSED(State, Event)) \
     OPTION(row.status == no_row && !MUT_LOST_LOCK_NOT_REGAINED -> RECLAIM(State, Event)) \
     OPTION(row.status == signed -> FOUND_SIGNED(State, Event)) \
     OPTION(row.status == signing && FORBIDDEN -> REFUSED(State, Event)) \
     OPTION(IS_OURS && !FORBIDDEN -> WON_WITH_SIGNATURE(State, Event)) \
     OPTION(MAY_REPLACE && !FORBIDDEN -> PURSUE_ROW(State, Event, Replace)) \
     OPTION(MAY_NOT_REPLACE && !FORBIDDEN -> PURSUE_ROW(State, Event, Take_over)) \
     fi \
  fi

/* ---- Takeover and replacement */

#define TAKEOVER_OR_REPLACEMENT (A.next == Take_over -> TAKEOVER_TOKEN(a) : REPLACEMENT_TOKEN(a))

/* A takeover or replacement was applied. */
#define HELD(State, Event) \
  if \
  :: A.purpose == For_caller -> A.answer = Held_token; STEP(State, Event, Done, finish) \
  :: A.purpose != For_caller && A.hand == Nothing_signed -> STEP(State, Event, Signing, sign) \
  :: A.purpose != For_caller && A.hand != Nothing_signed -> STEP(State, Event, Recording, send_record) \
  fi

/* ---- Releasing */

/* Too many attempts go on behind their answers, or the stuck-duty age has passed. Then the row stays until clean-up takes it, and liveness
   does not promise more. */
#ifdef LIVENESS
#define LEFT_TO_CLEAN_UP(...)
#else
#define LEFT_TO_CLEAN_UP(...) FAILURE(__VA_ARGS__)
#endif
/* What is not settled is released again behind the answer, unless too many attempts go on like that. */
#define NEXT_RELEASE(Event) \
  if \
  OPTION(!ROUND_IS_OVER -> RELEASE_OR_AWAIT(Releasing, Event)) \
  OPTION(ROUND_IS_OVER && !A.behind -> STEP(Releasing, Event, Unsettled, finish)) \
  LEFT_TO_CLEAN_UP(ROUND_IS_OVER && !A.behind, STEP(Releasing, Event, Done, finish)) \
  OPTION(ROUND_IS_OVER && A.behind -> STEP(Releasing, Event, Unsettled, pause)) \
  fi
#define NEXT_RELEASE_IF_SETTLED(Event) \
  if \
  OPTION(ROUND_IS_OVER && A.claim == Absent && A.replacement == Absent && !A.behind -> STEP(Releasing, Event, Done, finish)) \
  OPTION(ROUND_IS_OVER && A.claim == Absent && A.replacement == Absent && A.behind -> STEP(Releasing, Event, Done, end); forget_attempt(a)) \
  :: else -> NEXT_RELEASE(Event) \
  fi

/* ---- Steps that do not ask the store. */

#define QUEUED \
  OPTION(A.action == join_queue && TURN_HAS_COME(a) -> event = Turn_came; \
         if \
         :: A.purpose == To_sign_first -> STEP(Queued, Turn_came, Signing_first, sign) \
         :: else -> RECLAIM(Queued, Turn_came) \
         fi) \
  ALSO(A.action == join_queue && TURN_HAS_COME(a), event = Turn_came; A.answer = Unavailable; STEP(Queued, Turn_came, Done, finish)) \
  ALSO(A.action == join_queue, event = Time_up; A.answer = Refused; STEP(Queued, Time_up, Done, finish)) \
  ALSO(A.action == join_queue, event = Stopped; A.answer = Refused; STEP(Queued, Stopped, Done, finish))
#if MUT_SIGNED_CLAIM_BY_FIRST_SNAPSHOT
#define NOTE_SNAPSHOT A.snapshot = low_watermark
#else
#define NOTE_SNAPSHOT skip
#endif
#define HAS_LEASE_FOR(Next) (A.state == Awaiting_lease && A.next == Next && LEASE_RUNS(a))
#define AWAITING_LEASE \
  OPTION(HAS_LEASE_FOR(Claim) -> event = Lease_held; A.next = 0; STEP(Awaiting_lease, Lease_held, Claiming, send_claim)) \
  OPTION(HAS_LEASE_FOR(Signed_claim) -> event = Lease_held; A.next = 0; NOTE_SNAPSHOT; STEP(Awaiting_lease, Lease_held, Claiming_signed, send_signed_claim)) \
  OPTION(HAS_LEASE_FOR(Take_over) -> event = Lease_held; STEP(Awaiting_lease, Lease_held, Taking_over, send_takeover)) \
  OPTION(HAS_LEASE_FOR(Replace) -> event = Lease_held; STEP(Awaiting_lease, Lease_held, Taking_over, send_takeover)) \
  OPTION(A.state == Awaiting_lease && (MAY_FAIL || IS_FORMER(a)) -> event = Lease_refused; GIVE_UP(Awaiting_lease, Lease_refused)) \
  ALSO(A.action == ensure_lease, event = Lease_not_renewed; STEP(Awaiting_lease, Lease_not_renewed, Awaiting_lease, await_heartbeat)) \
  ALSO(A.state == Awaiting_lease, event = Lease_not_renewed; GIVE_UP(Awaiting_lease, Lease_not_renewed)) \
  ALSO(A.state == Awaiting_lease, event = Lease_held; GIVE_UP(Awaiting_lease, Lease_held)) \
  ALSO(A.state == Awaiting_lease, event = Time_up; GIVE_UP(Awaiting_lease, Time_up)) \
  ALSO(A.state == Awaiting_lease, event = Stopped; GIVE_UP(Awaiting_lease, Stopped))
#define WAITING \
  OPTION(A.state == Waiting && LOOKS_AGAIN(a) -> event = Time_up; A.token = NO_TOKEN; STEP(Waiting, Time_up, Looking, send_look)) \
  FAILURE(A.state == Waiting, event = Time_up; GIVE_UP(Waiting, Time_up)) \
  ALSO(A.state == Waiting, event = Stopped; GIVE_UP(Waiting, Stopped))

/* Several such steps are one, but those that others can see: the leases of nodes, the queue of a process, and waits that end. */
#ifdef NODES
#define SEEN_BY_OTHERS QUEUED AWAITING_LEASE WAITING
#define SEEN_BY_NONE
#else
#define SEEN_BY_OTHERS
#define SEEN_BY_NONE QUEUED AWAITING_LEASE WAITING
#endif

#define DELIVER \
  assert(!(A.answer == Unavailable && row.status == signed && ATTEMPT_OF(row.token) == a)); \
  if \
  :: A.state == Unsettled -> event = Delivered; A.behind = 1; STEP(Unsettled, Delivered, Unsettled, pause) \
  :: else -> A.action = end; forget_attempt(a) \
  fi

inline take_steps_between_requests() {
  do
  SEEN_BY_NONE
  /* ---- Signing */
  OPTION(A.state == Signing_first -> event = Signature_made; A.hand = Signed_first; PURSUE(Signing_first, Signature_made, Signed_claim))
  FAILURE(A.state == Signing_first, event = Signing_failed; A.answer = Refused; STEP(Signing_first, Signing_failed, Done, finish))
  ALSO(A.state == Signing_first, event = Signature_made; A.answer = Unavailable; STEP(Signing_first, Signature_made, Done, finish))
  ALSO(A.state == Signing_first, event = Time_up; A.answer = Refused; STEP(Signing_first, Time_up, Done, finish))
  ALSO(A.state == Signing_first, event = Stopped; A.answer = Refused; STEP(Signing_first, Stopped, Done, finish))
  OPTION(A.state == Signing -> event = Signature_made; A.hand = Signed_and_lost;
         if
         :: MUT_RELEASED_BEFORE_RECORD -> let_out(A.message)
         :: else
         fi;
         STEP(Signing, Signature_made, Recording, send_record))
  FAILURE(A.state == Signing, event = Signing_failed; REFUSED(Signing, Signing_failed))
  ALSO(A.state == Signing, event = Signature_made; GIVE_UP_RECORD(Signing, Signature_made))
  ALSO(A.state == Signing, event = Time_up; REFUSED(Signing, Time_up))
  ALSO(A.state == Signing, event = Stopped; REFUSED(Signing, Stopped))
  /* ---- Pauses */
  OPTION(A.state == Backing_off && A.next == Look -> event = Time_up; A.next = 0; STEP(Backing_off, Time_up, Looking, send_look))
  OPTION(A.state == Backing_off && A.next != Look -> event = Time_up; STEP(Backing_off, Time_up, Awaiting_lease, ensure_lease))
  FAILURE(A.state == Backing_off, event = Time_up; GIVE_UP(Backing_off, Time_up))
  ALSO(A.state == Backing_off, event = Stopped; GIVE_UP(Backing_off, Stopped))
  OPTION(A.state == Record_backing_off -> event = Time_up; STEP(Record_backing_off, Time_up, Recording, send_record))
  FAILURE(A.state == Record_backing_off, event = Time_up; GIVE_UP_RECORD(Record_backing_off, Time_up))
  ALSO(A.state == Record_backing_off, event = Stopped; GIVE_UP_RECORD(Record_backing_off, Stopped))
  /* ---- Answering without a signature */
  OPTION(A.action == finish && A.answer != Signature -> DELIVER)
  :: else -> break
  od
}
/* The attempt learns nothing. The request was carried out; or it arrives late; or it never arrives. */
inline lose() {
  if
  OPTION(carry_out(); printf("carried out without an answer: request %d, token %d of attempt %d\n", request, KIND_OF(asked), ATTEMPT_OF(asked)); SHOW_ROW)
#ifdef STORE_CRASHES
  OPTION(cut_off = 1; carry_out(); cut_off = 0)
#endif
  OPTION(CAN_BE_LATE -> send_late(); printf("will be late: request %d, token %d of attempt %d\n", request, KIND_OF(asked), ATTEMPT_OF(asked)))
  :: skip
  fi
}

proctype Attempt_runs(byte a) {
  do
  :: atomic {
       if
       :: A.state == New && MAY_BEGIN(a) -> begin(a); d_step { event = Begun; STEP(New, Begun, Queued, join_queue) }
       SEEN_BY_OTHERS
#ifdef LIVENESS
       :: calm && A.state == Waiting && !LOOKS_AGAIN(a) && timeout ->
          d_step { event = Time_up; A.token = NO_TOKEN; A.peer_time_out_over = 1; STEP(Waiting, Time_up, Looking, send_look) }
#endif

       /* ---- Claiming */
       :: A.action == send_claim && !A.inserted ->
          ASK(send_claim, CLAIM_TOKEN(a), NO_TOKEN);
          if
          OPTION(insert_claim(); A.inserted = 1)
          FAILURE(true, event = Claim_answered;  /* locked: our own row may be the locked one */
                  NOTE(A.claim, Present); A.next = Claim; STEP(Claiming, Claim_answered, Backing_off, pause))
          ALSO(true, event = Store_failed;       /* unavailable */
               A.next = Claim; STEP(Claiming, Store_failed, Backing_off, pause))
          :: MAY_FAIL -> lose();           /* in doubt, or incompatible */
             if
             OPTION(event = Store_failed; NOTE(A.claim, Present); A.next = Claim; STEP(Claiming, Store_failed, Backing_off, pause))
             ALSO(true, event = Store_failed; NOTE(A.claim, Present); A.answer = UNLESS_IN_DOUBT; FORGET_PURSUIT; BEGIN_ROUND; CHOOSE_TRACE;
                  STEP(Claiming, Store_failed, Releasing, send_release))
             OPTION(event = Time_up; NOTE(A.claim, In_flight); GIVE_UP_IN_FLIGHT(Claiming, Time_up))
             ALSO(true, event = Stopped; NOTE(A.claim, In_flight); GIVE_UP_IN_FLIGHT(Claiming, Stopped))
             fi
          fi
       :: A.action == send_claim && A.inserted ->
          if
          :: event = Claim_answered; A.inserted = 0;
             FOLLOW(Claiming, Claim_answered, WON(Claiming, Claim_answered, row.token == CLAIM_TOKEN(a)),
                    PAUSE_AND_RECLAIM(Claiming, Claim_answered))
          FAILURE(true, event = Store_failed; A.inserted = 0; NOTE(A.claim, Present); A.next = Claim; STEP(Claiming, Store_failed, Backing_off, pause))
          FAILURE(true, event = Time_up; A.inserted = 0; NOTE(A.claim, In_flight); GIVE_UP_IN_FLIGHT(Claiming, Time_up))
          fi
       :: A.action == send_signed_claim ->
          ASK(send_signed_claim, CLAIM_TOKEN(a), NO_TOKEN);
          if
          :: d_step { event = Signed_claim_answered; insert_signed_claim() };
             if
             OPTION(outcome == Applied -> A.answer = Signature; STEP(Claiming_signed, Signed_claim_answered, Done, finish))
             OPTION(outcome == Not_matched && row.status == signed && row.token == CLAIM_TOKEN(a) ->
                    A.doubt = RELEASES; A.token = CLAIM_TOKEN(a); STEP(Claiming_signed, Signed_claim_answered, Recording, send_record))
             :: outcome == Not_matched && !(row.status == signed && row.token == CLAIM_TOKEN(a)) ->
                FOLLOW(Claiming_signed, Signed_claim_answered, WON_WITH_SIGNATURE(Claiming_signed, Signed_claim_answered),
                       RECLAIM(Claiming_signed, Signed_claim_answered))
             fi
          ALSO(true, event = Signed_claim_answered;  /* locked */
               A.next = Signed_claim; STEP(Claiming_signed, Signed_claim_answered, Backing_off, pause))
          ALSO(true, event = Store_failed;           /* unavailable */
               A.next = Signed_claim; STEP(Claiming_signed, Store_failed, Backing_off, pause))
          :: MAY_FAIL -> lose();               /* in doubt, or incompatible */
             if
             OPTION(event = Store_failed; A.may_be_signed = RELEASES && !MUT_LOST_SIGNED_CLAIM_IS_UNAVAILABLE; A.next = Signed_claim;
                    STEP(Claiming_signed, Store_failed, Backing_off, pause))
             ALSO(true, event = Store_failed; IN_DOUBT(Claiming_signed, Store_failed))
             OPTION(event = Time_up; IN_DOUBT(Claiming_signed, Time_up))
             ALSO(true, event = Stopped; IN_DOUBT(Claiming_signed, Stopped))
             fi
          fi

       /* ---- Another attempt's row */
       :: A.state == Looking ->
          if
          :: event = View_answered;
             FOLLOW(Looking, View_answered, WON(Looking, View_answered, A.replaced && row.token == REPLACEMENT_TOKEN(a)),
                    RECLAIM(Looking, View_answered))
          ALSO(true, event = Store_failed; A.next = Look; STEP(Looking, Store_failed, Backing_off, pause))
          ALSO(true, event = Store_failed; GIVE_UP(Looking, Store_failed))
          FAILURE(true, event = Time_up; GIVE_UP(Looking, Time_up))
          ALSO(true, event = Stopped; GIVE_UP(Looking, Stopped))
          fi
       :: A.action == send_takeover ->
          ASK(send_takeover, TAKEOVER_OR_REPLACEMENT, A.token);
          if
          :: d_step { event = Takeover_answered; carry_out() };
             if
             OPTION(outcome == Applied && A.next == Take_over ->
                    A.takeover = 1; A.token = asked; A.next = 0; HELD(Taking_over, Takeover_answered))
             OPTION(outcome == Applied && A.next == Replace && A.purpose != For_caller ->
                    A.replacement = Present; A.token = asked; A.next = 0; HELD(Taking_over, Takeover_answered))
             OPTION(outcome == Applied && A.next == Replace && A.purpose == For_caller ->
                    A.replacement = Present; A.token = asked; A.next = 0;
                    A.replaced = 1; STEP(Taking_over, Takeover_answered, Looking, send_look))
             ALSO(outcome == Applied && A.purpose != For_caller && A.hand != Nothing_signed, if
                  :: A.next == Take_over -> A.takeover = 1
                  :: else -> A.replacement = Present
                  fi;
                  GIVE_UP_RECORD(Taking_over, Takeover_answered))
             OPTION(outcome == Not_matched -> A.token = NO_TOKEN; A.next = Look; STEP(Taking_over, Takeover_answered, Backing_off, pause))
             fi
          FAILURE(true, event = Takeover_answered;  /* locked */
                  A.token = NO_TOKEN; A.next = Look; STEP(Taking_over, Takeover_answered, Backing_off, pause))
          ALSO(true, event = Store_failed;          /* unavailable */
               A.token = NO_TOKEN; A.next = Look; STEP(Taking_over, Store_failed, Backing_off, pause))
          :: MAY_FAIL -> lose();
             if
             OPTION(A.next == Take_over -> event = Store_failed; A.takeover = 1;
                    A.token = NO_TOKEN; A.next = Look; STEP(Taking_over, Store_failed, Backing_off, pause))
             OPTION(A.next == Replace -> event = Store_failed; A.replacement = Present;
                    A.token = NO_TOKEN; A.next = Look; STEP(Taking_over, Store_failed, Backing_off, pause))
             OPTION(A.next == Replace -> event = Time_up; A.replacement = In_flight; GIVE_UP_IN_FLIGHT(Taking_over, Time_up))
             ALSO(A.next == Replace, event = Stopped; A.replacement = In_flight; GIVE_UP_IN_FLIGHT(Taking_over, Stopped))
             OPTION(A.next == Take_over -> event = Time_up; GIVE_UP(Taking_over, Time_up))
             ALSO(A.next == Take_over, event = Stopped; GIVE_UP(Taking_over, Stopped))
             fi
          fi
       :: A.action == confirm_stored ->
          if
          OPTION(event = Stored_confirmed; A.answer = Refused;
                 if
                 :: STORED_IS_CONFIRMED(a) -> make_durable(); A.answer = Signature
                 :: else
                 fi;
                 REFUSE(Confirming_stored, Stored_confirmed))
          ALSO(true, event = Store_failed; REFUSED(Confirming_stored, Store_failed))
          FAILURE(true, event = Time_up; REFUSED(Confirming_stored, Time_up))
          ALSO(true, event = Stopped; REFUSED(Confirming_stored, Stopped))
          fi

       /* ---- Recording */
       :: A.action == send_record ->
          ASK(send_record, A.token, NO_TOKEN);
          if
          OPTION(event = Record_answered; record_row();
                 if
                 :: outcome == Applied -> A.answer = Signature; STEP(Recording, Record_answered, Done, finish)
                 :: else -> STEP(Recording, Record_answered, Inspecting, send_look)
                 fi)
          FAILURE(true, event = Record_answered;  /* locked */
                  if
                  :: MUT_LOCKED_IS_CONFIRMED -> A.answer = Signature; STEP(Recording, Record_answered, Done, finish)
                  :: else -> STEP(Recording, Record_answered, Record_backing_off, pause)
                  fi)
          ALSO(true, event = Store_failed;        /* unavailable */
               STEP(Recording, Store_failed, Record_backing_off, pause))
          :: MAY_FAIL -> lose();            /* in doubt, or incompatible */
             if
             OPTION(event = Store_failed; A.doubt = RELEASES && !MUT_LOST_RECORD_IS_UNAVAILABLE; STEP(Recording, Store_failed, Record_backing_off, pause))
             ALSO(true, event = Store_failed; IN_DOUBT(Recording, Store_failed))
             OPTION(event = Time_up; IN_DOUBT(Recording, Time_up))
             ALSO(true, event = Stopped; IN_DOUBT(Recording, Stopped))
             fi
          fi
       :: A.state == Inspecting ->
          if
          :: event = View_answered; A.hand = Signed_and_lost; INSPECT(Inspecting, View_answered)
          ALSO(true, event = Store_failed; STEP(Inspecting, Store_failed, Record_backing_off, pause))
          ALSO(true, event = Store_failed; GIVE_UP_RECORD(Inspecting, Store_failed))
          FAILURE(true, event = Time_up; GIVE_UP_RECORD(Inspecting, Time_up))
          ALSO(true, event = Stopped; GIVE_UP_RECORD(Inspecting, Stopped))
          fi

       /* ---- Releasing */
       :: A.action == send_release ->
          ASK(send_release, RELEASED_TOKEN, NO_TOKEN);
          if
          :: d_step { event = Release_answered; release_row();
               if
               :: NONE_IS_LATE(RELEASED_TOKEN) || MUT_SETTLED_AT_ONCE ->
                  if
                  :: A.releases_claim -> A.claim = Absent
                  :: else -> A.replacement = Absent
                  fi
               :: else
               fi
             };
             NEXT_RELEASE_IF_SETTLED(Release_answered)
          :: MAY_FAIL -> event = Release_answered; NEXT_RELEASE(Release_answered)  /* locked */
          :: MAY_FAIL -> lose();
             if
             :: event = Time_up; NEXT_RELEASE(Time_up)
#ifdef EVERY_EVENT
             :: event = Store_failed; NEXT_RELEASE(Store_failed)
             :: event = Stopped; NEXT_RELEASE(Stopped)
#endif
             fi
          fi
       :: A.action == await_in_flight && (MAY_FAIL || NONE_IS_LATE(RELEASED_TOKEN)) ->
          if
          OPTION(NONE_IS_LATE(RELEASED_TOKEN) -> event = In_flight_ended;
                 if
                 :: A.releases_claim -> NOTE(A.claim, Present)
                 :: else -> A.replacement = Present
                 fi;
                 STEP(Releasing, In_flight_ended, Releasing, send_release))
          :: MAY_FAIL -> event = Time_up; NEXT_RELEASE(Time_up)
          fi
       :: A.state == Unsettled && A.action == pause && (MAY_FAIL || (NONE_IS_LATE(CLAIM_TOKEN(a)) && NONE_IS_LATE(REPLACEMENT_TOKEN(a)))) ->
          if
          OPTION(event = Time_up; BEGIN_ROUND; RELEASE_OR_AWAIT(Unsettled, Time_up))
          LEFT_TO_CLEAN_UP(true, event = Time_up; STEP(Unsettled, Time_up, Done, end); forget_attempt(a))
          LEFT_TO_CLEAN_UP(true, event = Stopped; STEP(Unsettled, Stopped, Done, end); forget_attempt(a))
          fi

       /* ---- Answering with a signature. The process may stop for any time between the confirmation and this. */
       OPTION(A.action == finish && A.answer == Signature -> release_signature(A.message); DELIVER)
#ifdef CALLER
       /* ---- The caller of the step API, who holds the token. It may let the signature out before it records. */
       OPTION(A.action == end && A.answer == Held_token -> let_out(A.message); A.answer = Let_out)
       OPTION(A.action == end && A.answer == Held_token && KIND_OF(A.token) != TAKEN_OVER ->
              ASK(send_release, A.token, NO_TOKEN); release_row(); A.answer = No_answer; A.token = NO_TOKEN)
       OPTION(A.action == end && (A.answer == Held_token || A.answer == Let_out) -> ASK(send_record, A.token, NO_TOKEN); record_row())
#endif
       fi;
       take_steps_between_requests();
       d_step { event = 0; FORGET_REQUEST }
     }
  od
}
