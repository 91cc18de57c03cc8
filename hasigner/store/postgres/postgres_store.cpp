#include "hasigner/store/postgres/postgres_store.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "hasigner/duty/assert.hpp"
#include "hasigner/protection/async.hpp"
#include "hasigner/protection/foreign_nodes.hpp"
#include "hasigner/store/postgres/sql_errors.hpp"
#include "hasigner/store/postgres/sql_values.hpp"

namespace hasigner::postgres {

namespace {

using Parameters = std::vector<std::optional<std::string>>;
using Positions = std::vector<std::size_t>;
using Row = std::vector<std::optional<std::string>>;

// How long a claim waits for another transaction: as a whole batch; as a part of one that met a locked row; and
// when the remaining parts are given back as locked instead of being split further.
constexpr milliseconds kBatchLockTimeout{200};
constexpr milliseconds kPartLockTimeout{50};
constexpr milliseconds kClaimLockTimeout{1'000};
constexpr std::size_t kParts = 8;

constexpr milliseconds kTakeoverLockTimeout{100};
constexpr milliseconds kRecordLockTimeout{250};
constexpr milliseconds kReleaseLockTimeout{250};
constexpr milliseconds kShortestPause{2};
constexpr milliseconds kLongestPause{50};

/// How long the answer about foreign nodes serves a retention that deletes chunk after chunk.
constexpr milliseconds kForeignNodeAnswerHolds{10'000};

/// The positions of a batch of this size.
Positions all_positions(std::size_t size) {
  Positions positions(size);
  std::iota(positions.begin(), positions.end(), std::size_t{0});
  return positions;
}

BatchForm form_of(std::size_t count) {
  return count == 1 ? BatchForm::kOne : BatchForm::kMany;
}

constexpr std::size_t kHexAddress = 43;
constexpr std::size_t kHexHash = 67;
constexpr std::size_t kHexSignature = 133;
constexpr std::size_t kToken = 33;

/// Parameters $1 to $5 of the statements about many duties.
struct KeyColumns {
  explicit KeyColumns(std::size_t count)
      : rollup(count), validator(count), slot(count), duty_type(count), block_index(count) {
    rollup.reserve(count * kHexAddress + 2);
    validator.reserve(count * kHexAddress + 2);
    duty_type.reserve(count * 12 + 2);
  }

  void add(const DutyKey& key) {
    rollup.add_hex(key.rollup);
    validator.add_hex(key.validator);
    slot.add_number(key.slot.value());
    duty_type.add_plain(to_string(key.duty_type));
    block_index.add_number(key.block_index);
  }

  [[nodiscard]] Parameters finish() {
    Parameters parameters;
    parameters.reserve(12);
    for (BatchColumn* column : {&rollup, &validator, &slot, &duty_type, &block_index})
      parameters.emplace_back(column->finish());
    return parameters;
  }

  BatchColumn rollup, validator, slot, duty_type, block_index;
};

DutyRow duty_row_of(const Row& row) {
  HolderState holder = HolderState::kUnfenced;
  if (row[kRowHolder] == "alive") holder = HolderState::kAlive;
  if (row[kRowHolder] == "expired") holder = HolderState::kExpired;
  return {.status = row[kRowStatus] == "signed" ? DutyStatus::kSigned : DutyStatus::kSigning,
          .message_hash = MessageHash::try_parse(row[kRowMessageHash].value_or("")),
          .signature = row[kRowSignature] ? Signature::try_parse(*row[kRowSignature]) : std::nullopt,
          .node_id = row[kRowNodeId].value_or(""),
          .lock_token = LockToken(row[kRowLockToken].value_or("")),
          .holder = holder};
}

/// Of several, a signed one counts first: it refuses for good.
void keep_better_alias(std::optional<DutyRow>& alias, DutyRow found) {
  if (!alias || (alias->status != DutyStatus::kSigned && found.status == DutyStatus::kSigned)) alias = std::move(found);
}

/// The duty of a row that was found by letter case. A block index that its type does not have is not part of the duty.
std::optional<DutyKey> written_duty_of(const Row& row) {
  const auto rollup = EthAddress::try_parse(row[kWrittenRollup].value_or(""));
  const auto validator = EthAddress::try_parse(row[kWrittenValidator].value_or(""));
  const auto slot = slot_of(row[kWrittenSlot]);
  const auto type = parse_duty_type(row[kWrittenDutyType].value_or(""));
  const auto index = number_of<std::int32_t>(row[kRowBlockIndex]);
  if (!rollup || !validator || !slot || !type || !index) return std::nullopt;
  return DutyKey{*rollup, *validator, *slot, *type, *type == DutyType::kBlockProposal ? *index : kNoBlockIndex};
}

DutyView::ReleasedMessage released_of(const Row& row) {
  return {.message_hash = MessageHash::try_parse(row[kRowMessageHash].value_or("")),
          .digest = MessageHash::try_parse(row[kRowLockToken].value_or("")),
          .signature = Signature::try_parse(row[kRowSignature].value_or("")),
          .node_id = row[kRowNodeId].value_or("")};
}

/// Views of the duties whose keys were sent in this order.
std::vector<DutyView> read_views(const SqlRows& rows, const std::vector<const DutyKey*>& keys) {
  std::vector<DutyView> views(keys.size());
  std::unordered_map<DutyKey, std::optional<DutyRow>, DutyKeyHash> in_upper_case;
  for (const Row& row : rows.rows) {
    HASIGNER_ASSERT(row.size() >= kLookColumns);
    const auto ord = number_of<std::size_t>(row[kOrd]);
    if (ord && row[kRowStatus] == "released") {
      views.at(*ord - 1).released = released_of(row);
      continue;
    }
    if (!ord) {
      if (const auto duty = written_duty_of(row)) keep_better_alias(in_upper_case[*duty], duty_row_of(row));
      continue;
    }
    HASIGNER_ASSERT(*ord >= 1 && *ord <= keys.size());
    DutyView& view = views[*ord - 1];
    view.watermarks = {slot_of(row[kLowSlot]), slot_of(row[kHighSlot])};
    if (!row[kRowStatus]) continue;
    if (number_of<std::int32_t>(row[kRowBlockIndex]) == keys[*ord - 1]->block_index) {
      view.row = duty_row_of(row);
    } else {
      keep_better_alias(view.alias, duty_row_of(row));
    }
  }
  if (in_upper_case.empty()) return views;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto found = in_upper_case.find(*keys[i]);
    if (found != in_upper_case.end()) keep_better_alias(views[i].alias, *found->second);
  }
  return views;
}

template <class Claims>
std::vector<const DutyKey*> keys_of(const Claims& claims, const Positions& positions) {
  std::vector<const DutyKey*> keys;
  keys.reserve(positions.size());
  for (const std::size_t position : positions) keys.push_back(&claims[position].duty.key);
  return keys;
}

/// The elements that claim_signed has applied.
std::vector<std::size_t> applied_ords_of(const SqlRows& rows) {
  std::vector<std::size_t> ords;
  for (const Row& row : rows.rows) {
    if (row.at(kApplied) == "t") ords.push_back(number_of<std::size_t>(row.at(kOrd)).value());
  }
  return ords;
}

StoreError cannot_claim_signed() {
  return {
      StoreErrorKind::kUnavailable,
      "the database has no function ha_signer_claim_signed() that this role may call, so it cannot claim and record "
      "at once; run: ha-signer migrate up --database-url URL"};
}

Parameters look_parameters(const std::vector<const DutyKey*>& keys) {
  KeyColumns columns(keys.size());
  for (const DutyKey* key : keys) columns.add(*key);
  return columns.finish();
}

/// Whether claims must outlive a crash of the server. A token that is not fenced was handed out to a caller, who signs
/// as soon as the claim is answered and may publish without a record.
bool must_last(const std::vector<DutyClaim>& claims, const Positions& positions) {
  return !std::ranges::all_of(
      positions, [&](std::size_t position) { return claims[position].token.kind() == TokenKind::kFenced; });
}

/// What both kinds of claims begin with: $1 to $9.
template <class Claims>
Parameters new_row_parameters(const Claims& claims, const Positions& positions) {
  KeyColumns keys(positions.size());
  BatchColumn block_numbers(positions.size()), checkpoint_numbers(positions.size()), hashes(positions.size()),
      tokens(positions.size());
  hashes.reserve(positions.size() * kHexHash + 2);
  tokens.reserve(positions.size() * kToken + 2);
  for (const std::size_t position : positions) {
    const Duty& duty = claims[position].duty;
    keys.add(duty.key);
    block_numbers.add_number(duty.block_number.value());
    checkpoint_numbers.add_number(duty.checkpoint_number.value());
    hashes.add_hex(duty.message_hash);
    tokens.add_quoted(claims[position].token.str());
  }
  Parameters parameters = keys.finish();
  for (BatchColumn* column : {&block_numbers, &checkpoint_numbers, &hashes, &tokens})
    parameters.emplace_back(column->finish());
  return parameters;
}

/// What both kinds go on with, after what each element brings along.
void add_how_to_claim(Parameters& parameters, const NodeId& node_id, const PostgresStoreOptions& options,
                      milliseconds lock_timeout) {
  parameters.emplace_back(node_id.str());
  parameters.emplace_back(options.keep_duties_for ? std::optional(std::to_string(options.keep_duties_for->count()))
                                                  : std::nullopt);
  parameters.emplace_back(std::to_string(lock_timeout.count()));
}

Parameters claim_parameters(const std::vector<DutyClaim>& claims, const Positions& positions, const NodeId& node_id,
                            const PostgresStoreOptions& options, milliseconds lock_timeout) {
  Parameters parameters = new_row_parameters(claims, positions);
  add_how_to_claim(parameters, node_id, options, lock_timeout);
  parameters.emplace_back(must_last(claims, positions) ? std::nullopt : std::optional<std::string>("off"));
  return parameters;
}

Parameters signed_claim_parameters(const std::vector<SignedClaim>& claims, const Positions& positions,
                                   const NodeId& node_id, const PostgresStoreOptions& options,
                                   milliseconds lock_timeout) {
  Parameters parameters = new_row_parameters(claims, positions);
  BatchColumn signatures(positions.size());
  signatures.reserve(positions.size() * kHexSignature + 2);
  for (const std::size_t position : positions) signatures.add_hex(claims[position].signature);
  parameters.emplace_back(signatures.finish());
  add_how_to_claim(parameters, node_id, options, lock_timeout);
  return parameters;
}

Parameters takeover_parameters(const std::vector<Takeover>& takeovers, const Positions& positions,
                               const NodeId& node_id, TakeoverKind kind) {
  KeyColumns keys(positions.size());
  BatchColumn hashes(positions.size()), seen(positions.size()), tokens(positions.size()),
      block_numbers(positions.size()), checkpoint_numbers(positions.size());
  for (const std::size_t position : positions) {
    const Takeover& takeover = takeovers[position];
    keys.add(takeover.duty.key);
    hashes.add_hex(takeover.duty.message_hash);
    seen.add_quoted(takeover.seen.str());
    tokens.add_quoted(takeover.token.str());
    block_numbers.add_number(takeover.duty.block_number.value());
    checkpoint_numbers.add_number(takeover.duty.checkpoint_number.value());
  }
  Parameters parameters = keys.finish();
  for (BatchColumn* column : {&hashes, &seen, &tokens}) parameters.emplace_back(column->finish());
  parameters.emplace_back(node_id.str());
  if (kind == TakeoverKind::kReplace) {
    parameters.emplace_back(block_numbers.finish());
    parameters.emplace_back(checkpoint_numbers.finish());
  }
  return parameters;
}

/// Each claim as a takeover of its own row.
std::vector<Takeover> takeovers_of_own_rows(const std::vector<DutyClaim>& claims) {
  std::vector<Takeover> takeovers;
  takeovers.reserve(claims.size());
  for (const DutyClaim& claim : claims)
    takeovers.push_back({TakeoverKind::kSameData, claim.duty, claim.token, claim.token});
  return takeovers;
}

Parameters record_parameters(const std::vector<DutyRecord>& records, const Positions& positions) {
  KeyColumns keys(positions.size());
  BatchColumn tokens(positions.size()), hashes(positions.size()), signatures(positions.size());
  tokens.reserve(positions.size() * kToken + 2);
  hashes.reserve(positions.size() * kHexHash + 2);
  signatures.reserve(positions.size() * kHexSignature + 2);
  for (const std::size_t position : positions) {
    const DutyRecord& record = records[position];
    keys.add(record.key);
    tokens.add_quoted(record.token.str());
    if (record.message_hash) {
      hashes.add_hex(*record.message_hash);
    } else {
      hashes.add_null();
    }
    signatures.add_hex(record.signature);
  }
  Parameters parameters = keys.finish();
  for (BatchColumn* column : {&tokens, &hashes, &signatures}) parameters.emplace_back(column->finish());
  return parameters;
}

Parameters release_parameters(const std::vector<DutyRelease>& releases, const Positions& positions) {
  KeyColumns keys(positions.size());
  BatchColumn tokens(positions.size());
  for (const std::size_t position : positions) {
    keys.add(releases[position].key);
    tokens.add_quoted(releases[position].token.str());
  }
  Parameters parameters = keys.finish();
  parameters.emplace_back(tokens.finish());
  return parameters;
}

/// The answer of a statement that names elements by their position in the arrays, from 1.
std::vector<std::size_t> ords_of(const SqlRows& rows) {
  std::vector<std::size_t> ords;
  for (const Row& row : rows.rows) ords.push_back(number_of<std::size_t>(row.at(0)).value());
  return ords;
}

/// A batch of positions, cut into parts in the same order.
std::vector<Positions> split(const Positions& positions) {
  std::vector<Positions> parts;
  const std::size_t size = (positions.size() + kParts - 1) / kParts;
  for (std::size_t begin = 0; begin < positions.size(); begin += size) {
    const auto from = positions.begin() + static_cast<std::ptrdiff_t>(begin);
    parts.emplace_back(from, from + static_cast<std::ptrdiff_t>(std::min(size, positions.size() - begin)));
  }
  return parts;
}

}  // namespace

PostgresStore::PostgresStore(std::shared_ptr<SqlExecutor> executor, Clock& clock, PostgresStoreOptions options)
    : executor_(std::move(executor)),
      clock_(clock),
      options_(options),
      known_(std::make_shared<KnownDatabase>()),
      look_again_(look_again(known_, options.without_timeline, options.leader)) {
  executor_->set_session_check(session_check(known_, options.without_timeline, options.leader));
}

StoreCapabilities PostgresStore::capabilities() const {
  StoreCapabilities capabilities;
  capabilities.signed_claims = known_->claims_signed;
  capabilities.parallel_batches = executor_->parallel_requests();
  return capabilities;
}

asio::awaitable<StoreResult<void>> PostgresStore::initialize(MonotonicTime deadline) {
  auto error = co_await read_database(deadline);
  if (error) co_return std::unexpected(read_error(*error));
  co_return StoreResult<void>{};
}

asio::awaitable<void> PostgresStore::close() {
  co_await executor_->close();
}

/// Looks at the database in a session that is open already. Nothing is written, so nothing is lost.
asio::awaitable<std::optional<SqlError>> PostgresStore::read_database(MonotonicTime deadline) {
  std::function<asio::awaitable<SqlReply>(SqlStatement)> ask = [this, deadline](SqlStatement statement) {
    return executor_->run(
        {.statements = {std::move(statement)}, .priority = SqlPriority::kHeartbeat, .deadline = deadline});
  };
  auto answer = co_await run_check(look_again_, std::move(ask));
  if (!answer) {
    SqlError error = std::move(answer.error());
    if (error.kind == SqlErrorKind::kLost) error.kind = SqlErrorKind::kNotSent;
    co_return error;
  }
  if (answer->refusal) co_return SqlError{SqlErrorKind::kIncompatible, {}, std::move(*answer->refusal)};
  co_return std::nullopt;
}

SqlRequest PostgresStore::request_for(const MakeStatements& make, const Call& call, int version) const {
  std::function<bool()> may_be_sent;
  if (call.asked_in) {
    may_be_sent = [known = known_, asked_in = call.asked_in] { return *known->epoch == *asked_in; };
  }
  return {.statements = make(sql_texts(version, call.form)),
          .priority = call.priority,
          .confirm = call.confirm,
          .deadline = call.deadline,
          .may_share_transaction = call.may_share_transaction,
          .may_be_sent = std::move(may_be_sent)};
}

/// Runs the statements for the version that is there; once more when it turns out that the version has changed.
asio::awaitable<SqlReply> PostgresStore::run(MakeStatements make, Call call) {
  if (known_->schema_version == 0) {
    auto error = co_await read_database(call.deadline);
    if (error) co_return std::unexpected(std::move(*error));
  }
  const int version = known_->schema_version;
  SqlRequest request = request_for(make, call, version);
  SqlReply reply = co_await executor_->run(std::move(request));
  if (reply || reply.error().sqlstate != kUndefinedColumn) co_return reply;
  auto error = co_await read_database(call.deadline);
  if (error) co_return std::unexpected(std::move(*error));
  if (known_->schema_version == version) co_return reply;
  SqlRequest again = request_for(make, call, known_->schema_version);
  SqlReply second_reply = co_await executor_->run(std::move(again));
  co_return second_reply;
}

asio::awaitable<SqlReply> PostgresStore::run_one(std::string SqlTexts::*text, Parameters parameters, Call call) {
  MakeStatements make = [this, text, parameters = std::move(parameters), call](const SqlTexts& texts) {
    Parameters all = parameters;
    if (call.in_known_history) {
      all.emplace_back(known_->table_oid);
      all.emplace_back(timeline_text(known_->epoch->timeline));
      all.emplace_back(known_->released_oid);
    }
    if (call.last_parameter) all.push_back(*call.last_parameter);
    return Statements{{texts.*text, std::move(all)}};
  };
  SqlReply reply = co_await run(std::move(make), call);
  co_return reply;
}

/// Runs a batch in parts, as small as it takes to keep a locked row from holding up the rest.
asio::awaitable<std::optional<StoreError>> PostgresStore::run_in_parts(WaitingBatch batch, std::size_t size,
                                                                       MonotonicTime deadline) {
  std::vector<Positions> parts;
  if (size > 0) parts.push_back(all_positions(size));
  const MonotonicTime lock_timeout_ends = std::min(deadline, clock_.now() + kClaimLockTimeout);
  milliseconds lock_timeout = kBatchLockTimeout;
  bool anything_written = false;

  while (!parts.empty()) {
    const Positions part = std::move(parts.back());
    parts.pop_back();
    MakeStatements make = [&](const SqlTexts& texts) { return batch.make(texts, part, lock_timeout); };
    const Call call = batch.call(part);
    SqlReply reply = co_await run(std::move(make), call);
    if (reply) {
      anything_written = true;
      batch.take(part, *reply);
      continue;
    }
    if (!met_another_transaction(reply.error())) {
      StoreError error = batch.error_of(reply.error());
      if (error.kind == StoreErrorKind::kInDoubt) ++losses_;
      // Parts that went before are written.
      const bool may_be_written =
          anything_written || (batch.error_may_hide_success && reply.error().kind == SqlErrorKind::kServer);
      if (may_be_written && error.kind == StoreErrorKind::kUnavailable) error.kind = StoreErrorKind::kInDoubt;
      co_return error;
    }
    lock_timeout = kPartLockTimeout;
    if (part.size() == 1 || clock_.now() >= lock_timeout_ends) {
      for (const std::size_t position : part) batch.give_back_locked(position);
      continue;
    }
    auto smaller = split(part);
    std::move(smaller.rbegin(), smaller.rend(), std::back_inserter(parts));
  }
  co_return std::nullopt;
}

StoreBatch<ClaimOutcome> PostgresStore::claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) {
  const auto asked_in = epoch();
  std::vector<ClaimOutcome> outcomes;
  outcomes.resize(claims.size());
  WaitingBatch batch;
  batch.make = [&](const SqlTexts& texts, const Positions& part, milliseconds lock_timeout) {
    Statements statements{{texts.claim, claim_parameters(claims, part, node_id, options_, lock_timeout)}};
    if (must_last(claims, part)) {
      // Writes the rows once more, as durable as a record. A claim that is repeated after a lost reply inserts nothing,
      // and only a commit that has written something waits for the disk and for replication.
      statements.push_back({texts.take_over, takeover_parameters(takeovers_of_own_rows(claims), part, node_id,
                                                                 TakeoverKind::kSameData)});
    }
    statements.push_back({texts.look, look_parameters(keys_of(claims, part))});
    return statements;
  };
  // All may stand in the claim's transaction: the look's snapshot is later than the insert, which has waited for
  // a transaction that deleted the duty; and a client that writes the duty under another key looks at nothing before.
  batch.call = [&](const Positions& part) {
    return Call{.priority = SqlPriority::kClaim,
                .deadline = deadline,
                .confirm = must_last(claims, part),
                .form = form_of(part.size()),
                .may_share_transaction = true,
                .asked_in = asked_in};
  };
  batch.take = [&](const Positions& part, const std::vector<SqlRows>& answers) {
    auto views = read_views(answers.back(), keys_of(claims, part));
    const bool to_last = must_last(claims, part);
    std::vector<bool> written(part.size(), !to_last);
    if (to_last) {
      for (const std::size_t ord : ords_of(answers.at(1))) written.at(ord - 1) = true;
    }
    for (std::size_t i = 0; i < part.size(); ++i) {
      const DutyClaim& claim = claims[part[i]];
      // A row of ours that was locked, or was not there yet when it was to be written again, may be lost in a crash.
      auto outcome = claim_outcome(claim.token, std::move(views[i]));
      if (outcome.outcome == RowOutcome::kApplied && !written[i]) outcome.outcome = RowOutcome::kLocked;
      outcomes[part[i]] = std::move(outcome);
    }
  };
  batch.give_back_locked = [&](std::size_t position) { outcomes[position].outcome = RowOutcome::kLocked; };
  // An error of the look may hide an insert that succeeded.
  batch.error_may_hide_success = true;
  auto error = co_await run_in_parts(std::move(batch), claims.size(), deadline);
  if (error) co_return std::unexpected(std::move(*error));
  co_return outcomes;
}

StoreBatch<SignedClaimOutcome> PostgresStore::claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                           MonotonicTime deadline) {
  const auto asked_in = epoch();
  if (known_->schema_version == 0) {
    auto unread = co_await read_database(deadline);
    if (unread) co_return std::unexpected(read_error(*unread));
  }
  std::vector<SignedClaimOutcome> outcomes;
  outcomes.resize(claims.size());
  // Without the function nothing is claimed at once: attempts that are under way claim and record instead.
  if (!known_->claims_signed) co_return outcomes;
  WaitingBatch batch;
  batch.make = [&](const SqlTexts& texts, const Positions& part, milliseconds lock_timeout) {
    Parameters parameters = signed_claim_parameters(claims, part, node_id, options_, lock_timeout);
    parameters.emplace_back(known_->table_oid);
    parameters.emplace_back(timeline_text(known_->epoch->timeline));
    parameters.emplace_back(known_->released_oid);
    return Statements{{texts.claim_signed, std::move(parameters)}};
  };
  batch.call = [&](const Positions& part) {
    return Call{.priority = SqlPriority::kClaim,
                .deadline = deadline,
                .confirm = true,
                .form = form_of(part.size()),
                .asked_in = asked_in};
  };
  batch.take = [&](const Positions& part, const std::vector<SqlRows>& answers) {
    auto views = read_views(answers.front(), keys_of(claims, part));
    for (std::size_t i = 0; i < part.size(); ++i) outcomes[part[i]].view = std::move(views[i]);
    for (const std::size_t ord : applied_ords_of(answers.front())) {
      outcomes[part.at(ord - 1)] = {.outcome = RowOutcome::kApplied, .view = {}};
    }
  };
  batch.give_back_locked = [&](std::size_t position) { outcomes[position].outcome = RowOutcome::kLocked; };
  batch.error_of = [&](const SqlError& error) {
    // Dropped, or no longer granted, since the session was checked: claims and records go on by themselves.
    const bool is_missing = error.sqlstate == kUndefinedFunction || error.sqlstate == kInsufficientPrivilege;
    if (is_missing) known_->claims_signed = false;
    return is_missing ? cannot_claim_signed() : store_error(error);
  };
  auto error = co_await run_in_parts(std::move(batch), claims.size(), deadline);
  if (error) co_return std::unexpected(std::move(*error));
  co_return outcomes;
}

