#include "hasigner/store/postgres/sql_texts.hpp"

#include <array>
#include <initializer_list>
#include <map>
#include <string_view>
#include <vector>

#include "hasigner/duty/assert.hpp"

namespace hasigner::postgres {

namespace {

using std::string;
using Fragments = std::map<std::string_view, string>;

/// Puts fragments in the place of their names in braces, again and again as fragments may name others, and one space in
/// the place of a line break with its indentation.
string sql(std::string_view text, const Fragments& fragments) {
  string done;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') {
      i = std::min(text.find_first_not_of(" \n", i), text.size()) - 1;
      if (!done.empty() && i + 1 < text.size()) done += ' ';
    } else if (text[i] == '{') {
      const std::size_t end = text.find('}', i);
      HASIGNER_ASSERT(end != std::string_view::npos);
      const auto fragment = fragments.find(text.substr(i + 1, end - i - 1));
      HASIGNER_ASSERT(fragment != fragments.end());
      done += sql(fragment->second, fragments);
      i = end;
    } else {
      done += text[i];
    }
  }
  return done;
}

/// A value that each element of a batch brings along, beside the duty's key.
struct Column {
  std::string_view parameter;
  std::string_view type;
  std::string_view name;
};

constexpr std::array<Column, 5> kKeyColumns = {{{"$1", "text", "rollup"},
                                                {"$2", "text", "validator"},
                                                {"$3", "bigint", "slot"},
                                                {"$4", "text", "duty_type"},
                                                {"$5", "int", "block_index"}}};

/// The elements of a batch as the rows `k`. Arrays are read as scalar subqueries, because the planner then does not
/// know how many elements they have, and plans for few: the plan is the same for every size of batch. A single element
/// is its own parameters, which costs a third less than arrays of one.
string batch_of(BatchForm form, std::initializer_list<Column> more) {
  std::vector<Column> columns(kKeyColumns.begin(), kKeyColumns.end());
  columns.insert(columns.end(), more);
  string values;
  string names;
  for (const Column& column : columns) {
    const string value = string(column.parameter) + "::" + string(column.type);
    values += (values.empty() ? "" : ", ");
    names += string(column.name) + ", ";
    switch (form) {
      case BatchForm::kMany: values += "(select " + value + "[])"; break;
      case BatchForm::kOne: values += value + " as " + string(column.name); break;
    }
  }
  if (form == BatchForm::kOne) return "(select " + values + ", 1::bigint as ord) as k";
  return "unnest(" + values + ") with ordinality as k (" + names + "ord)";
}

/// The parameters from $1 on as arguments of a function that takes arrays.
string arrays_of(BatchForm form, std::initializer_list<std::string_view> types) {
  string arguments;
  int number = 0;
  for (const std::string_view type : types) {
    const string value = "$" + std::to_string(++number) + "::" + string(type);
    arguments += arguments.empty() ? "" : ", ";
    switch (form) {
      case BatchForm::kMany: arguments += value + "[]"; break;
      case BatchForm::kOne: arguments += "array[" + value + "]"; break;
    }
  }
  return arguments;
}

Fragments batches(BatchForm form) {
  constexpr Column kToken{"$6", "text", "lock_token"};
  return {
      {"keys", batch_of(form, {})},
      {"slots", form == BatchForm::kOne ? "(select $3::bigint as slot) s"
                                        : "(select distinct s.slot from unnest((select $3::bigint[])) as s (slot)) s"},
      {"claims", batch_of(form, {{"$6", "bigint", "block_number"},
                                 {"$7", "bigint", "checkpoint_number"},
                                 {"$8", "text", "message_hash"},
                                 {"$9", "text", "lock_token"}})},
      {"signed_claims",
       arrays_of(form, {"text", "text", "bigint", "text", "int", "bigint", "bigint", "text", "text", "text"})},
      {"records", batch_of(form, {kToken, {"$7", "text", "message_hash"}, {"$8", "text", "signature"}})},
      {"take_overs",
       batch_of(form, {{"$6", "text", "message_hash"}, {"$7", "text", "seen"}, {"$8", "text", "lock_token"}})},
      {"replacements", batch_of(form, {{"$6", "text", "message_hash"},
                                       {"$7", "text", "seen"},
                                       {"$8", "text", "lock_token"},
                                       {"$10", "bigint", "block_number"},
                                       {"$11", "bigint", "checkpoint_number"}})},
      {"releases", batch_of(form, {kToken})},
      {"stored_signatures", batch_of(form, {{"$6", "text", "message_hash"}, {"$7", "text", "signature"}})},
  };
}

