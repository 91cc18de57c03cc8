/* The protocol of docs/protocol.md: the nodes of a cluster, one duty, two messages, one store. README.md says how to read and run it. */

#include "mutations.pml"
#define MUT_NOTHING_REPLACED 0
#define MUT_NOTHING_RELEASED 0
#define MUT_SETTLED_AT_ONCE 0
#define MUT_LOST_LOCK_NOT_REGAINED 0

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
  assert(!released[1 - Which]);
  released[Which] = 1
}
/* A signature of an attempt leaves: it is recorded at this moment, or the watermark stands in the place of its row. */
inline release_signature(Which) {
  assert((row.status == signed && row.message == Which) || low_watermark);
  let_out(Which)
}

#ifdef LIVENESS
#else
#define LOOKS_AGAIN(a) true
inline note_tried(a) { skip }
inline note_out_of_tokens() { skip }
#endif

#include "requests.pml"
#include "transition.pml"
#include "world.pml"

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
    run World()
  }
}