StoreBatch<DutyView> PostgresStore::look(std::vector<DutyKey> keys, MonotonicTime deadline) {
  std::vector<DutyView> outcomes;
  if (!keys.empty()) {
    std::vector<const DutyKey*> pointers;
    for (const DutyKey& key : keys) pointers.push_back(&key);
    Parameters parameters = look_parameters(pointers);
    const Call call{.priority = SqlPriority::kPoll, .deadline = deadline, .form = form_of(keys.size())};
    SqlReply reply = co_await run_one(&SqlTexts::look, std::move(parameters), call);
    if (!reply) co_return std::unexpected(read_error(reply.error()));
    outcomes = read_views(reply->front(), pointers);
  }
  co_return outcomes;
}

/// Lets a statement change what it can, and finds out about the rest whether it did not match or was locked.
///
/// A row that was changed since the statement's snapshot looks as if it had been locked, so what is locked is tried
/// once more at once. So requests that are decided do not wait for those that are locked; only if none is
/// decided, the locked ones are waited for a while.
asio::awaitable<StoreResult<std::vector<RowOutcome>>> PostgresStore::change_rows(RowChange change, MakeParameters make,
                                                                                 Positions positions,
                                                                                 std::size_t count) {
  std::vector<RowOutcome> row_outcomes(count, RowOutcome::kLocked);
  const auto executor = co_await asio::this_coro::executor;
  const MonotonicTime give_up = std::min(change.call.deadline, clock_.now() + change.lock_timeout);
  const std::size_t all = positions.size();
  milliseconds pause = kShortestPause;
  for (int round = 1; !positions.empty(); ++round) {
    change.call.form = form_of(positions.size());
    Parameters parameters = make(positions);
    SqlReply changed = co_await run_one(change.change, std::move(parameters), change.call);
    if (!changed) {
      const StoreError error = store_error(changed.error());
      if (positions.size() == all || error.kind != StoreErrorKind::kUnavailable) co_return std::unexpected(error);
      break;
    }
    for (const std::size_t ord : ords_of(changed->front())) row_outcomes[positions.at(ord - 1)] = RowOutcome::kApplied;
    std::erase_if(positions, [&](std::size_t position) { return row_outcomes[position] == RowOutcome::kApplied; });
    if (positions.empty()) break;

    Call reading = change.call;
    reading.form = form_of(positions.size());
    reading.confirm = false;
    parameters = make(positions);
    SqlReply matching = co_await run_one(change.would_change, std::move(parameters), reading);
    if (!matching) {
      if (positions.size() == all) co_return std::unexpected(read_error(matching.error()));
      break;
    }
    Positions locked = ords_of(matching->front());
    std::ranges::sort(locked);
    for (const std::size_t position : positions) row_outcomes[position] = RowOutcome::kNotMatched;
    for (std::size_t& ord : locked) ord = positions.at(ord - 1);
    for (const std::size_t position : locked) row_outcomes[position] = RowOutcome::kLocked;
    positions = std::move(locked);

    if (round == 1) continue;
    if (positions.size() < all || clock_.now() >= give_up) break;
    const MonotonicTime next_round = std::min(give_up, clock_.now() + pause);
    co_await sleep_until(executor, clock_, next_round);
    pause = std::min(pause * 2, kLongestPause);
  }
  co_return row_outcomes;
}