/// What many statements share.
Fragments shared_fragments(int version) {
  return {
      // The times of rows of ours, whatever time zone the session has. A statement that compares rows with one moment
      // uses the second form, because an index can serve that.
      {"now", "(clock_timestamp() at time zone 'UTC')"},
      {"moment", "(statement_timestamp() at time zone 'UTC')"},
      {"ms", "::bigint * interval '1 millisecond'"},

      // Raises synchronous_commit to at least `on` until this transaction's end, and never lowers it: `remote_apply`
      // stays. A commit whose wait for replication was cancelled says so by a warning only, so that must not be
      // silenced. The statement takes its rows from here too, so it is done before there is anything to commit.
      {"durably", R"(
        durably as materialized (
          select set_config('synchronous_commit',
                            case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then 'on'
                                 else current_setting('synchronous_commit') end, true),
                 set_config('client_min_messages', 'warning', true)))"},

      // $9 oid of the table, $10 timeline in hex. A table that was dropped and made again under an open session, and a
      // former primary that a failover has left behind, lack what was signed.
      {"of_known_table", "d.tableoid = $9::oid"},
      {"history_is_current", R"(
        (select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) collate "C" >= $10::text collate "C"))"},

      {"same_duty", R"(
        d.rollup_address = k.rollup and d.validator_address = k.validator and d.slot = k.slot
        and d.duty_type = k.duty_type)"},
      {"whole_key", "{same_duty} and d.block_index_within_checkpoint = k.block_index"},
      // A block proposal with another block index is another duty. Any other type has one duty a slot, whatever index a
      // foreign client wrote; so there the whole range is looked at.
      {"whole_key_or_foreign_index", R"(
        {same_duty} and d.block_index_within_checkpoint
          between case k.duty_type when 'BLOCK_PROPOSAL' then k.block_index else -2147483648 end
              and case k.duty_type when 'BLOCK_PROPOSAL' then k.block_index else 2147483647 end)"},
      {"index_matters_not", "(d.block_index_within_checkpoint = k.block_index or k.duty_type <> 'BLOCK_PROPOSAL')"},
      // Where the duty is given. In another collation than the index on the status has: statistics that say that hardly
      // anything is being signed would otherwise lead the planner through everything that is.
      {"being_signed", "d.status collate \"C\" = 'signing'"},
      // Word for word the condition of the index ha_signer_upper_case.
      {"in_upper_case", R"(
        (d.rollup_address <> lower(d.rollup_address collate "C")
         or d.validator_address <> lower(d.validator_address collate "C")))"},
      {"watermark_of_key",
       "w.rollup_address = k.rollup and w.validator_address = k.validator and w.duty_type = k.duty_type"},

      // A token of ours is 16 hex digits of the incarnation, 2 of the kind (00 is fenced) and 14 random ones. One that
      // only looks like it is told apart by the registry.
      {"fenced_token", "length(d.lock_token) = 32 and substr(d.lock_token, 17, 2) = '00'"},
      {"of_this_incarnation", "substr(d.lock_token, 1, 16) = n.incarnation"},
      {"of_former_incarnation", "substr(d.lock_token, 1, 16) = any (n.former)"},
      {"registered", R"(
        exists (select from ha_signer_nodes n
                where n.node_id = d.node_id and length(d.lock_token) = 32
                  and ({of_this_incarnation} or {of_former_incarnation})))"},

      {"checkpoint_column", version >= 2 ? ", checkpoint_number" : ""},
      {"expiry_column", version >= 3 ? ", expires_at" : ""},
  };
}

/// Adds to the shared fragments; a fragment may be given anew.
Fragments with(Fragments fragments, const Fragments& more) {
  for (const auto& [name, text] : more) fragments[name] = text;
  return fragments;
}

// ON CONFLICT waits for whoever is just inserting, changing or deleting the same duty, within the lock time-out, which
// is set before the first row comes.
//
// A claim that the fence guards need not outlive a crash of the server, so its commit waits for no disk and no standby
// ($13 is `off`): the record waits for the log up to its own commit, and so for the claim's, which stands before it. A
// claim that a crash takes back is a row that was deleted, which the record then does not match. A batch with a claim
// that must outlive a crash is followed by kTakeOver of its own tokens, which is as durable as a record.
constexpr std::string_view kClaim = R"(
  with lock_timeout as materialized (
    select set_config('lock_timeout', $12::text, true),
           set_config('synchronous_commit', coalesce($13::text, current_setting('synchronous_commit')), true))
  insert into validator_duties (
    rollup_address, validator_address, slot, duty_type, block_index_within_checkpoint, block_number, message_hash,
    lock_token, node_id, status, started_at{checkpoint_column}{expiry_column})
  select k.rollup, k.validator, k.slot, k.duty_type, k.block_index, k.block_number, k.message_hash, k.lock_token,
         $10::text, 'signing', {now}{checkpoint_value}{expiry_value}
  from lock_timeout
  cross join {claims}
  where $11::int is not distinct from $11::int
  order by k.ord
  on conflict do nothing)";

// All that it does stands in schema/postgres/ha_signer.up.sql.
constexpr std::string_view kClaimSigned = R"(
  select * from ha_signer_claim_signed(
    {signed_claims}, $11::text, $12::int, $13::text, $14::oid, $15::text, {version}))";

