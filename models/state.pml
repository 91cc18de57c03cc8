/* The values of which an attempt is made. Source: hasigner/protection/attempt/state.hpp; the names are those of docs/protocol.md. */

mtype:state = { New, Queued, Signing_first, Awaiting_lease, Claiming, Claiming_signed, Looking, Waiting, Taking_over,
                Backing_off, Confirming_stored, Signing, Recording, Record_backing_off, Inspecting, Releasing, Unsettled, Done };
mtype:event = { Begun, Turn_came, Lease_held, Lease_refused, Lease_not_renewed, Signature_made, Signing_failed,
                Claim_answered, Signed_claim_answered, View_answered, Takeover_answered, Record_answered, Stored_confirmed, Release_answered,
                Store_failed, In_flight_ended, Delivered, Time_up, Stopped };
mtype:action = { nothing, join_queue, ensure_lease, await_heartbeat, sign, send_claim, send_signed_claim, send_look, send_takeover,
                 send_record, confirm_stored, send_release, await_in_flight, pause, finish, end };
mtype:purpose = { To_sign, To_sign_first, For_caller };
mtype:presence = { Absent, In_flight, Present };               /* of a trace */
mtype:hand = { Nothing_signed, Signed_first, Signed_and_lost };
mtype:next = { Claim, Signed_claim, Take_over, Replace, Look };
mtype:answer = { No_answer, Signature, Held_token, Let_out, Unavailable, In_doubt, Refused };

typedef Attempt {
  mtype:purpose purpose;
#ifdef NODES
  byte node;
  byte life;                        /* the incarnation of its node that runs it */
#endif
  bit message;
  mtype:state state = New;
  mtype:action action = nothing;    /* the attempt waits for the answer to it */
  mtype:next next;                  /* what is sent when the lease is held, or the pause is over */
  byte token;                       /* of the row that it holds, or wants to take over or replace */
  mtype:hand hand = Nothing_signed;
  bit doubt;                        /* a record got no answer */
  bit may_be_signed;                /* a signed claim got no answer */
  bit inserted;                     /* the insert of the claim is done, its look is not */
  mtype:presence claim = Absent;             /* traces */
  mtype:presence replacement = Absent;
  bit takeover;
  bit replaced;                     /* for a caller: its replacement was applied */
  bit claim_is_next, replacement_is_next;  /* traces that this round of releases has not come to */
  bit releases_claim;               /* the trace that is being released: the claim, or the replacement */
  bit behind;                       /* releases behind the answer */
  mtype:answer answer = No_answer;
#if MUT_SIGNED_CLAIM_BY_FIRST_SNAPSHOT
  bit snapshot;                     /* of the watermark, when the signed claim was sent */
#endif
  bit peer_time_out_over            /* the peer signing time-out has passed; asked only in the calm */
}
Attempt attempt[ATTEMPTS];
#define A attempt[a]