StoreBatch<RowOutcome> PostgresStore::take_over(NodeId node_id, std::vector<Takeover> takeovers,
                                                MonotonicTime deadline) {
  const auto asked_in = epoch();
  std::vector<RowOutcome> outcomes;
  outcomes.resize(takeovers.size());
  for (const TakeoverKind kind : {TakeoverKind::kSameData, TakeoverKind::kReplace}) {
    Positions positions = all_positions(takeovers.size());
    std::erase_if(positions, [&](std::size_t position) { return takeovers[position].kind != kind; });
    const Positions of_this_kind = positions;
    MakeParameters make = [&](const Positions& some) { return takeover_parameters(takeovers, some, node_id, kind); };
    const bool taking_over = kind == TakeoverKind::kSameData;
    const RowChange change{
        .change = taking_over ? &SqlTexts::take_over : &SqlTexts::replace,
        .would_change = taking_over ? &SqlTexts::would_take_over : &SqlTexts::would_replace,
        .call = Call{.priority = SqlPriority::kClaim, .deadline = deadline, .confirm = true, .asked_in = asked_in},
        .lock_timeout = kTakeoverLockTimeout};
    auto row_outcomes = co_await change_rows(change, std::move(make), std::move(positions), takeovers.size());
    if (!row_outcomes) {
      StoreError error = std::move(row_outcomes.error());
      // The takeovers of the other kind went before, and are written.
      const bool others_are_written = of_this_kind.size() < takeovers.size() && !taking_over;
      if (others_are_written) error.kind = StoreErrorKind::kInDoubt;
      if (error.kind == StoreErrorKind::kInDoubt) ++losses_;
      co_return std::unexpected(std::move(error));
    }
    for (const std::size_t position : of_this_kind) outcomes[position] = (*row_outcomes)[position];
  }
  co_return outcomes;
}