// Rows under the duty's own key and under foreign block indexes come in one lookup; who reads them tells them apart.
// Rows in another letter case come once for each slot of the batch and are matched by who reads them, since a slot can
// have as many of them as the batch has duties.
constexpr std::string_view kLook = R"(
  select k.ord, w.low_slot, w.high_slot, {row},
         case when d.status = 'signing' and {fenced_token} then (
           select case when {of_this_incarnation}
                         then case when n.lease_until > clock_timestamp() then 'alive' else 'expired' end
                       when {of_former_incarnation} then 'expired' end
           from ha_signer_nodes n where n.node_id = d.node_id) end as holder,
         null::text as written_rollup, null::text as written_validator, null::bigint as written_slot,
         null::text as written_duty_type
  from {keys}
  left join lateral (
    select w.low_slot, w.high_slot from ha_signer_watermarks w where {watermark_of_key} offset 0) w on true
  left join lateral (
    select {row} from validator_duties d where {whole_key_or_foreign_index} offset 0) d on true
  union all
  select null, null, null, {row}, null, d.rollup_address, d.validator_address, d.slot, d.duty_type
  from {slots}
  cross join lateral (
    select {row}, d.rollup_address, d.validator_address, d.slot, d.duty_type
    from validator_duties d where d.slot = s.slot and {in_upper_case} offset 0) d)";

/// What a statement may do to the rows of a batch, each under a condition of its own.
struct RowCondition {
  std::string_view elements;   ///< of the batch
  std::string_view condition;  ///< on the row `d` and the element `k`
  std::string_view watermark;  ///< joined, and empty where none is asked
  std::string_view carried;    ///< columns of `k` that the change needs
};

constexpr std::string_view kForbiddingWatermark = R"(
  left join lateral (
    select true as forbids from ha_signer_watermarks w
    where {watermark_of_key} and (w.low_slot >= k.slot or w.high_slot < k.slot) offset 0) w on true
  where w.forbids is null and {history_is_current})";

constexpr RowCondition kRecordCondition = {
    .elements = "{records}",
    .condition = R"(
      d.lock_token = k.lock_token and (k.message_hash is null or lower(d.message_hash collate "C") = k.message_hash)
      and (d.status = 'signing' or lower(d.signature) = k.signature) and {of_known_table})",
    .watermark = kForbiddingWatermark,
    .carried = ", k.signature",
};

constexpr RowCondition kTakeOverCondition = {
    .elements = "{take_overs}",
    .condition = R"(
      {being_signed} and d.lock_token in (k.seen, k.lock_token) and lower(d.message_hash) = k.message_hash)",
    .watermark = "",
    .carried = ", k.lock_token",
};

// That the holder's lease has run out is asked here again, by the store's clock.
constexpr RowCondition kReplaceCondition = {
    .elements = "{replacements}",
    .condition = R"(
      {being_signed}
      and (d.lock_token = k.lock_token and lower(d.message_hash) = k.message_hash
           or d.lock_token = k.seen and {fenced_token}
              and exists (select from ha_signer_nodes n
                          where n.node_id = d.node_id
                            and ({of_this_incarnation} and n.lease_until <= clock_timestamp()
                                 or {of_former_incarnation}))))",
    .watermark = "",
    .carried = ", k.lock_token, k.message_hash, k.block_number, k.checkpoint_number",
};

constexpr RowCondition kReleaseCondition = {
    .elements = "{releases}",
    .condition = "d.lock_token = k.lock_token and {being_signed}",
    .watermark = "",
    .carried = "",
};

/// Locks the rows that meet the condition, in the order of the batch, and leaves out those that someone else has
/// locked.
///
/// The change that follows finds each by its place (ctid), which costs next to nothing and leaves the planner no
/// choice. Where a row was changed by someone else after this statement's snapshot, the lock is on its new version,
/// which the snapshot does not show: then the row is left alone, as if it had been locked. That is why whoever misses a
/// row in the answer asks kWouldBeLetThrough before he believes that it did not match.
///
/// The limit is none; but the planner cannot know that, takes it for a small part of the few rows that it expects, and
/// so goes to each place by itself even where the table is almost empty.
constexpr std::string_view kLocked = R"(
  locked as materialized (
    select d.place, k.ord{carried}
    from {elements}
    cross join lateral (
      select d.ctid as place from validator_duties d where {whole_key} and ({condition}) limit 1
      for update skip locked) d
    {watermark}
    limit (select null::bigint)))";

/// The same condition on what is committed, without a lock.
constexpr std::string_view kWouldBeLetThrough = R"(
  select k.ord
  from {elements}
  cross join lateral (select from validator_duties d where {whole_key} and ({condition}) limit 1) d
  {watermark})";

