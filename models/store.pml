/* The store: the row of one duty, the low watermark, and every statement that changes or reads them.
   Source: docs/protocol.md, sections 2, 3 and 5; hasigner/store/postgres/sql/.
   A statement is atomic. A claim is two: an insert, then a look by a later snapshot. */

/* ---- Lock tokens: kind, number within the attempt, attempt. The attempt tells node, incarnation and message. */

#define FENCED 0
#define TAKEN_OVER 1
#define HANDED_OUT 2
#define FOREIGN 3
#define TOKEN(a, kind, number) ((a) | ((number) << 3) | ((kind) << 4))
#define ATTEMPT_OF(token) ((token) & 7)
#define KIND_OF(token) (((token) >> 4) & 3)
#define NO_TOKEN 255

/* What an attempt may put into a row. */
#define CLAIM_TOKEN(a) TOKEN(a, (attempt[a].purpose == For_caller -> HANDED_OUT : FENCED), 0)
#define REPLACEMENT_TOKEN(a) TOKEN(a, (attempt[a].purpose == For_caller -> HANDED_OUT : FENCED), 1)
#define TAKEOVER_TOKEN(a) TOKEN(a, TAKEN_OVER, 0)

#define PEER_TOKEN(number) TOKEN(7, FOREIGN, number)
#define IS_PEERS(token) (ATTEMPT_OF(token) == 7)
#define MESSAGE_OF(token) attempt[ATTEMPT_OF(token)].message

/* ---- The tables. A duty has one row or none. */

mtype:status = { no_row, signing, signed };

typedef Row {
  mtype:status status;
  bit message;
  byte token
}
Row row;
bit low_watermark;      /* the low watermark covers the slot of the duty */
#ifdef NODES
byte life[NODES];       /* the incarnation that is registered under each node id */
bit lease_over[NODES];  /* the lease of that incarnation has run out, by the store's clock */
#define IS_FORMER(a) (attempt[a].life != life[attempt[a].node])
#define LEASE_RUNS(a) (!IS_FORMER(a) && !lease_over[attempt[a].node])
#define LEASE_IS_OVER(a) !LEASE_RUNS(a)
#else
/* Without nodes each attempt is one of any node and incarnation, and each question about a lease may be answered either way. */
#define IS_FORMER(a) false
#define LEASE_RUNS(a) true
#define LEASE_IS_OVER(a) true
#endif

/* How the holder of the row stands: alive, expired, or unfenced. */
#define MAY_BE_REPLACED(token) (KIND_OF(token) == FENCED || (MUT_TAKEN_OVER_REPLACED && KIND_OF(token) == TAKEN_OVER) || \
                                (MUT_HANDED_OUT_REPLACED && KIND_OF(token) == HANDED_OUT))
#define IS_EXPIRED(token) ((MAY_BE_REPLACED(token) && LEASE_IS_OVER(ATTEMPT_OF(token))) || (MUT_FOREIGN_REPLACED && IS_PEERS(token)))
#ifdef NODES
#define IS_NOT_EXPIRED(token) !IS_EXPIRED(token)
#else
#define IS_NOT_EXPIRED(token) true
#endif

inline delete_row() {
  row.status = no_row;
  row.message = 0;
  row.token = NO_TOKEN
}

/* ---- What survives a crash of the server. Its log is one sequence: a crash takes back all that is younger than some
        commit, and nothing that was confirmed durably. */

#ifdef STORE_CRASHES
Row durable_row;
bit durable_watermark;
bit cut_off;  /* a commit whose wait for disk or standby was cut off: visible, and not durable */

inline reach_the_disk() {
  durable_row.status = row.status;
  durable_row.message = row.message;
  durable_row.token = row.token;
  durable_watermark = low_watermark
}
inline make_durable() {
  if
  :: cut_off || LOSES_COMMITS
  :: else -> reach_the_disk()
  fi
}
inline crash_store() {
  row.status = durable_row.status;
  row.message = durable_row.message;
  row.token = durable_row.token;
  /* After a restore, or a failover that may have lost commits, a person sets the watermark before any node signs. A failover guard,
     once there is one, belongs here: in the place of that person. */
  low_watermark = durable_watermark || WATERMARK_AFTER_CRASH
}
#else
inline make_durable() { skip }
#endif

/* ---- The statements of an attempt. What is asked, and the answer, are forgotten in the same step. */