StoreBatch<RowOutcome> PostgresStore::record(std::vector<DutyRecord> records, MonotonicTime deadline) {
  MakeParameters make = [&](const Positions& some) { return record_parameters(records, some); };
  const RowChange change{.change = &SqlTexts::record,
                         .would_change = &SqlTexts::would_record,
                         .call = Call{.priority = SqlPriority::kRecord,
                                      .deadline = deadline,
                                      .confirm = true,
                                      .in_known_history = true,
                                      .asked_in = epoch()},
                         .lock_timeout = kRecordLockTimeout};
  auto row_outcomes = co_await change_rows(change, std::move(make), all_positions(records.size()), records.size());
  if (!row_outcomes) co_return std::unexpected(row_outcomes.error());
  co_return std::move(*row_outcomes);
}

/// Whether lost sessions have ended is asked before the rows are deleted: what such a session did until then, the
/// deletion sees.
asio::awaitable<StoreResult<ReleaseReply>> PostgresStore::release(std::vector<DutyRelease> releases,
                                                                  MonotonicTime deadline) {
  ReleaseReply answer;
  if (settled_losses_ < losses_) {
    const std::size_t asked_about = losses_;
    auto alive = co_await executor_->lost_sessions_alive(deadline);
    answer.settled = alive.has_value() && !*alive;
    if (answer.settled) settled_losses_ = std::max(settled_losses_, asked_about);
  }
  MakeParameters make = [&](const Positions& some) { return release_parameters(releases, some); };
  const RowChange change{.change = &SqlTexts::release,
                         .would_change = &SqlTexts::would_release,
                         .call = Call{SqlPriority::kRelease, deadline},
                         .lock_timeout = kReleaseLockTimeout};
  auto row_outcomes = co_await change_rows(change, std::move(make), all_positions(releases.size()), releases.size());
  if (!row_outcomes) co_return std::unexpected(row_outcomes.error());
  answer.outcomes = std::move(*row_outcomes);
  co_return answer;
}