Fragments with_condition(const Fragments& fragments, const RowCondition& condition) {
  return with(fragments, {{"elements", string(condition.elements)},
                          {"condition", string(condition.condition)},
                          {"watermark", string(condition.watermark)},
                          {"carried", string(condition.carried)},
                          {"locked", string(kLocked)}});
}

// A repetition writes the row again, though nothing in it changes: only then does its commit wait for replication
// again.
constexpr std::string_view kRecord = R"(
  with {durably}, {locked}
  update validator_duties v
  set status = 'signed', signature = l.signature,
      completed_at = case v.status when 'signed' then v.completed_at else greatest({now}, v.started_at) end
  from durably cross join locked l
  where v.ctid = l.place
  returning l.ord)";

// As durable as a record, as kReplace is: the new owner may be a caller of the step API, who signs as soon as this is
// answered. A takeover of the same data does not show for whom it is. A repetition writes the row again, too.
constexpr std::string_view kTakeOver = R"(
  with {durably}, {locked}
  update validator_duties v set node_id = $9::text, lock_token = l.lock_token, started_at = {now}
  from durably cross join locked l where v.ctid = l.place returning l.ord)";

constexpr std::string_view kReplace = R"(
  with {durably}, {locked}
  update validator_duties v
  set node_id = $9::text, lock_token = l.lock_token, started_at = {now}, message_hash = l.message_hash,
      block_number = l.block_number{set_checkpoint}
  from durably cross join locked l where v.ctid = l.place returning l.ord)";

constexpr std::string_view kRelease = R"(
  with {locked}
  delete from validator_duties v using locked l where v.ctid = l.place returning l.ord)";

// Earlier incarnations are remembered so that their rows are known for ours. The oldest are forgotten; what might still
// be theirs counts as foreign then.
constexpr std::string_view kRegisterNode = R"(
  insert into ha_signer_nodes as n (node_id, incarnation, registered_at, heartbeat_at, lease_until)
  values ($1::text, $2::text, clock_timestamp(), clock_timestamp(), clock_timestamp() + $3{ms})
  on conflict (node_id) do update
    set former = case n.incarnation when excluded.incarnation then n.former
                 else (array_remove(n.former, excluded.incarnation) || n.incarnation)[
                        greatest(1, cardinality(array_remove(n.former, excluded.incarnation)) - 4094):] end,
        incarnation = excluded.incarnation, registered_at = clock_timestamp(), heartbeat_at = clock_timestamp(),
        lease_until = clock_timestamp() + $3{ms}
    where n.lease_until <= clock_timestamp() or n.incarnation = excluded.incarnation
       or extract(epoch from n.heartbeat_at)::text = $4::text
  returning 1)";

constexpr std::string_view kHolder = R"(
  select n.incarnation, extract(epoch from n.heartbeat_at),
         greatest(0, ceil(extract(epoch from n.lease_until - clock_timestamp()) * 1000))::bigint
  from ha_signer_nodes n where n.node_id = $1::text)";

constexpr std::string_view kRenew = R"(
  update ha_signer_nodes n set heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + $3{ms}
  where n.node_id = $1::text and n.incarnation = $2::text returning 1)";

constexpr std::string_view kEndLease = R"(
  update ha_signer_nodes n set lease_until = least(n.lease_until, clock_timestamp())
  where n.node_id = $1::text and n.incarnation = $2::text)";

// The rows are those of the statement's snapshot, so their commits stand in the log before this one.
constexpr std::string_view kConfirmStored = R"(
  with {durably},
  written as (
    update ha_signer_nodes n set witnessed_at = clock_timestamp() from durably where n.node_id = $8::text returning 1)
  select null::bigint from written
  union all
  select k.ord
  from {stored_signatures}
  cross join lateral (
    select from validator_duties d
    where {whole_key} and d.status collate "C" = 'signed' and lower(d.message_hash) = k.message_hash
      and lower(d.signature) = k.signature and {of_known_table}
    limit 1) d
  {watermark})";

/// Rows that a removal may delete, as `{from} where {condition}`.
struct Removable {
  std::string_view from = "validator_duties d";
  std::string_view condition;
};

// The node id is compared in another collation than its index has: only then does every planner find these rows by
// (status, started_at), where few are, and not among everything that the node ever signed.
constexpr Removable kAbandoned = {
    .from = "ha_signer_nodes n, validator_duties d",
    .condition = R"(
      n.node_id = $1::text and d.status = 'signing' and d.node_id collate "C" = $1::text collate "C" and {fenced_token}
      and {of_former_incarnation} and not {of_this_incarnation})",
};
constexpr Removable kStuck = {
    .from = "ha_signer_nodes n, validator_duties d",
    .condition = R"(
      n.node_id = $1::text and d.status = 'signing' and d.started_at <= {moment} - {age}{ms}
      and d.node_id collate "C" = $1::text collate "C" and {fenced_token}
      and ({of_this_incarnation} or {of_former_incarnation}))",
};
constexpr Removable kOldSigned = {.condition = "d.status = 'signed' and d.started_at <= {moment} - {age}{ms}"};
constexpr Removable kOldSigning = {
    .condition = "d.status = 'signing' and d.started_at <= {moment} - {age}{ms} and {fenced_token} and {registered}"};
