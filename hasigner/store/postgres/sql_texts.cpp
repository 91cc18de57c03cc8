#include "hasigner/store/postgres/sql_texts.hpp"

#include <array>
#include <string_view>

#include "hasigner/duty/assert.hpp"

namespace hasigner::postgres {

namespace {

using std::string;

/// The times of rows of ours, whatever time zone the session has. Statements that ask for one moment only, so that an
/// index can serve the comparison, use kUtcStatementTime.
const string kUtcNow = "(clock_timestamp() at time zone 'UTC')";
const string kUtcStatementTime = "(statement_timestamp() at time zone 'UTC')";

/// Raises synchronous_commit to at least `on` until this transaction's end, and never lowers it: `remote_apply` stays.
/// A statement takes its rows from here too, so it is done before there is anything to commit.
const string kDurably =
    "durably as materialized (select set_config('synchronous_commit', case when current_setting('synchronous_commit') "
    "in ('off', "
    "'local', 'remote_write') then 'on' else current_setting('synchronous_commit') end, true))";

/// Bounds this statement's waits for locks, before it asks for the first.
string lock_timeout(const string& parameter) {
  return "patience as materialized (select set_config('lock_timeout', " + parameter + "::text, true))";
}

/// The elements of a batch as rows `k`, in the order of the arrays, which is the order in which locks are taken. The
/// arrays are scalar subqueries, because the planner then does not know how many elements they have, and plans for few:
/// the plan is the same for every size of batch.
string batch(std::initializer_list<std::pair<string, string>> more) {
  string arrays =
      "(select $1::text[]), (select $2::text[]), (select $3::bigint[]), (select $4::text[]), (select $5::int[])";
  string names = "rollup, validator, slot, duty_type, block_index";
  int parameter = 5;
  for (const auto& [name, type] : more) {
    arrays += ", (select $" + std::to_string(++parameter) + "::" + type + "[])";
    names += ", " + name;
  }
  return "unnest(" + arrays + ") with ordinality as k (" + names + ", ord)";
}

const string kSameDuty =
    "d.rollup_address = k.rollup and d.validator_address = k.validator and d.slot = k.slot and d.duty_type = "
    "k.duty_type";
const string kWholeKey = kSameDuty + " and d.block_index_within_checkpoint = k.block_index";

/// A block proposal with another block index is another duty. Any other type has one duty a slot, whatever index a
/// foreign client wrote; so there the whole range is looked at.
const string kDutyAndItsIndexes = kSameDuty +
                                  " and d.block_index_within_checkpoint between "
                                  "case k.duty_type when 'BLOCK_PROPOSAL' then k.block_index else -2147483648 end and "
                                  "case k.duty_type when 'BLOCK_PROPOSAL' then k.block_index else 2147483647 end";

/// Word for word the condition of the index ha_signer_letter_case.
const string kWrittenInUpperCase =
    "(d.rollup_address <> lower(d.rollup_address) or d.validator_address <> lower(d.validator_address))";

const string kWatermarkOfKey =
    "w.rollup_address = k.rollup and w.validator_address = k.validator and w.duty_type = k.duty_type";

/// Ours by its looks: 16 hex digits of the incarnation, 2 of the kind, 14 random. Whether it is ours, the registry
/// says.
string token_kind_is(const string& kinds) {
  return "length(d.lock_token) = 32 and substr(d.lock_token, 17, 2) in (" + kinds + ")";
}
const string kOfThisIncarnation = "substr(d.lock_token, 1, 16) = n.incarnation";
const string kOfFormerIncarnation = "substr(d.lock_token, 1, 16) = any (n.former)";
const string kRegistered =
    "exists (select from ha_signer_nodes n where n.node_id = d.node_id and length(d.lock_token) = 32 and (" +
    kOfThisIncarnation + " or " + kOfFormerIncarnation + "))";
const string kLeaseRunOut = "exists (select from ha_signer_nodes n where n.node_id = d.node_id and ((" +
                            kOfThisIncarnation + " and n.lease_until <= clock_timestamp()) or " + kOfFormerIncarnation +
                            "))";

string older_than(const string& parameter) {
  return "d.started_at <= " + kUtcStatementTime + " - " + parameter + "::bigint * interval '1 millisecond'";
}

string utc_text(const string& column) {
  return "to_char(" + column + ", 'YYYY-MM-DD HH24:MI:SS.US')";
}
string utc_text_of_instant(const string& column) {
  return utc_text(column + " at time zone 'UTC'");
}

string claim(int version) {
  const string more_columns = string(version >= 2 ? ", checkpoint_number" : "") + (version >= 3 ? ", expires_at" : "");
  const string more_values = string(version >= 2 ? ", k.checkpoint_number" : "") +
                             (version >= 3 ? ", " + kUtcNow + " + make_interval(hours => $11::int)" : "");
  // Below version 3 the parameter must still have a type.
  const string unused = version >= 3 ? "" : " where $11::int is null or true";
  return "with " + lock_timeout("$12") +
         " insert into validator_duties (rollup_address, validator_address, slot, duty_type, "
         "block_index_within_checkpoint, "
         "block_number, message_hash, lock_token, node_id, status, started_at" +
         more_columns +
         ") select k.rollup, k.validator, k.slot, k.duty_type, k.block_index, k.block_number, k.message_hash, "
         "k.lock_token, $10::text, "
         "'signing', " +
         kUtcNow + more_values + " from patience cross join " +
         batch({{"block_number", "bigint"},
                {"checkpoint_number", "bigint"},
                {"message_hash", "text"},
                {"lock_token", "text"}}) +
         unused + " order by k.ord on conflict do nothing";
}

/// Rows under the duty's own key and under foreign block indexes come in one lookup; who reads them tells them apart.
/// Rows in another letter case come once for each slot of the batch, and are matched by who reads them, since one slot
/// can have as many of them as the batch has duties.
string look() {
  const string columns =
      "d.block_index_within_checkpoint, d.status, d.message_hash, d.signature, d.node_id, d.lock_token";
  return "select k.ord, w.low_slot, w.high_slot, " + columns + ", case when d.status = 'signing' and " +
         token_kind_is("'00'") + " then (select case when " + kOfThisIncarnation +
         " then case when n.lease_until > clock_timestamp() then 'alive' else 'expired' end when " +
         kOfFormerIncarnation +
         " then 'expired' end from ha_signer_nodes n where n.node_id = d.node_id) end, null::text, null::text, "
         "null::bigint, null::text "
         "from " +
         batch({}) + " left join lateral (select w.low_slot, w.high_slot from ha_signer_watermarks w where " +
         kWatermarkOfKey + " offset 0) w on true left join lateral (select " + columns +
         " from validator_duties d where " + kDutyAndItsIndexes +
         " offset 0) d on true union all select null, null, null, " + columns +
         ", null, d.rollup_address, d.validator_address, d.slot, d.duty_type from (select distinct s.slot from "
         "unnest((select "
         "$3::bigint[])) as s (slot)) s cross join lateral (select d.rollup_address, d.validator_address, d.slot, "
         "d.duty_type, " +
         columns + " from validator_duties d where d.slot = s.slot and " + kWrittenInUpperCase + " offset 0) d";
}

/// What a statement does to the rows of a batch, each under a condition of its own.
struct Gate {
  string elements;   ///< of the batch
  string condition;  ///< on the row `d` and the element `k`
  string watermark;  ///< empty: none is asked
  string carried;    ///< columns of `k` that the change needs
};

const string kForbiddingWatermark =
    " left join lateral (select true as forbids from ha_signer_watermarks w where " + kWatermarkOfKey +
    " and (w.low_slot >= k.slot or w.high_slot < k.slot) offset 0) w on true where w.forbids is null";

/// Locks the rows that meet the condition, in the order of the batch, and leaves out those that someone else has
/// locked.
///
/// The change that follows finds them by their place (ctid), which no join can do in any other way than one by one, and
/// which costs next to nothing. Where a row was changed by someone else after this statement's snapshot, the lock is on
/// its new version, whose place the snapshot does not show: then the row is left alone, as if it had been locked. That
/// is why whoever misses a row in the answer asks would_be_let_through() before he believes that it did not match, and
/// why nothing here may wait for a lock.
string locked_rows(const Gate& gate) {
  return "locked as materialized (select d.place, k.ord" + gate.carried + " from " + gate.elements +
         " cross join lateral (select d.ctid as place from validator_duties d where " + kWholeKey + " and " +
         gate.condition + " limit 1 for update skip locked) d" + gate.watermark + ")";
}

/// The same condition on what is committed, without a lock.
string would_be_let_through(const Gate& gate) {
  return "select k.ord from " + gate.elements + " cross join lateral (select from validator_duties d where " +
         kWholeKey + " and " + gate.condition + " limit 1) d" + gate.watermark;
}

Gate record_gate() {
  return {.elements = batch({{"lock_token", "text"}, {"message_hash", "text"}, {"signature", "text"}}),
          .condition =
              "d.lock_token = k.lock_token and (k.message_hash is null or lower(d.message_hash) = k.message_hash) and "
              "(d.status = "
              "'signing' or lower(d.signature) = k.signature)",
          .watermark = kForbiddingWatermark,
          .carried = ", k.signature"};
}

/// A repetition writes the row again, though nothing in it changes: only then does its commit wait for replication
/// again.
string record() {
  return "with " + kDurably + ", " + locked_rows(record_gate()) +
         " update validator_duties v set status = 'signed', signature = l.signature, completed_at = case v.status when "
         "'signed' then "
         "v.completed_at else greatest(" +
         kUtcNow + ", v.started_at) end from durably cross join locked l where v.ctid = l.place returning l.ord";
}

Gate take_over_gate() {
  return {
      .elements = batch({{"message_hash", "text"}, {"seen", "text"}, {"lock_token", "text"}}),
      .condition =
          "d.status = 'signing' and d.lock_token in (k.seen, k.lock_token) and lower(d.message_hash) = k.message_hash",
      .watermark = "",
      .carried = ", k.lock_token"};
}

string take_over() {
  return "with " + locked_rows(take_over_gate()) +
         " update validator_duties v set node_id = $9::text, lock_token = l.lock_token, "
         "started_at = " +
         kUtcNow + " from locked l where v.ctid = l.place returning l.ord";
}

/// That the holder's lease has run out is asked here again, by the store's clock.
Gate replace_gate() {
  return {
      .elements =
          "unnest((select $1::text[]), (select $2::text[]), (select $3::bigint[]), (select $4::text[]), (select "
          "$5::int[]), (select $6::text[]), (select $7::text[]), (select $8::text[]), (select $10::bigint[]), (select "
          "$11::bigint[])) with ordinality as k (rollup, validator, slot, duty_type, block_index, message_hash, seen, "
          "lock_token, block_number, checkpoint_number, ord)",
      .condition =
          "d.status = 'signing' and ((d.lock_token = k.lock_token and lower(d.message_hash) = k.message_hash) or "
          "(d.lock_token = k.seen and " +
          token_kind_is("'00'") + " and " + kLeaseRunOut + "))",
      .watermark = "",
      .carried = ", k.lock_token, k.message_hash, k.block_number, k.checkpoint_number"};
}

string replace(int version) {
  return "with " + locked_rows(replace_gate()) +
         " update validator_duties v set node_id = $9::text, lock_token = l.lock_token, started_at = " + kUtcNow +
         ", message_hash = l.message_hash, block_number = l.block_number" +
         (version >= 2 ? ", checkpoint_number = l.checkpoint_number" : "") +
         " from locked l where v.ctid = l.place returning l.ord";
}

/// The plain reads take every parameter of their namesakes, so that one list serves both.
string with_node_id(string text) {
  return text + " where $9::text is not null";
}

Gate release_gate() {
  return {.elements = batch({{"lock_token", "text"}}),
          .condition = "d.lock_token = k.lock_token and d.status = 'signing'",
          .watermark = "",
          .carried = ""};
}

string release() {
  return "with " + locked_rows(release_gate()) +
         " delete from validator_duties v using locked l where v.ctid = l.place returning l.ord";
}

string in_ms(const string& parameter) {
  return parameter + "::bigint * interval '1 millisecond'";
}

/// Earlier incarnations are remembered so that their rows are known for ours; the oldest are forgotten, and what might
/// still be theirs counts as foreign then.
string enlist() {
  return "insert into ha_signer_nodes as n (node_id, incarnation, registered_at, heartbeat_at, lease_until) values "
         "($1::text, $2::text, "
         "clock_timestamp(), clock_timestamp(), clock_timestamp() + " +
         in_ms("$3") +
         ") on conflict (node_id) do update set former = case n.incarnation when excluded.incarnation then n.former "
         "else "
         "(array_remove(n.former, excluded.incarnation) || n.incarnation)[greatest(1, "
         "cardinality(array_remove(n.former, "
         "excluded.incarnation)) - 254):] end, incarnation = excluded.incarnation, registered_at = clock_timestamp(), "
         "heartbeat_at = "
         "clock_timestamp(), lease_until = clock_timestamp() + " +
         in_ms("$3") + " where n.lease_until <= clock_timestamp() or n.incarnation = excluded.incarnation returning 1";
}

/// Chooses a chunk by `from` and deletes it by the rows' places.
string remove_chosen(const string& chosen) {
  return "with " + chosen + " delete from validator_duties v where v.ctid = any (array (select c.place from chosen c))";
}

string chosen_rows(const string& from, const string& where, const string& limit) {
  return "(select d.ctid as place from " + from + " where " + where + " order by d.started_at limit " + limit +
         "::bigint for update of d skip locked)";
}

// The node id is compared in another collation than its index has: only then does every planner find these rows by way
// of (status, started_at), where few are, and not among everything that the node ever signed.
const string kOfThisNode = "d.node_id collate \"C\" = $1::text collate \"C\"";
const string kAbandonedFrom = "ha_signer_nodes n, validator_duties d";
const string kAbandoned = "n.node_id = $1::text and d.status = 'signing' and " + kOfThisNode + " and " +
                          token_kind_is("'00'") + " and " + kOfFormerIncarnation + " and not " + kOfThisIncarnation;
string stuck(const string& age) {
  return "n.node_id = $1::text and d.status = 'signing' and " + older_than(age) + " and " + kOfThisNode + " and " +
         token_kind_is("'00'") + " and (" + kOfThisIncarnation + " or " + kOfFormerIncarnation + ")";
}
string old_signed(const string& age) {
  return "d.status = 'signed' and " + older_than(age);
}
string old_signing(const string& age) {
  return "d.status = 'signing' and " + older_than(age) + " and " + token_kind_is("'00'") + " and " + kRegistered;
}
const string kExpired = "d.status = 'signed' and d.expires_at <= " + kUtcStatementTime;

/// Jumps from rollup to rollup in the primary key, so that the rows of the own rollup, nearly all, are not read.
const string kRollups =
    "recursive rollups (rollup) as ((select d.rollup_address from validator_duties d order by d.rollup_address limit "
    "1) union all select "
    "(select d.rollup_address from validator_duties d where d.rollup_address > r.rollup order by d.rollup_address "
    "limit 1) from rollups r "
    "where r.rollup is not null)";
string of_other_rollup(const string& age) {
  return "d.rollup_address = r.rollup and " + old_signed(age);
}
string other_rollups(const string& own) {
  return "rollups r where r.rollup is not null and lower(r.rollup) <> " + own + "::text";
}

string remove_old() {
  return "with signed_rows as materialized " + chosen_rows("validator_duties d", old_signed("$2"), "$1") +
         ", signing_rows as materialized " + chosen_rows("validator_duties d", old_signing("$2"), "$1") +
         " delete from validator_duties v where v.ctid = any (array (select c.place from (select place from "
         "signed_rows union all select place "
         "from signing_rows) c limit $1::bigint))";
}

string remove_other_rollups() {
  return "with " + kRollups + ", chosen as materialized (select d.place from (select r.rollup from " +
         other_rollups("$3") + ") r cross join lateral (select d.ctid as place from validator_duties d where " +
         of_other_rollup("$2") +
         " limit $1::bigint for update skip locked) d limit $1::bigint) delete from validator_duties v where v.ctid = "
         "any (array (select "
         "c.place from chosen c))";
}

string count_where(const string& from, const string& where) {
  return "select count(*) from " + from + " where " + where;
}

/// Whole rows as text, in the order of DutyColumn.
string duty_columns(int version) {
  return "d.rollup_address, d.validator_address, d.slot, d.block_number, " +
         string(version >= 2 ? "d.checkpoint_number" : "0::bigint") +
         ", d.block_index_within_checkpoint, d.duty_type, d.status, d.message_hash, d.signature, d.node_id, "
         "d.lock_token, " +
         utc_text("d.started_at") + ", " + utc_text("d.completed_at") + ", " +
         (version >= 3 ? utc_text("d.expires_at") : "null::text");
}

/// Jumps from validator to validator in the primary key and takes the newest slots of each: there is no index on the
/// slot alone.
string duties(int version) {
  return "with recursive pairs (rollup, validator) as ((select d.rollup_address, d.validator_address from "
         "validator_duties d order by "
         "d.rollup_address, d.validator_address limit 1) union all select d.rollup_address, d.validator_address from "
         "pairs p cross join "
         "lateral (select d.rollup_address, d.validator_address from validator_duties d where (d.rollup_address, "
         "d.validator_address) > "
         "(p.rollup, p.validator) order by d.rollup_address, d.validator_address limit 1) d) select " +
         duty_columns(version) +
         " from pairs p cross join lateral (select * from validator_duties d where d.rollup_address = p.rollup and "
         "d.validator_address = "
         "p.validator and d.slot >= coalesce($3::bigint, -9223372036854775808) and d.slot <= coalesce($4::bigint, "
         "9223372036854775807) and "
         "($5::text is null or d.duty_type = $5::text) and ($6::text is null or d.status = $6::text) and ($7::text is "
         "null or d.node_id = "
         "$7::text) order by d.slot desc limit $8::bigint) d where ($1::text is null or lower(p.rollup) = $1::text) "
         "and ($2::text is null "
         "or lower(p.validator) = $2::text) and ($7::text is null or exists (select from validator_duties e where "
         "e.node_id = $7::text)) "
         "order by d.slot desc, d.rollup_address, d.validator_address, d.duty_type, d.block_index_within_checkpoint "
         "limit $8::bigint";
}

string duties_being_signed(int version) {
  return "select " + duty_columns(version) +
         " from validator_duties d where d.status = 'signing' and $6::text is not null and ($1::text is null or "
         "lower(d.rollup_address) = "
         "$1::text) and ($2::text is null or lower(d.validator_address) = $2::text) and d.slot + 0 >= "
         "coalesce($3::bigint, "
         "-9223372036854775808) and d.slot + 0 <= coalesce($4::bigint, 9223372036854775807) and ($5::text is null or "
         "d.duty_type = "
         "$5::text) and ($7::text is null or d.node_id collate \"C\" = $7::text collate \"C\") order by d.slot desc, "
         "d.rollup_address, "
         "d.validator_address, d.duty_type, d.block_index_within_checkpoint limit $8::bigint";
}

const string kWatermarkColumns = "w.rollup_address, w.validator_address, w.duty_type, w.low_slot, w.high_slot, " +
                                 utc_text_of_instant("w.updated_at");

string export_history(int version) {
  return "select " + duty_columns(version) +
         ", null, null, null, null::bigint, null::bigint, null from validator_duties d union all select "
         "null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, " +
         kWatermarkColumns + " from ha_signer_watermarks w";
}

const string kImported =
    "unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::text[], $8::text[], "
    "$9::text[], $10::text[], "
    "$11::text[], $12::text[], $13::timestamp[], $14::timestamp[], $15::timestamp[]) with ordinality as k (rollup, "
    "validator, slot, "
    "block_number, checkpoint_number, block_index, duty_type, status, message_hash, signature, node_id, lock_token, "
    "started_at, completed_at, "
    "expires_at, ord)";

/// The rows that speak of the same duty as an element: the one under its very key; where there is none, those under
/// another letter case of it or a foreign block index.
const string kImportedAndThere =
    "imported as materialized (select k.*, d.status as own_status, d.message_hash as own_hash from " + kImported +
    " left join lateral (select d.status, d.message_hash from validator_duties d where " + kWholeKey +
    " limit 1) d on true), others as materialized (select k.ord, d.message_hash from imported k cross join lateral "
    "(select d.message_hash "
    "from validator_duties d where d.rollup_address = lower(k.rollup) and d.validator_address = lower(k.validator) and "
    "d.slot = k.slot and "
    "d.duty_type = k.duty_type and (d.block_index_within_checkpoint = k.block_index or k.duty_type <> "
    "'BLOCK_PROPOSAL') offset 0) d where "
    "k.own_hash is null union all select k.ord, d.message_hash from imported k cross join lateral (select "
    "d.message_hash from "
    "validator_duties d where d.slot = k.slot and " +
    kWrittenInUpperCase +
    " and lower(d.rollup_address) = lower(k.rollup) and lower(d.validator_address) = lower(k.validator) and "
    "d.duty_type = k.duty_type and "
    "(d.block_index_within_checkpoint = k.block_index or k.duty_type <> 'BLOCK_PROPOSAL') offset 0) d where k.own_hash "
    "is null), conflicts as "
    "materialized (select k.ord, k.own_hash as message_hash from imported k where lower(k.own_hash) <> "
    "lower(k.message_hash) union select "
    "k.ord, o.message_hash from imported k join others o on o.ord = k.ord where lower(o.message_hash) <> "
    "lower(k.message_hash))";

/// One statement, so all or nothing. Two things make it fail as a whole instead of half succeeding when an attempt
/// comes in between: a row inserted meanwhile (unique_violation), a row changed meanwhile (division_by_zero). Ask again
/// then.
string import_history(int version) {
  const string more_columns = string(version >= 2 ? ", checkpoint_number" : "") + (version >= 3 ? ", expires_at" : "");
  const string more_values =
      string(version >= 2 ? ", k.checkpoint_number" : "") + (version >= 3 ? ", k.expires_at" : "");
  const string more_set = string(version >= 2 ? ", checkpoint_number = k.checkpoint_number" : "") +
                          (version >= 3 ? ", expires_at = k.expires_at" : "");
  return "with " + kDurably + ", " + kImportedAndThere +
         ", inserted as (insert into validator_duties (rollup_address, validator_address, slot, block_number, "
         "block_index_within_checkpoint, duty_type, status, message_hash, signature, node_id, lock_token, started_at, "
         "completed_at" +
         more_columns +
         ") select k.rollup, k.validator, k.slot, k.block_number, k.block_index, k.duty_type, k.status, "
         "k.message_hash, k.signature, "
         "k.node_id, k.lock_token, k.started_at, k.completed_at" +
         more_values +
         " from durably cross join imported k where k.own_hash is null and not exists (select from conflicts) order by "
         "k.ord returning 1), "
         "changed as (update validator_duties d set status = k.status, signature = k.signature, node_id = k.node_id, "
         "lock_token = "
         "k.lock_token, started_at = k.started_at, completed_at = k.completed_at, block_number = k.block_number" +
         more_set + " from imported k where " + kWholeKey +
         " and k.own_status = 'signing' and k.status = 'signed' and d.status = 'signing' and lower(d.message_hash) = "
         "lower(k.message_hash) and not exists (select from conflicts) returning 1), raised as (insert into "
         "ha_signer_watermarks as w "
         "(rollup_address, validator_address, duty_type, low_slot, high_slot, updated_at) select lower(m.rollup), "
         "lower(m.validator), "
         "m.duty_type, max(m.low), min(m.high), statement_timestamp() from unnest($16::text[], $17::text[], "
         "$18::text[], $19::bigint[], "
         "$20::bigint[]) as m (rollup, validator, duty_type, low, high) where not exists (select from conflicts) group "
         "by 1, 2, 3 order by "
         "1, 2, 3 on conflict (rollup_address, validator_address, duty_type) do update set low_slot = "
         "greatest(w.low_slot, "
         "excluded.low_slot), high_slot = least(w.high_slot, excluded.high_slot), updated_at = excluded.updated_at "
         "where "
         "(greatest(w.low_slot, excluded.low_slot), least(w.high_slot, excluded.high_slot)) is distinct from "
         "(w.low_slot, w.high_slot) "
         "returning 1) select i.n, c.n, f.n, 1 / (f.n > 0 or c.n = e.n)::int from (select count(*) as n from inserted) "
         "i, (select count(*) as "
         "n from changed) c, (select count(*) as n from conflicts) f, (select count(*) as n from imported k where "
         "k.own_status = 'signing' "
         "and k.status = 'signed') e";
}

SqlTexts texts_of(int version) {
  SqlTexts texts;
  texts.claim = claim(version);
  texts.look = look();
  texts.take_over = take_over();
  texts.replace = replace(version);
  texts.record = record();
  texts.release = release();
  texts.would_take_over = with_node_id(would_be_let_through(take_over_gate()));
  texts.would_replace = with_node_id(would_be_let_through(replace_gate()));
  texts.would_record = would_be_let_through(record_gate());
  texts.would_release = would_be_let_through(release_gate());

  texts.enlist = enlist();
  texts.holder =
      "select n.incarnation, extract(epoch from n.heartbeat_at), greatest(0, ceil(extract(epoch from n.lease_until - "
      "clock_timestamp()) * "
      "1000))::bigint from ha_signer_nodes n where n.node_id = $1::text";
  texts.renew = "update ha_signer_nodes n set heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + " +
                in_ms("$3") + " where n.node_id = $1::text and n.incarnation = $2::text returning 1";
  texts.retire =
      "update ha_signer_nodes n set lease_until = least(n.lease_until, clock_timestamp()) where n.node_id = $1::text "
      "and n.incarnation = "
      "$2::text";
  texts.witness = "with " + kDurably +
                  " update ha_signer_nodes n set witnessed_at = clock_timestamp() from durably where n.node_id = "
                  "$1::text returning 1";

  texts.remove_abandoned = remove_chosen("chosen as materialized " + chosen_rows(kAbandonedFrom, kAbandoned, "$2"));
  texts.remove_stuck = remove_chosen("chosen as materialized " + chosen_rows(kAbandonedFrom, stuck("$3"), "$2"));
  texts.remove_old = remove_old();
  if (version >= 3)
    texts.remove_expired = remove_chosen("chosen as materialized " + chosen_rows("validator_duties d", kExpired, "$1"));
  texts.remove_other_rollups = remove_other_rollups();
  texts.foreign_rows = "select 1 from validator_duties d where d.status in ('signing', 'signed') and d.started_at > " +
                       kUtcStatementTime + " - make_interval(hours => $1::int) and d.started_at <= coalesce(" +
                       kUtcStatementTime + " - make_interval(hours => $2::int), 'infinity') and not " + kRegistered +
                       " limit 1";

  texts.count_abandoned = count_where(kAbandonedFrom, kAbandoned);
  texts.count_stuck = count_where(kAbandonedFrom, stuck("$2"));
  texts.count_old = "select (" + count_where("validator_duties d", old_signed("$1")) + ") + (" +
                    count_where("validator_duties d", old_signing("$1")) + ")";
  if (version >= 3) texts.count_expired = count_where("validator_duties d", kExpired);
  texts.count_other_rollups =
      "with " + kRollups + " select coalesce(sum(d.n), 0) from (select r.rollup from " + other_rollups("$2") +
      ") r cross join lateral (select count(*) as n from validator_duties d where " + of_other_rollup("$1") + ") d";

  texts.duties = duties(version);
  texts.duties_being_signed = duties_being_signed(version);
  texts.nodes = "select n.node_id, n.incarnation, " + utc_text_of_instant("n.heartbeat_at") +
                ", n.lease_until > clock_timestamp(), cardinality(n.former) from ha_signer_nodes n order by n.node_id";
  texts.watermarks = "select " + kWatermarkColumns + " from ha_signer_watermarks w order by 1, 2, 3";
  texts.set_watermark =
      "with " + lock_timeout("$6") + ", " + kDurably +
      " select ha_signer_set_watermark($1::text, $2::text, $3::text, $4::bigint, $5::bigint) from patience, durably";
  texts.export_history = export_history(version);
  texts.import_conflicts =
      "with " + kImportedAndThere + " select c.ord, c.message_hash from conflicts c order by c.ord";
  texts.import_history = import_history(version);
  return texts;
}

}  // namespace

const SqlTexts& sql_texts(int schema_version) {
  static const std::array<SqlTexts, kNewestSchemaVersion> kTexts = {texts_of(1), texts_of(2), texts_of(3)};
  HASIGNER_ASSERT(schema_version >= kOldestSchemaVersion && schema_version <= kNewestSchemaVersion);
  return kTexts[static_cast<std::size_t>(schema_version - 1)];
}

}  // namespace hasigner::postgres