namespace {

StoreError not_registered(const NodeId& node_id) {
  return {StoreErrorKind::kUnavailable, "node " + printable(node_id.str()) + " is not registered"};
}

Parameters confirm_stored_parameters(const std::vector<StoredSignature>& signatures, const NodeId& node_id) {
  KeyColumns keys(signatures.size());
  BatchColumn hashes(signatures.size()), texts(signatures.size());
  for (const StoredSignature& stored : signatures) {
    keys.add(stored.key);
    hashes.add_hex(stored.message_hash);
    texts.add_hex(stored.signature);
  }
  Parameters parameters = keys.finish();
  parameters.emplace_back(hashes.finish());
  parameters.emplace_back(texts.finish());
  parameters.emplace_back(node_id.str());
  return parameters;
}

std::string names_of(const std::vector<DutyType>& types) {
  std::string names;
  for (const DutyType type : types) names += (names.empty() ? "" : ",") + std::string(to_string(type));
  return names;
}

Parameters claimed_parameters(const std::vector<ClaimedMessage>& messages, const NodeId& node_id) {
  const std::size_t count = messages.size();
  BatchColumn rollups(count), validators(count), hashes(count), digests(count), signatures(count), types(count),
      slots(count);
  for (const ClaimedMessage& message : messages) {
    rollups.add_hex(message.key.rollup);
    validators.add_hex(message.key.validator);
    hashes.add_hex(message.key.message_hash);
    digests.add_hex(message.key.digest);
    if (message.signature) {
      signatures.add_hex(*message.signature);
    } else {
      signatures.add_null();
    }
    types.add_quoted(names_of(message.duty_types));
    if (message.slot) {
      slots.add_number(message.slot->value());
    } else {
      slots.add_null();
    }
  }
  Parameters parameters;
  for (BatchColumn* column : {&rollups, &validators, &hashes, &digests, &signatures, &types, &slots})
    parameters.emplace_back(column->finish());
  parameters.emplace_back(node_id.str());
  return parameters;
}

/// One bound for a batch: it is that of the moment.
std::optional<std::string> latest_slot_of(const std::vector<ClaimedMessage>& messages) {
  std::optional<Slot> latest;
  for (const auto& message : messages) {
    if (message.latest_slot && (!latest || *message.latest_slot < *latest)) latest = message.latest_slot;
  }
  return latest ? std::optional(latest->to_string()) : std::nullopt;
}

/// What one row *signing* of a claimed message says about it.
ClaimedOutcome claimed_outcome(const Row& row, const ClaimedMessage& message) {
  const DutyKey duty{message.key.rollup, message.key.validator, slot_of(row[kClaimedSlot]).value(),
                     parse_duty_type(row[kClaimedDutyType].value_or("")).value(),
                     number_of<std::int32_t>(row[kClaimedBlockIndex]).value()};
  if (row[kIsWritten] == "t") {
    return Released{
        .signature = row[kReleasedSignature] ? Signature::try_parse(*row[kReleasedSignature]) : std::nullopt,
        .duties = {duty}};
  }
  const bool is_other = row[kReleasedHash] && (row[kReleasedHash] != message.key.message_hash.to_string() ||
                                               row[kReleasedDigest] != message.key.digest.to_string());
  if (is_other) {
    return SlashingProtection{duty, *row[kReleasedHash], message.key.message_hash, row[kReleasedBy].value_or("")};
  }
  if (row[kOtherHash]) {
    return SlashingProtection{duty, *row[kOtherHash], message.key.message_hash, row[kOtherNode].value_or("")};
  }
  if (const auto low = slot_of(row[kClaimedLowSlot]); low && duty.slot <= *low) {
    return OutsideWatermark{duty, OutsideWatermark::Bound::kLow, *low};
  }
  if (const auto high = slot_of(row[kClaimedHighSlot]); high && duty.slot > *high) {
    return OutsideWatermark{duty, OutsideWatermark::Bound::kHigh, *high};
  }
  return ClaimLocked{};
}

/// A message that is claimed for several duties is released only if it is released for all of them: which of them it
/// belongs to is not known.
std::vector<ClaimedOutcome> claimed_outcomes(const SqlRows& rows, const std::vector<ClaimedMessage>& messages) {
  std::vector<ClaimedOutcome> outcomes(messages.size(), NotClaimed{});
  for (const Row& row : rows.rows) {
    HASIGNER_ASSERT(row.size() == kReleasedColumns);
    const std::size_t at = number_of<std::size_t>(row[kClaimedOrd]).value() - 1;
    ClaimedOutcome& outcome = outcomes.at(at);
    auto found = claimed_outcome(row, messages[at]);
    const auto* one_more = std::get_if<Released>(&found);
    const bool keeps = one_more && !std::holds_alternative<NotClaimed>(outcome);
    if (auto* released = std::get_if<Released>(&outcome); released && one_more) {
      released->duties.push_back(one_more->duties.front());
    }
    const bool is_refused =
        std::holds_alternative<SlashingProtection>(outcome) || std::holds_alternative<OutsideWatermark>(outcome);
    if (!keeps && !is_refused) outcome = std::move(found);
  }
  return outcomes;
}

Parameters registration_parameters(const NodeRegistration& registration) {
  return {registration.node_id.str(), hex_of(registration.incarnation), std::to_string(registration.lease.count())};
}

}  // namespace