constexpr Removable kExpired = {.condition = "d.status = 'signed' and d.expires_at <= {moment}"};

Fragments with_removable(const Fragments& fragments, const Removable& removable, const string& age,
                         const string& limit) {
  return with(
      fragments,
      {{"from", string(removable.from)}, {"condition", string(removable.condition)}, {"age", age}, {"limit", limit}});
}

/// A chunk of rows that nobody has locked, the oldest first.
constexpr std::string_view kChunk = R"(
  select d.ctid as place from {from} where {condition} order by d.started_at limit {limit}::bigint
  for update of d skip locked)";

constexpr std::string_view kRemoveChunk = R"(
  with chosen as materialized ({chunk})
  delete from validator_duties v where v.ctid = any (array (select c.place from chosen c)))";

constexpr std::string_view kRemoveTwoChunks = R"(
  with first_chunk as materialized ({first}), second_chunk as materialized ({second})
  delete from validator_duties v
  where v.ctid = any (array (
    select c.place from (select place from first_chunk union all select place from second_chunk) c limit {limit}::bigint)))";

constexpr std::string_view kCount = "select count(*) from {from} where {condition}";

// Jumps from rollup to rollup in the primary key, so that the rows of the own rollup, nearly all, are not read.
constexpr std::string_view kOtherRollups = R"(
  recursive rollups (rollup) as (
    (select d.rollup_address from validator_duties d order by d.rollup_address limit 1)
    union all
    select (select d.rollup_address from validator_duties d
            where d.rollup_address > r.rollup order by d.rollup_address limit 1)
    from rollups r where r.rollup is not null),
  other_rollups (rollup) as materialized (
    select r.rollup from rollups r where r.rollup is not null and lower(r.rollup) <> {own_rollup}::text))";

constexpr std::string_view kRemoveOtherRollups = R"(
  with {other_rollups},
  chosen as materialized (
    select d.place from other_rollups r
    cross join lateral (
      select d.ctid as place from validator_duties d where d.rollup_address = r.rollup and {condition}
      order by d.rollup_address, d.validator_address, d.slot limit {limit}::bigint for update skip locked) d
    limit {limit}::bigint)
  delete from validator_duties v where v.ctid = any (array (select c.place from chosen c)))";

constexpr std::string_view kCountOtherRollups = R"(
  with {other_rollups}
  select coalesce(sum(d.n), 0) from other_rollups r
  cross join lateral (
    select count(*) as n from validator_duties d where d.rollup_address = r.rollup and {condition}) d)";

constexpr std::string_view kForeignRows = R"(
  select 1 from validator_duties d
  where d.status in ('signing', 'signed') and d.started_at > {moment} - make_interval(hours => $1::int)
    and d.started_at <= coalesce({moment} - make_interval(hours => $2::int), 'infinity') and not {registered}
  limit 1)";

/// Whole rows, in the order of DutyColumn.
string duty_columns(int version) {
  return string("d.rollup_address, d.validator_address, d.slot, d.block_number, ") +
         (version >= 2 ? "d.checkpoint_number" : "0::bigint") +
         ", d.block_index_within_checkpoint, d.duty_type, d.status, d.message_hash, d.signature, d.node_id, "
         "d.lock_token, to_char(d.started_at, {utc}), to_char(d.completed_at, {utc}), " +
         (version >= 3 ? "to_char(d.expires_at, {utc})" : "null::text");
}

// Jumps from validator to validator in the primary key and takes the newest slots of each, since there is no index on
// the slot alone.
constexpr std::string_view kDuties = R"(
  with recursive validators (rollup, validator) as (
    (select d.rollup_address, d.validator_address from validator_duties d
     order by d.rollup_address, d.validator_address limit 1)
    union all
    select d.rollup_address, d.validator_address from validators v
    cross join lateral (
      select d.rollup_address, d.validator_address from validator_duties d
      where (d.rollup_address, d.validator_address) > (v.rollup, v.validator)
      order by d.rollup_address, d.validator_address limit 1) d)
  select {duty_columns} from validators v
  cross join lateral (
    select * from validator_duties d
    where d.rollup_address = v.rollup and d.validator_address = v.validator
      and d.slot >= coalesce($3::bigint, -9223372036854775808) and d.slot <= coalesce($4::bigint, 9223372036854775807)
      and ($5::text is null or d.duty_type = $5::text) and ($6::text is null or d.status = $6::text)
      and ($7::text is null or d.node_id = $7::text)
    order by d.slot desc limit $8::bigint) d
  where ($1::text is null or lower(v.rollup) = $1::text) and ($2::text is null or lower(v.validator) = $2::text)
    and ($7::text is null or (select true from validator_duties e where e.node_id = $7::text order by e.started_at limit 1))
  {newest_first})";

