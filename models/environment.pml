/* What is around the attempts: nodes, the store's server, clean-up, retention, people, and the published node. */

#ifdef NODES
/* The process is killed; what it has sent may still arrive, now or late. */
inline kill_attempt(a) {
  if
  :: A.action == send_claim && !A.inserted -> ASK(send_claim, CLAIM_TOKEN(a), NO_TOKEN); lose()
  :: A.action == send_signed_claim -> ASK(send_signed_claim, CLAIM_TOKEN(a), NO_TOKEN); lose()
  :: A.action == send_takeover -> ASK(send_takeover, TAKEOVER_OR_REPLACEMENT, A.token); lose()
  :: A.action == send_record -> ASK(send_record, A.token, NO_TOKEN); lose()
  :: A.action == send_release -> ASK(send_release, RELEASED_TOKEN, NO_TOKEN); lose()
  :: else
  fi;
  if
  :: A.state != Done || A.action != end -> A.answer = No_answer
  :: else
  fi;
  A.state = Done; A.action = end;
  forget_attempt(a)
}
inline kill_process(n) {
  a = 0;
  do
  :: a < ATTEMPTS ->
     if
     :: A.state != New && A.node == n && A.life == life[n] -> kill_attempt(a)
     :: else
     fi;
     a++
  :: else -> break
  od;
  a = 0
}
#endif

/* ---- The published node (4.1.2). It claims, signs and records under its own token, asks no watermark, and returns its signature
        whether or not it still owns the row. */

#ifdef PEER
mtype:peer = { Peer_idle, Peer_signs, Peer_records, Peer_done };
mtype:peer peer = Peer_idle;
bit peer_message, peer_number;

proctype Published_node() {
  do
  :: atomic { peer == Peer_idle && row.status == no_row ->
       if
       :: peer_message = 0
       :: peer_message = 1
       fi;
       row.status = signing; row.message = peer_message; row.token = PEER_TOKEN(peer_number); make_durable();
       if
       :: peer = Peer_signs
       :: peer = Peer_done  /* the reply was lost, or the process was killed: the row stays */
       fi
     }
  :: atomic { peer == Peer_signs ->
       if
       :: peer = Peer_records
       :: peer = Peer_done  /* killed */
       :: if                /* signing failed: deletes its row */
          :: IN_ROW(PEER_TOKEN(peer_number)) -> delete_row()
          :: else
          fi;
          if
          :: peer_number == 0 -> peer_number = 1; peer = Peer_idle
          :: else -> peer = Peer_done
          fi
       fi
     }
  :: atomic { peer == Peer_records ->
       if
       :: IN_ROW(PEER_TOKEN(peer_number)) -> row.status = signed; make_durable()
       :: skip
       fi;
       peer = Peer_done;
       if
       :: let_out(peer_message)
       :: skip  /* killed */
       fi
     }
#ifdef PEER_CLEANS_UP
  /* Its sign function outlives its stuck-duty age: its own clean-up deletes its row. */
  :: atomic { peer == Peer_signs && IN_ROW(PEER_TOKEN(peer_number)) -> delete_row() }
#endif
#ifdef PEER_RETENTION
  :: atomic { row.status == signed -> delete_signed_row(); printf("the signed row is deleted\n") }
#endif
  od
}
#endif

/* ---- All else that happens, at any time */

#ifdef NODES
byte restarts;  /* so many processes were started in place of another */

proctype Node(byte n) {
  byte a;
  do
  /* A lease runs out: the node is dead, paused or cut off, or the clock jumps. A process that runs renews it. */
  :: d_step { !lease_over[n] && (!calm || down[n]) -> lease_over[n] = 1 }
  :: d_step { lease_over[n] && !down[n] -> lease_over[n] = 0 }
  /* The process is killed. */
  :: atomic { !calm && !down[n] && n < nodes_used -> kill_process(n); down[n] = 1; printf("node %d is killed\n", n) }
  /* A process is started in place of another, which was killed or only hangs: then both run. */
  :: d_step { !calm && restarts < RESTARTS && n < nodes_used -> restarts++; life[n]++; down[n] = 0; lease_over[n] = 0; printf("a process of node %d is started\n", n) }
  od
}
#endif

proctype Environment() {
#ifdef LIVENESS
  byte a;
#endif
  do
  /* Late requests arrive, or never. */
#if LATE > 0
  :: d_step { late[0].action != 0 -> ASK(late[0].action, late[0].token, late[0].seen); carry_out(); forget_late(0); printf("arrives late: request %d\n", request); SHOW_ROW; FORGET_REQUEST }
  :: d_step { late[0].action != 0 -> forget_late(0) }
#endif
#if LATE > 1
  :: d_step { late[1].action != 0 -> ASK(late[1].action, late[1].token, late[1].seen); carry_out(); forget_late(1); printf("arrives late: request %d\n", request); SHOW_ROW; FORGET_REQUEST }
  :: d_step { late[1].action != 0 -> forget_late(1) }
#endif
  /* Clean-up: abandoned, stuck, old. In the calm it comes too late to count. */
  :: d_step { !calm && MAY_BE_CLEANED_UP -> delete_row(); printf("clean-up deletes the row\n") }
  /* Retention, or a person, deletes the signed row; ours waits while rows of published nodes are recent. */
#if !defined(PEER) || defined(RETENTION_BESIDE_PEER)
  :: d_step { !calm && row.status == signed -> delete_signed_row(); printf("the signed row is deleted\n") }
#endif
#ifdef WATERMARK_BY_HAND
  /* A person raises the low watermark. */
  :: d_step { !calm && !low_watermark -> low_watermark = 1; printf("a person raises the watermark\n") }
#endif
#ifdef STORE_CRASHES
  /* What was committed reaches the disk sooner or later. */
  :: d_step { reach_the_disk() }
  :: d_step { !calm -> crash_store(); printf("the server crashes\n"); SHOW_ROW }
#endif
#ifdef LIVENESS
  :: d_step { !calm -> become_calm(); printf("from now on nothing fails\n") }
#endif
  od
}
