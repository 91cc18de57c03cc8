/* Mutations. Each breaks one thing, and the configuration of `check` that stands first must find a counterexample to the claim that
   stands before the colon. */

/* two_step, rule broken: A record asks neither for the token nor for the message of the row. */
#ifndef MUT_RECORD_WITHOUT_FENCE
#define MUT_RECORD_WITHOUT_FENCE 0
#endif

/* two_step, rule broken: The deletion of a signed row raises no watermark. */
#ifndef MUT_RETENTION_WITHOUT_WATERMARK
#define MUT_RETENTION_WITHOUT_WATERMARK 0
#endif

/* two_step, rule broken: The signature is released when it is made, before the record is sent. */
#ifndef MUT_RELEASED_BEFORE_RECORD
#define MUT_RELEASED_BEFORE_RECORD 0
#endif

/* two_step, rule broken: A record that met a locked row counts as confirmed. */
#ifndef MUT_LOCKED_IS_CONFIRMED
#define MUT_LOCKED_IS_CONFIRMED 0
#endif

/* one_trip, rule broken: A signed claim does not ask for the watermark. */
#ifndef MUT_SIGNED_CLAIM_WITHOUT_WATERMARK
#define MUT_SIGNED_CLAIM_WITHOUT_WATERMARK 0
#endif

/* one_trip, rule broken: A signed claim is asked for the watermark by the snapshot of its insert, which may have waited for a deletion. */
#ifndef MUT_SIGNED_CLAIM_BY_FIRST_SNAPSHOT
#define MUT_SIGNED_CLAIM_BY_FIRST_SNAPSHOT 0
#endif

/* one_trip, rule broken: A repeated signed claim takes any signed row for its own, whatever its token and message. */
#ifndef MUT_SIGNED_CLAIM_TAKES_ANY_ROW_FOR_ITS_OWN
#define MUT_SIGNED_CLAIM_TAKES_ANY_ROW_FOR_ITS_OWN 0
#endif

/* one_trip_releases, untrue answer: A signed claim whose reply was lost counts as not written: the attempt answers "unavailable". */
#ifndef MUT_LOST_SIGNED_CLAIM_IS_UNAVAILABLE
#define MUT_LOST_SIGNED_CLAIM_IS_UNAVAILABLE 0
#endif

/* releases, untrue answer: A record whose reply was lost counts as not written: the attempt answers "unavailable". */
#ifndef MUT_LOST_RECORD_IS_UNAVAILABLE
#define MUT_LOST_RECORD_IS_UNAVAILABLE 0
#endif

/* published_peer, rule broken: A row of the published node is replaced with other data. */
#ifndef MUT_FOREIGN_REPLACED
#define MUT_FOREIGN_REPLACED 0
#endif

/* published_peer, rule broken: A taken-over row, which may have been the published node's, is replaced with other data. */
#ifndef MUT_TAKEN_OVER_REPLACED
#define MUT_TAKEN_OVER_REPLACED 0
#endif

/* published_peer, rule broken: Clean-up deletes taken-over rows when they are stuck. */
#ifndef MUT_TAKEN_OVER_CLEANED_UP
#define MUT_TAKEN_OVER_CLEANED_UP 0
#endif

/* published_peer, rule broken: An attempt that fails to sign releases the row that it has taken over. */
#ifndef MUT_TAKEOVER_RELEASED
#define MUT_TAKEOVER_RELEASED 0
#endif

/* published_peer, rule broken: A takeover compares the token that was seen, and not the data. */
#ifndef MUT_OTHER_DATA_TAKEN_OVER
#define MUT_OTHER_DATA_TAKEN_OVER 0
#endif

/* caller, rule broken: A row that was handed out to a caller of the step API is replaced with other data. */
#ifndef MUT_HANDED_OUT_REPLACED
#define MUT_HANDED_OUT_REPLACED 0
#endif

/* caller, rule broken: Clean-up deletes rows that were handed out when they are stuck. */
#ifndef MUT_HANDED_OUT_CLEANED_UP
#define MUT_HANDED_OUT_CLEANED_UP 0
#endif

/* caller_crashes, rule broken: A claim or replacement for a caller of the step API need not survive a crash of the server. */
#ifndef MUT_HANDED_OUT_NOT_DURABLE
#define MUT_HANDED_OUT_NOT_DURABLE 0
#endif

/* store_crashes, rule broken: A record need not survive a crash of the server. */
#ifndef MUT_RECORD_NOT_DURABLE
#define MUT_RECORD_NOT_DURABLE 0
#endif

/* store_crashes, rule broken: A stored signature is handed out as it was read, without a write of our own. */
#ifndef MUT_STORED_NOT_CONFIRMED
#define MUT_STORED_NOT_CONFIRMED 0
#endif

/* store_loses_commits_but_watermark, rule broken: A record does not ask for the watermark. */
#ifndef MUT_RECORD_WITHOUT_WATERMARK
#define MUT_RECORD_WITHOUT_WATERMARK 0
#endif

/* liveness_two_nodes, not signed: No row is replaced, even if its holder is dead. */
#ifndef MUT_NOTHING_REPLACED
#define MUT_NOTHING_REPLACED 0
#endif

/* liveness_two_nodes, not signed: A failed attempt leaves its row. */
#ifndef MUT_NOTHING_RELEASED
#define MUT_NOTHING_RELEASED 0
#endif

/* liveness, not signed: A release counts as settled although a lost claim may still arrive. */
#ifndef MUT_SETTLED_AT_ONCE
#define MUT_SETTLED_AT_ONCE 0
#endif

/* liveness, not signed: An attempt whose row is gone when it records does not claim again. */
#ifndef MUT_LOST_LOCK_NOT_REGAINED
#define MUT_LOST_LOCK_NOT_REGAINED 0
#endif