constexpr std::string_view kDutiesBeingSigned = R"(
  select {duty_columns} from validator_duties d
  where d.status = 'signing' and $6::text is not null and ($1::text is null or lower(d.rollup_address) = $1::text)
    and ($2::text is null or lower(d.validator_address) = $2::text)
    and d.slot + 0 >= coalesce($3::bigint, -9223372036854775808)
    and d.slot + 0 <= coalesce($4::bigint, 9223372036854775807)
    and ($5::text is null or d.duty_type = $5::text)
    and ($7::text is null or d.node_id collate "C" = $7::text collate "C")
  {newest_first})";

constexpr std::string_view kNodes = R"(
  select n.node_id, n.incarnation, to_char(n.heartbeat_at at time zone 'UTC', {utc}),
         n.lease_until > clock_timestamp(), cardinality(n.former)
  from ha_signer_nodes n order by n.node_id)";

constexpr std::string_view kRemoveNode = R"(
  with signs as materialized (
    select exists (select from validator_duties d where d.node_id = $1::text and {being_signed}) as it),
  removed as (
    delete from ha_signer_nodes n using signs
    where n.node_id = $1::text and n.lease_until <= clock_timestamp() and not signs.it
    returning 1)
  select exists (select from removed) as removed, n.node_id is not null as registered,
         n.lease_until > clock_timestamp() as alive, signs.it as signs
  from signs left join ha_signer_nodes n on n.node_id = $1::text)";

// Only a member of pg_read_all_stats sees which standbys are connected. `sync` and `quorum` are those that commits can
// wait for now: one that is still catching up is not among them.
constexpr std::string_view kReplication = R"(
  select s.names as synchronous_standbys,
         coalesce(substring(s.names from '(?i)^[[:space:]]*(?:any[[:space:]]|first[[:space:]])?[[:space:]]*([0-9]+)[[:space:]]*[(]')::int,
                  case when s.names ~ '[^[:space:]]' then 1 else 0 end) as needed,
         case when pg_has_role('pg_read_all_stats', 'usage') then
           (select count(*) from pg_stat_replication r where r.sync_state in ('sync', 'quorum')) end as connected
  from (select current_setting('synchronous_standby_names') as names) s)";

constexpr std::string_view kWatermarks = R"(
  select {watermark_columns} from ha_signer_watermarks w
  order by w.rollup_address, w.validator_address, w.duty_type)";

constexpr std::string_view kSetWatermark = R"(
  with lock_timeout as materialized (select set_config('lock_timeout', $6::text, true)), {durably}
  select (o.outcome).applied, (o.outcome).low_before, (o.outcome).high_before, (o.outcome).low_after, (o.outcome).high_after
  from (
    select ha_signer_set_watermark($1::text, $2::text, $3::text, $4::bigint, $5::bigint, $7::boolean, $8::boolean,
                                   $9::boolean) as outcome
    from lock_timeout, durably offset 0) o)";

constexpr std::string_view kExportHistory = R"(
  select {duty_columns}, null, null, null, null::bigint, null::bigint, null from validator_duties d
  union all
  select null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, {watermark_columns}
  from ha_signer_watermarks w)";

// The rows that speak of the same duty as an element: the one under its very key; where there is none, those under
// another letter case of it or a foreign block index.
constexpr std::string_view kImported = R"(
  imported as materialized (
    select k.*, d.status as own_status, d.message_hash as own_hash
    from {held_off}unnest(
        $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamp[], $14::timestamp[], $15::timestamp[])
      with ordinality as k (rollup, validator, slot, block_number, checkpoint_number, block_index, duty_type, status,
                            message_hash, signature, node_id, lock_token, started_at, completed_at, expires_at, ord)
    left join lateral (
      select d.status, d.message_hash from validator_duties d where {whole_key} limit 1) d on true),
  others as materialized (
    select k.ord, d.message_hash from imported k
    cross join lateral (
      select d.message_hash from validator_duties d
      where d.rollup_address = lower(k.rollup) and d.validator_address = lower(k.validator) and d.slot = k.slot
        and d.duty_type = k.duty_type and {index_matters_not} offset 0) d
    where k.own_hash is null
    union all
    select k.ord, d.message_hash from imported k
    cross join lateral (
      select d.message_hash from validator_duties d
      where d.slot = k.slot and {in_upper_case} and lower(d.rollup_address) = lower(k.rollup)
        and lower(d.validator_address) = lower(k.validator) and d.duty_type = k.duty_type and {index_matters_not}
      offset 0) d
    where k.own_hash is null),
  conflicts as materialized (
    select k.ord, k.own_hash as message_hash from imported k where lower(k.own_hash) <> lower(k.message_hash)
    union
    select o.ord, o.message_hash from imported k join others o on o.ord = k.ord
    where lower(o.message_hash) <> lower(k.message_hash)))";

