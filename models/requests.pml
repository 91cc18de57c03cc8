/* How attempts begin and end, and requests that arrive late. */

/* ---- Requests that arrive late: after their attempt has stopped waiting, or after its process has died. */

#if LATE > 0
typedef Request {
  mtype:action action;
  byte token;
  byte seen
}
Request late[LATE];
#endif

/* A takeover's token tells which kind of takeover it is. */
inline carry_out() {
  if
  :: request == send_claim -> insert_claim()
  :: request == send_signed_claim -> insert_signed_claim()
  :: request == send_takeover && KIND_OF(asked) == TAKEN_OVER -> take_over_row()
  :: request == send_takeover && KIND_OF(asked) != TAKEN_OVER -> replace_row()
  :: request == send_record -> record_row()
  :: request == send_release -> release_row()
  fi
}
/* A late release does nothing that clean-up may not do at any time. */
#if LATE == 0
#define CAN_BE_LATE false
inline send_late() { skip }
#else
#define LATE_IS_FREE(i) (late[i].action == 0)
#if LATE > 1
#define CAN_BE_LATE (request != send_release && (LATE_IS_FREE(0) || LATE_IS_FREE(1)))
#define FREE_LATE (LATE_IS_FREE(0) -> 0 : 1)
#else
#define CAN_BE_LATE (request != send_release && LATE_IS_FREE(0))
#define FREE_LATE 0
#endif
inline send_late() {
  late[FREE_LATE].token = asked; late[FREE_LATE].seen = seen; late[FREE_LATE].action = request
}
inline forget_late(i) {
  late[i].action = 0;
  late[i].token = 0;
  late[i].seen = 0
}
/* No lost session of the server is at work for this token any more. */
#define IS_LATE(i, t) (late[i].action != 0 && late[i].token == (t))
#if LATE == 1
#define NONE_IS_LATE(t) (!IS_LATE(0, t))
#else
#define NONE_IS_LATE(t) (!IS_LATE(0, t) && !IS_LATE(1, t))
#endif
#endif
#if LATE == 0
#define NONE_IS_LATE(t) true
#endif

/* ---- Attempts begin and end. They are numbered in the order in which they begin, and so are the nodes: other numberings
        differ in nothing but names. The first attempt signs message 0, for the same reason. */

#ifdef NODES
byte nodes_used;
bit down[NODES];        /* no process of the registered incarnation runs */
#endif

#ifndef NODES
#define SOME_NODE_RUNS true
#elif NODES == 1
#define SOME_NODE_RUNS (!down[0])
#elif NODES == 2
#define SOME_NODE_RUNS (!down[0] || (!down[1] && nodes_used > 0))
#else
#define SOME_NODE_RUNS (!down[0] || (!down[1] && nodes_used > 0) || (!down[2] && nodes_used > 1))
#endif
#define MAY_BEGIN(a) ((a == 0 || attempt[PREVIOUS(a)].state != New) && SOME_NODE_RUNS)
#define PREVIOUS(a) (a == 0 -> 0 : a - 1)

inline begin(a) {
#ifdef NODES
  if
  :: !down[0] -> A.node = 0
#if NODES > 1
  :: nodes_used > 0 && !down[1] -> A.node = 1
#endif
#if NODES > 2
  :: nodes_used > 1 && !down[2] -> A.node = 2
#endif
  fi;
  if
  :: A.node == nodes_used -> nodes_used++
  :: else
  fi;
  A.life = life[A.node];
#endif
  if
  :: A.message = 0
  :: a > 0 -> A.message = 1
  fi;
  A.token = NO_TOKEN;
  if
#ifndef ONLY_ONE_TRIP
  :: A.purpose = To_sign
#endif
#ifdef ONE_TRIP
  :: A.purpose = To_sign_first
#endif
#ifdef CALLER
  :: A.purpose = For_caller
#endif
  fi;
  note_tried(a)
}

/* The duty queue of a process: earlier attempts have answered. */
#ifdef NODES
#define HAS_ANSWERED(b) (attempt[b].behind || (attempt[b].state == Done && attempt[b].action == end))
#define LETS_THROUGH(b, a) \
  (b >= a || attempt[b].node != attempt[a].node || attempt[b].life != attempt[a].life || HAS_ANSWERED(b))
#define TURN_HAS_COME(a) \
  (LETS_THROUGH(0, a) && LETS_THROUGH((ATTEMPTS > 1 -> 1 : 0), a) && LETS_THROUGH((ATTEMPTS > 2 -> 2 : 0), a))
#else
#define TURN_HAS_COME(a) true
#endif

/* What an attempt has learnt plays no part after its end. What its tokens tell stays. */
inline forget_attempt(a) {
  A.next = 0; A.hand = Nothing_signed; A.doubt = 0; A.may_be_signed = 0; A.inserted = 0;
  A.claim = Absent; A.replacement = Absent; A.takeover = 0;
  A.replaced = 0;
  A.claim_is_next = 0; A.replacement_is_next = 0; A.releases_claim = 0; A.behind = 0; A.peer_time_out_over = 0;
  if
  :: A.answer == Held_token
  :: A.answer == Unavailable || (KEEPS_DOUBT && A.answer == In_doubt) -> A.token = NO_TOKEN
  :: else -> A.answer = No_answer; A.token = NO_TOKEN
  fi
}
