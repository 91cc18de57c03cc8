/* The protocol of docs/protocol.md: the nodes of a cluster, one duty, two messages, one store. README.md says how to read and run it. */

#include "mutations.pml"

/* ---- Bounds and options: -DNODES=3 and so on. README.md explains them. */

#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef LATE
#define LATE 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif

/* A store that loses even what it has confirmed; a person who then sets the watermark before any node signs. */
#ifndef LOSES_COMMITS
#define LOSES_COMMITS 0
#endif
#ifndef WATERMARK_AFTER_CRASH
#define WATERMARK_AFTER_CRASH 0
#endif

/* Whether attempts release their rows themselves. Otherwise they end at once: clean-up may delete at any time what they may release. */
#ifndef RELEASES
#define RELEASES 0
#endif

#ifdef LIVENESS
bit calm;     /* from now on nothing fails */
#else
#define calm false
#endif

#include "state.pml"
#include "store.pml"

/* ---- The rule */

bit released[2];   /* a signature of this message was let out */

/* A row becomes signed. "Unavailable" told the caller that it never would. */
inline note_recorded() {
  assert(attempt[ATTEMPT_OF(asked)].answer != Unavailable)
}
/* A signature leaves: at most one message for the duty. */
inline let_out(Which) {
  printf("a signature of message %d is let out\n", Which);
  assert(!released[1 - Which]);
  released[Which] = 1
}
/* A signature of an attempt leaves: it is recorded at this moment, or the watermark stands in the place of its row. */
inline release_signature(Which) {
  assert((row.status == signed && row.message == Which) || low_watermark);
  let_out(Which)
}

/* ---- Liveness: from some moment on nothing fails (calm). Then each attempt that a running node makes, or is making, ends; and the duty is
        signed, or it is behind the watermark, or an unfenced holder has left it *signing* for other data. */

#ifdef LIVENESS
#define KEEPS_DOUBT true
bit tried[2];  /* an attempt for this message was made by a node that runs, in the calm */

#define LAST(number) (ATTEMPTS > number -> number : 0)
#define HAS_ENDED(number) (attempt[number].state == New || (attempt[number].state == Done && attempt[number].action == end))
#define ALL_HAVE_ENDED (HAS_ENDED(0) && HAS_ENDED(LAST(1)) && HAS_ENDED(LAST(2)))

/* While the row is as it was, another look finds nothing new. */
#define LOOKS_AGAIN(a) (!calm || row.status != signing || row.token != A.token || low_watermark || \
   (IS_EXPIRED(row.token) && !MUT_NOTHING_REPLACED))
inline note_tried(a) {
  if
  :: calm -> tried[A.message] = 1
  :: else
  fi
}
/* An attempt that has lost its row before the calm is not counted where a row for other data may stand or come that nothing makes signed:
   then it fails. */
#define HAS_LOST_ITS_ROW \
  ((A.hand == Signed_and_lost || A.state == Recording || A.state == Inspecting) && !(row.status == signing && row.message == A.message))
#if LATE > 0
#define NOTHING_IS_LATE (late[0].action == 0)
#else
#define NOTHING_IS_LATE true
#endif
#define IS_ALONE \
  (row.status == no_row && NOTHING_IS_LATE && (HAS_ENDED(0) || a == 0) && (HAS_ENDED(LAST(1)) || a == LAST(1)) && \
   (HAS_ENDED(LAST(2)) || a == LAST(2)))
#define IS_AT_WORK \
  (A.state != New && A.state != Done && A.state != Releasing && A.state != Unsettled && A.state != Confirming_stored && \
   !down[A.node] && !IS_FORMER(a) && (!HAS_LOST_ITS_ROW || IS_ALONE))
inline become_calm() {
  calm = 1;
  a = 0;
  do
  :: a < ATTEMPTS ->
     if
     :: IS_AT_WORK -> tried[A.message] = 1
     :: else
     fi;
     a++
  :: else -> break
  od;
  a = 0
}
/* What may be left for other data: a row without a fence; a row whose attempt ended in doubt, until the stuck-duty age. */
#define IS_LEFT (KIND_OF(row.token) != FENCED || attempt[ATTEMPT_OF(row.token)].answer == In_doubt)
#define IS_DONE_FOR(Which) \
  (!tried[Which] || row.status == signed || low_watermark || (row.status == signing && row.message != Which && IS_LEFT))
#define WAITS(number) (attempt[number].state == Waiting)
proctype Judge() {
  /* Nothing more can happen, and no attempt waits for its time-out. */
  atomic { calm && timeout && !WAITS(0) && !WAITS(LAST(1)) && !WAITS(LAST(2)) ->
    assert(ALL_HAVE_ENDED);
    assert(IS_DONE_FOR(0) && IS_DONE_FOR(1))
  }
}
#else
#define LOOKS_AGAIN(a) true
#define KEEPS_DOUBT false
inline note_tried(a) { skip }
#endif

#include "requests.pml"
#include "transition.pml"
#include "environment.pml"

init {
  atomic {
    delete_row();
#ifdef STORE_CRASHES
    reach_the_disk();
#endif
    byte a = 0;
    do
    :: a < ATTEMPTS -> run Attempt_runs(a); a++
    :: else -> break
    od;
    a = 0;
#ifdef PEER
    run Published_node();
#endif
    a = 0;
#ifdef NODES
    do
    :: a < NODES -> run Node(a); a++
    :: else -> break
    od;
    a = 0;
#endif
#ifdef LIVENESS
    run Judge();
#endif
    run Environment()
  }
}