mtype:action request;
byte asked, seen;  /* the token of the attempt; the token that it has seen in the row */
#define ASK(Request, Token, Seen) request = Request; asked = Token; seen = Seen
#define FORGET_REQUEST request = 0; asked = 0; seen = 0; outcome = 0

mtype:outcome = { Applied, Not_matched };
mtype:outcome outcome;

/* claim.sql. Only what is handed out must outlive a crash: its caller may sign without a record. */
inline insert_claim() {
  if
  :: row.status == no_row -> row.status = signing; row.message = MESSAGE_OF(asked); row.token = asked
  :: else
  fi;
  if
  :: KIND_OF(asked) == HANDED_OUT && row.token == asked && !MUT_HANDED_OUT_NOT_DURABLE -> make_durable()
  :: else
  fi
}

#if MUT_SIGNED_CLAIM_BY_FIRST_SNAPSHOT
#define WATERMARK_OF_SIGNED_CLAIM attempt[ATTEMPT_OF(asked)].snapshot
#else
#define WATERMARK_OF_SIGNED_CLAIM low_watermark
#endif
/* ha_signer_claim_signed(): everything is asked by a snapshot that is later than the insert. */
inline insert_signed_claim() {
  if
  :: (row.status == no_row || (row.status == signed && (row.token == asked || MUT_SIGNED_CLAIM_TAKES_ANY_ROW_FOR_ITS_OWN))) &&
     (!WATERMARK_OF_SIGNED_CLAIM || MUT_SIGNED_CLAIM_WITHOUT_WATERMARK) && LEASE_RUNS(ATTEMPT_OF(asked)) ->
     if
     :: row.status == no_row -> row.status = signed; row.message = MESSAGE_OF(asked); row.token = asked; note_recorded()
     :: else
     fi;
     make_durable();
     outcome = Applied
  :: else -> outcome = Not_matched
  fi
}

/* take_over.sql: compare-and-set on the token that was seen, and on the hash. */
inline take_over_row() {
  if
  :: row.status == signing && (row.token == seen || row.token == asked) &&
     (row.message == MESSAGE_OF(asked) || MUT_OTHER_DATA_TAKEN_OVER) ->
     row.token = asked; row.message = MESSAGE_OF(asked);
     make_durable();
     outcome = Applied
  :: else -> outcome = Not_matched
  fi
}

/* replace.sql: compare-and-set on the token that was seen; asks again that the holder's lease has run out. */
inline replace_row() {
  if
  :: row.status == signing && (row.token == asked || (row.token == seen && IS_EXPIRED(row.token))) ->
     row.token = asked; row.message = MESSAGE_OF(asked);
     if
     :: MUT_HANDED_OUT_NOT_DURABLE
     :: else -> make_durable()
     fi;
     outcome = Applied
  :: else -> outcome = Not_matched
  fi
}

/* record.sql: token, hash, status, watermarks. A signed row under this token holds this very signature. */
inline record_row() {
  if
  :: ((row.status != no_row && row.token == asked && row.message == MESSAGE_OF(asked)) ||
      (MUT_RECORD_WITHOUT_FENCE && row.status == signing)) &&
     (!low_watermark || MUT_RECORD_WITHOUT_WATERMARK) ->
     row.status = signed;
     note_recorded();
     if
     :: MUT_RECORD_NOT_DURABLE
     :: else -> make_durable()
     fi;
     outcome = Applied
  :: else -> outcome = Not_matched
  fi
}

/* release.sql */
inline release_row() {
  if
  :: row.status == signing && row.token == asked ->
     delete_row();
     outcome = Applied
  :: else -> outcome = Not_matched
  fi
}

/* confirm_stored.sql: reads the other's row again, in a statement that writes our own durably. */
#define STORED_IS_CONFIRMED(a) (row.status == signed && row.message == attempt[a].message && !low_watermark)

/* ---- What others do */

/* Retention, or a person. The trigger raises the low watermark in the same transaction. */
inline delete_signed_row() {
  delete_row();
  if
  :: MUT_RETENTION_WITHOUT_WATERMARK
  :: else -> low_watermark = 1
  fi
}

/* What clean-up (abandoned, stuck, old) may delete. Ages are not modelled: at any time. */
#define MAY_BE_CLEANED_UP (row.status == signing && \
  (KIND_OF(row.token) == FENCED || (MUT_TAKEN_OVER_CLEANED_UP && KIND_OF(row.token) == TAKEN_OVER) || \
   (MUT_HANDED_OUT_CLEANED_UP && KIND_OF(row.token) == HANDED_OUT)))