constexpr std::string_view kImportConflicts =
    "with {imported} select c.ord, c.message_hash from conflicts c order by c.ord";

// Writers are held off before anything is written, so that no attempt records a slot that a raised watermark forbids.
// But the statement's snapshot is older than that: two things make it fail as a whole instead of half succeeding when
// an attempt came in between, a row inserted meanwhile (unique_violation) and a row changed meanwhile
// (division_by_zero).
constexpr std::string_view kImportHistory = R"(
  with {durably},
  lock_timeout as materialized (select set_config('lock_timeout', $21::text, true)),
  held_off as materialized (select ha_signer_hold_off_writers() as held from lock_timeout), {imported},
  inserted as (
    insert into validator_duties (
      rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type, status,
      message_hash, signature, node_id, lock_token, started_at, completed_at{checkpoint_column}{expiry_column})
    select k.rollup, k.validator, k.slot, k.block_number, k.block_index, k.duty_type, k.status, k.message_hash,
           k.signature, k.node_id, k.lock_token, k.started_at, k.completed_at{checkpoint_value}{expiry_value}
    from durably cross join imported k
    where k.own_hash is null and not exists (select from conflicts)
    order by k.ord
    returning 1),
  changed as (
    update validator_duties d
    set status = k.status, signature = k.signature, node_id = k.node_id, lock_token = k.lock_token,
        started_at = k.started_at, completed_at = k.completed_at,
        block_number = k.block_number{set_checkpoint}{set_expiry}
    from imported k
    where {whole_key} and k.own_status = 'signing' and k.status = 'signed' and {being_signed}
      and lower(d.message_hash) = lower(k.message_hash) and not exists (select from conflicts)
    returning 1),
  raised as (
    insert into ha_signer_watermarks as w (rollup_address, validator_address, duty_type, low_slot, high_slot, updated_at)
    select lower(m.rollup), lower(m.validator), m.duty_type, max(m.low), min(m.high), statement_timestamp()
    from held_off cross join unnest($16::text[], $17::text[], $18::text[], $19::bigint[], $20::bigint[])
      as m (rollup, validator, duty_type, low, high)
    where not exists (select from conflicts)
    group by 1, 2, 3 order by 1, 2, 3
    on conflict (rollup_address, validator_address, duty_type) do update
      set low_slot = greatest(w.low_slot, excluded.low_slot), high_slot = least(w.high_slot, excluded.high_slot),
          updated_at = excluded.updated_at
      where (greatest(w.low_slot, excluded.low_slot), least(w.high_slot, excluded.high_slot))
            is distinct from (w.low_slot, w.high_slot)
    returning 1)
  select i.n, c.n, f.n, 1 / (f.n > 0 or c.n = e.n)::int
  from (select count(*) as n from inserted) i, (select count(*) as n from changed) c,
       (select count(*) as n from conflicts) f,
       (select count(*) as n from imported k where k.own_status = 'signing' and k.status = 'signed') e)";