StoreBatch<bool> PostgresStore::confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                               MonotonicTime deadline) {
  std::vector<bool> outcomes;
  outcomes.resize(signatures.size(), false);
  Parameters parameters = confirm_stored_parameters(signatures, node_id);
  const Call call{.priority = SqlPriority::kRecord,
                  .deadline = deadline,
                  .confirm = true,
                  .in_known_history = true,
                  .form = form_of(signatures.size()),
                  .asked_in = epoch()};
  SqlReply reply = co_await run_one(&SqlTexts::confirm_stored, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  bool is_written = false;
  for (const Row& row : reply->front().rows) {
    const auto ord = number_of<std::size_t>(row.at(0));
    if (ord) outcomes.at(*ord - 1) = true;
    is_written = is_written || !ord;
  }
  if (!is_written) co_return std::unexpected(not_registered(node_id));
  co_return outcomes;
}

StoreBatch<ClaimedOutcome> PostgresStore::release_claimed(NodeId node_id, std::vector<ClaimedMessage> messages,
                                                          MonotonicTime deadline) {
  Parameters parameters = claimed_parameters(messages, node_id);
  const Call call{.priority = SqlPriority::kRecord,
                  .deadline = deadline,
                  .confirm = true,
                  .in_known_history = true,
                  .form = form_of(messages.size()),
                  .last_parameter = latest_slot_of(messages),
                  .asked_in = epoch()};
  SqlReply reply = co_await run_one(&SqlTexts::release_claimed, std::move(parameters), call);
  std::vector<ClaimedOutcome> outcomes;
  if (!reply && met_another_transaction(reply.error())) {
    outcomes.resize(messages.size(), ClaimLocked{});
    co_return outcomes;
  }
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  outcomes = claimed_outcomes(reply->front(), messages);
  co_return outcomes;
}

namespace {

FoundDuty found_duty_of(const Row& row) {
  HASIGNER_ASSERT(row.size() == kAboutColumns);
  const auto text = [&](AboutColumn column) { return row[column].value_or(""); };
  const auto what = text(kAboutWhat);
  return {.what = what == "row"        ? FoundDuty::What::kRow
                  : what == "released" ? FoundDuty::What::kReleased
                                       : FoundDuty::What::kInstead,
          .rollup = text(kAboutRollup),
          .validator = text(kAboutValidator),
          .slot = text(kAboutSlot),
          .duty_type = text(kAboutDutyType),
          .block_index = text(kAboutBlockIndex),
          .status = text(kAboutStatus),
          .message_hash = text(kAboutMessageHash),
          .node_id = text(kAboutNodeId)};
}

}  // namespace

asio::awaitable<StoreResult<std::vector<FoundDuty>>> PostgresStore::about_message(ClaimedMessage message,
                                                                                  MonotonicTime deadline) {
  const auto& key = message.key;
  Parameters parameters{key.rollup.to_string(), key.validator.to_string(), key.message_hash.to_string(),
                        names_of(message.duty_types),
                        message.slot ? std::optional(message.slot->to_string()) : std::nullopt};
  const Call call{SqlPriority::kBackground, deadline};
  SqlReply reply = co_await run_one(&SqlTexts::about_message, std::move(parameters), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  std::vector<FoundDuty> found;
  for (const Row& row : reply->front().rows) found.push_back(found_duty_of(row));
  co_return found;
}

asio::awaitable<StoreResult<RegistrationOutcome>> PostgresStore::register_node(NodeRegistration registration,
                                                                               MonotonicTime deadline) {
  MakeStatements make = [&](const SqlTexts& texts) {
    Parameters parameters = registration_parameters(registration);
    const std::string& silent = registration.silent_heartbeat;
    parameters.emplace_back(silent.empty() ? std::nullopt : std::optional(silent));
    return Statements{{texts.register_node, std::move(parameters)}, {texts.holder, {registration.node_id.str()}}};
  };
  const Call call{SqlPriority::kHeartbeat, deadline};
  SqlReply reply = co_await run(std::move(make), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  RegistrationOutcome outcome;
  outcome.registered = !reply->at(0).rows.empty();
  if (outcome.registered || reply->at(1).rows.empty()) co_return outcome;
  const Row& holder = reply->at(1).rows[0];
  outcome.holder = holder.at(0).value_or("");
  outcome.heartbeat = holder.at(1).value_or("");
  co_return outcome;
}

asio::awaitable<StoreResult<bool>> PostgresStore::renew(NodeRegistration registration, MonotonicTime deadline) {
  Parameters parameters = registration_parameters(registration);
  const Call call{SqlPriority::kHeartbeat, deadline};
  SqlReply reply = co_await run_one(&SqlTexts::renew, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  co_return !reply->front().rows.empty();
}

asio::awaitable<StoreResult<void>> PostgresStore::end_lease(NodeRegistration registration, MonotonicTime deadline) {
  Parameters parameters{registration.node_id.str(), hex_of(registration.incarnation)};
  const Call call{SqlPriority::kHeartbeat, deadline};
  SqlReply reply = co_await run_one(&SqlTexts::end_lease, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  co_return StoreResult<void>{};
}

namespace {

/// Which texts carry a removal out, and with what.
struct RemovalTexts {
  std::string SqlTexts::*remove;
  Parameters remove_parameters;
  std::string SqlTexts::*count;
  Parameters count_parameters;
};

RemovalTexts removal_texts(const RemovalRequest& request) {
  const std::string limit = std::to_string(request.limit);
  const std::string age = std::to_string(request.max_age.count());
  const std::string& node_id = request.node_id.str();
  switch (request.what) {
    case Removal::kAbandoned:
      return {&SqlTexts::remove_abandoned, {node_id, limit}, &SqlTexts::count_abandoned, {node_id}};
    case Removal::kStuck:
      return {&SqlTexts::remove_stuck, {node_id, limit, age}, &SqlTexts::count_stuck, {node_id, age}};
    case Removal::kOld: return {&SqlTexts::remove_old, {limit, age}, &SqlTexts::count_old, {age}};
    case Removal::kExpired: return {&SqlTexts::remove_expired, {limit}, &SqlTexts::count_expired, {}};
    case Removal::kReleased: return {&SqlTexts::remove_released, {limit, age}, &SqlTexts::count_released, {age}};
    case Removal::kOtherRollups: {
      const std::string rollup = request.rollup.to_string();
      return {&SqlTexts::remove_other_rollups, {limit, age, rollup}, &SqlTexts::count_other_rollups, {age, rollup}};
    }
  }
  HASIGNER_ASSERT(false);
}

}  // namespace

asio::awaitable<StoreResult<RemovalOutcome>> PostgresStore::remove(RemovalRequest request, MonotonicTime deadline) {
  const bool was_checked = retention_under_way_ == request.what && clock_.now() < retention_checked_until_;
  if (deletes_signed(request.what) && !was_checked) {
    retention_under_way_.reset();
    auto recent = co_await foreign_rows_are_recent(deadline);
    if (!recent) co_return std::unexpected(recent.error());
    if (*recent) co_return RemovalOutcome{.removed = 0, .refused_for_foreign_nodes = true};
    retention_checked_until_ = clock_.now() + kForeignNodeAnswerHolds;
  }
  RemovalTexts texts = removal_texts(request);
  MakeStatements make = [texts](const SqlTexts& all) {
    // A version without the column has no rows to remove by it.
    if ((all.*texts.remove).empty()) return Statements{};
    return Statements{{all.*texts.remove, texts.remove_parameters}};
  };
  const Call call{SqlPriority::kBackground, deadline};
  SqlReply reply = co_await run(std::move(make), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  RemovalOutcome outcome;
  if (!reply->empty()) outcome.removed = reply->front().affected;
  const bool goes_on = deletes_signed(request.what) && outcome.removed > 0 && outcome.removed >= request.limit;
  if (goes_on) {
    retention_under_way_ = request.what;
  } else if (retention_under_way_ == request.what) {
    retention_under_way_.reset();
  }
  co_return outcome;
}

/// Asks hour by hour, so that no statement reads more rows than an hour made.
asio::awaitable<StoreResult<bool>> PostgresStore::foreign_rows_are_recent(MonotonicTime deadline) {
  MakeStatements make = [](const SqlTexts& texts) {
    Statements statements;
    for (auto hour = kForeignNodeMemory.count(); hour >= 1; --hour) {
      // The newest hour has no end: a foreign node's clock may be ahead by its time zone.
      const auto until = hour == 1 ? std::nullopt : std::optional(std::to_string(hour - 1));
      statements.push_back({texts.foreign_rows, {std::to_string(hour), until}});
    }
    return statements;
  };
  const Call call{SqlPriority::kBackground, deadline};
  SqlReply reply = co_await run(std::move(make), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  co_return std::ranges::any_of(*reply, [](const SqlRows& hour) { return !hour.rows.empty(); });
}

asio::awaitable<StoreResult<RemovalPreview>> PostgresStore::preview(RemovalRequest request, MonotonicTime deadline) {
  RemovalTexts texts = removal_texts(request);
  MakeStatements make = [texts](const SqlTexts& all) {
    if ((all.*texts.count).empty()) return Statements{};
    return Statements{{all.*texts.count, texts.count_parameters}};
  };
  const Call call{SqlPriority::kBackground, deadline};
  SqlReply reply = co_await run(std::move(make), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  RemovalPreview preview;
  if (!reply->empty()) preview.rows = number_of<std::size_t>(reply->front().rows.at(0).at(0)).value_or(0);
  co_return preview;
}

}  // namespace hasigner::postgres