void add_protocol(SqlTexts& texts, const Fragments& shared, int version) {
  texts.claim =
      sql(kClaim, with(shared, {{"checkpoint_value", version >= 2 ? ", k.checkpoint_number" : ""},
                                {"expiry_value", version >= 3 ? ", {now} + make_interval(hours => $11::int)" : ""}}));
  texts.claim_signed = sql(kClaimSigned, with(shared, {{"version", std::to_string(version)}}));
  texts.look = sql(kLook, with(shared, {{"row", R"(
    d.block_index_within_checkpoint, d.status, d.message_hash, d.signature, d.node_id, d.lock_token)"}}));

  const auto record = with_condition(shared, kRecordCondition);
  const auto take_over = with_condition(shared, kTakeOverCondition);
  const auto replace = with(with_condition(shared, kReplaceCondition),
                            {{"set_checkpoint", version >= 2 ? ", checkpoint_number = l.checkpoint_number" : ""}});
  const auto release = with_condition(shared, kReleaseCondition);
  texts.record = sql(kRecord, record);
  texts.take_over = sql(kTakeOver, take_over);
  texts.replace = sql(kReplace, replace);
  texts.release = sql(kRelease, release);
  // The plain reads take every parameter of their namesakes, so that one list serves both.
  const string with_node_id = " where $9::text is not null";
  texts.would_record = sql(kWouldBeLetThrough, record);
  texts.would_take_over = sql(kWouldBeLetThrough, take_over) + with_node_id;
  texts.would_replace = sql(kWouldBeLetThrough, replace) + with_node_id;
  texts.would_release = sql(kWouldBeLetThrough, release);

  texts.register_node = sql(kRegisterNode, shared);
  texts.holder = sql(kHolder, shared);
  texts.renew = sql(kRenew, shared);
  texts.end_lease = sql(kEndLease, shared);
  texts.confirm_stored = sql(kConfirmStored, with(shared, {{"watermark", string(kForbiddingWatermark)}}));
}

void add_removal(SqlTexts& texts, const Fragments& shared, int version) {
  const auto remove_chunk = [&](const Removable& removable, const string& age, const string& limit) {
    const auto fragments = with_removable(shared, removable, age, limit);
    return sql(kRemoveChunk, with(fragments, {{"chunk", string(kChunk)}}));
  };
  const auto chunk = [&](const Removable& removable, const string& age, const string& limit) {
    return sql(kChunk, with_removable(shared, removable, age, limit));
  };
  const auto count = [&](const Removable& removable, const string& age) {
    return sql(kCount, with_removable(shared, removable, age, ""));
  };
  texts.remove_abandoned = remove_chunk(kAbandoned, "", "$2");
  texts.remove_stuck = remove_chunk(kStuck, "$3", "$2");
  texts.remove_old = sql(kRemoveTwoChunks, with(shared, {{"first", chunk(kOldSigned, "$2", "$1")},
                                                         {"second", chunk(kOldSigning, "$2", "$1")},
                                                         {"limit", "$1"}}));
  texts.count_abandoned = count(kAbandoned, "");
  texts.count_stuck = count(kStuck, "$2");
  texts.count_old = "select (" + count(kOldSigned, "$1") + ") + (" + count(kOldSigning, "$1") + ")";
  if (version >= 3) {
    texts.remove_expired = remove_chunk(kExpired, "", "$1");
    texts.count_expired = count(kExpired, "");
  }
  const auto other_rollups = with(shared, {{"other_rollups", string(kOtherRollups)}});
  texts.remove_other_rollups =
      sql(kRemoveOtherRollups, with(with_removable(other_rollups, kOldSigned, "$2", "$1"), {{"own_rollup", "$3"}}));
  texts.count_other_rollups =
      sql(kCountOtherRollups, with(with_removable(other_rollups, kOldSigned, "$1", ""), {{"own_rollup", "$2"}}));
  texts.foreign_rows = sql(kForeignRows, shared);
}

void add_history(SqlTexts& texts, const Fragments& shared, int version) {
  const auto fragments = with(shared, {{"utc", "'YYYY-MM-DD HH24:MI:SS.US'"},
                                       {"duty_columns", duty_columns(version)},
                                       {"watermark_columns", R"(
    w.rollup_address, w.validator_address, w.duty_type, w.low_slot, w.high_slot,
    to_char(w.updated_at at time zone 'UTC', {utc}))"},
                                       {"newest_first", R"(
    order by d.slot desc, d.rollup_address, d.validator_address, d.duty_type, d.block_index_within_checkpoint
    limit $8::bigint)"}});
  texts.duties = sql(kDuties, fragments);
  texts.duties_being_signed = sql(kDutiesBeingSigned, fragments);
  texts.nodes = sql(kNodes, fragments);
  texts.remove_node = sql(kRemoveNode, shared);
  texts.replication = sql(kReplication, fragments);
  texts.watermarks = sql(kWatermarks, fragments);
  texts.set_watermark = sql(kSetWatermark, shared);
  texts.export_history = sql(kExportHistory, fragments);

  const auto imported =
      with(shared, {{"imported", string(kImported)},
                    {"checkpoint_value", version >= 2 ? ", k.checkpoint_number" : ""},
                    {"expiry_value", version >= 3 ? ", k.expires_at" : ""},
                    {"set_checkpoint", version >= 2 ? ", checkpoint_number = k.checkpoint_number" : ""},
                    {"set_expiry", version >= 3 ? ", expires_at = k.expires_at" : ""}});
  texts.import_conflicts = sql(kImportConflicts, with(imported, {{"held_off", ""}}));
  texts.import_history = sql(kImportHistory, with(imported, {{"held_off", "held_off cross join "}}));
}

SqlTexts texts_of(int version, BatchForm form) {
  SqlTexts texts;
  const Fragments shared = with(shared_fragments(version), batches(form));
  add_protocol(texts, shared, version);
  add_removal(texts, shared, version);
  add_history(texts, shared, version);
  return texts;
}

}  // namespace

const SqlTexts& sql_texts(int schema_version, BatchForm form) {
  using Versions = std::array<SqlTexts, kNewestSchemaVersion>;
  const auto in_form = [](BatchForm one) { return Versions{texts_of(1, one), texts_of(2, one), texts_of(3, one)}; };
  static const Versions kForMany = in_form(BatchForm::kMany);
  static const Versions kForOne = in_form(BatchForm::kOne);
  HASIGNER_ASSERT(schema_version >= kOldestSchemaVersion && schema_version <= kNewestSchemaVersion);
  const Versions& texts = form == BatchForm::kOne ? kForOne : kForMany;
  return texts[static_cast<std::size_t>(schema_version - 1)];
}

}  // namespace hasigner::postgres
