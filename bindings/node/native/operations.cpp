#include "operations.hpp"

#include "hasigner/store/postgres/libpq_executor.hpp"
#include "hasigner/store/postgres/sql_errors.hpp"

namespace hasigner::node {

namespace {

/// Longer than the longest possible time-out of a sign function.
constexpr auto kLongestSigning = std::chrono::hours(25);
constexpr milliseconds kStepTimeout{10'000};

using Fields = std::vector<std::pair<std::string, std::string>>;

/// The fields of JavaScript's error classes beside the kind and the sentence.
struct FieldsOf {
  Fields operator()(const DutyAlreadySigned& e) const {
    Fields fields{{"signedByNode", e.signed_by}, {"blockIndex", std::to_string(e.duty.block_index)}};
    if (e.signature) fields.emplace_back("signature", e.signature->to_string());
    return fields;
  }
  Fields operator()(const SlashingProtection& e) const {
    return {{"signedByNode", e.signed_by},
            {"blockIndex", std::to_string(e.duty.block_index)},
            {"existing", e.existing_hash},
            {"attempted", e.attempted_hash.to_string()}};
  }
  Fields operator()(const SigningLockLost& e) const { return {{"nodeId", e.node_id}, {"reason", e.reason}}; }
  Fields operator()(const InDoubt& e) const { return {{"reason", e.reason}}; }
  Fields operator()(const Unavailable& e) const { return {{"reason", e.reason}}; }
  Fields operator()(const InvalidInput& e) const { return {{"field", e.field}}; }
  Fields operator()(const auto&) const { return {}; }
};

Event rejection_of(const SigningError& error) {
  return rejection(0, std::string(kind_name(error)), message(error), std::visit(FieldsOf{}, error));
}

Event rejection_of(const StoreError& error) {
  switch (error.kind) {
    case StoreErrorKind::kUnavailable: return rejection(0, "unavailable", error.reason);
    case StoreErrorKind::kInDoubt: return rejection(0, "in_doubt", error.reason);
    case StoreErrorKind::kIncompatible: return rejection(0, "incompatible", error.reason);
  }
  HASIGNER_ASSERT(false);
}

Event resolved() {
  return Event{EventKind::kResolve, 0, {}};
}

Event resolved(MakeValue make) {
  return Event{EventKind::kResolve, 0, std::move(make)};
}

Event resolved_with(bool value) {
  return resolved([value](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, value); });
}

Event resolved_with(std::string text) {
  return Event{EventKind::kResolve, 0, std::move(text)};
}

Napi::Value array_of(Napi::Env env, const postgres::SqlRows& rows) {
  Napi::Array all = Napi::Array::New(env, rows.rows.size());
  std::uint32_t number = 0;
  for (const auto& row : rows.rows) {
    Napi::Array one = Napi::Array::New(env, row.size());
    std::uint32_t column = 0;
    for (const auto& text : row) {
      one.Set(column++, text ? Napi::Value(Napi::String::New(env, *text)) : Napi::Value(env.Null()));
    }
    all.Set(number++, one);
  }
  return all;
}

MonotonicTime step_deadline(const AddonContextPtr& context) {
  return context->environment->clock()->now() + kStepTimeout;
}

}  // namespace

asio::awaitable<Event> open_pool(AddonContextPtr context, postgres::PoolConfig config, milliseconds open_timeout,
                                 Opened<OpenedPool> opened) {
  const auto executor = context->environment->executor();
  auto created = postgres::LibpqExecutor::create(executor, std::move(config));
  if (!created) co_return rejection(0, "configuration", created.error().message());
  const std::shared_ptr<postgres::LibpqExecutor> libpq = *created;
  auto connected = co_await libpq->connect_first(context->environment->clock()->now() + open_timeout);
  if (!connected) {
    co_await libpq->close();
    co_return rejection_of(postgres::store_error(connected.error()));
  }
  const auto with_texts = std::make_shared<TextExecutor>(libpq, context->texts);
  opened->emplace(OpenedPool{libpq, std::make_shared<SharedSqlPool>(with_texts)});
  co_return resolved();
}

asio::awaitable<Event> query_pool(std::shared_ptr<postgres::SqlExecutor> executor, MonotonicTime deadline,
                                  std::shared_ptr<const std::string> text,
                                  std::vector<std::optional<std::string>> values) {
  postgres::SqlRequest request{.priority = postgres::SqlPriority::kRecord, .confirm = true, .deadline = deadline};
  request.statements.push_back({*text, std::move(values)});
  auto reply = co_await executor->run(std::move(request));
  if (!reply) {
    const auto& error = reply.error();
    co_return rejection(0, "query", error.message, {{"code", error.sqlstate}});
  }
  MakeValue make = [rows = std::move(reply->front())](Napi::Env env) -> Napi::Value {
    Napi::Object result = Napi::Object::New(env);
    result.Set("rows", array_of(env, rows));
    result.Set("rowCount", Napi::Number::New(env, static_cast<double>(rows.affected)));
    return result;
  };
  co_return resolved(std::move(make));
}

asio::awaitable<Event> close_pool(std::shared_ptr<postgres::SqlExecutor> executor) {
  co_await executor->close();
  co_return resolved();
}

asio::awaitable<Event> open_store_for_node(AddonContextPtr context, StoreSettings settings, Opened<NodeStore> opened) {
  std::optional<StartupError> failure;
  std::string imported;
  const bool keeps_texts = settings.sql_pool != nullptr;
  try {
    auto store =
        co_await open_store(std::move(settings), context->environment->executor(), context->environment->clock());
    opened->emplace(NodeStore{store.store, store.history, keeps_texts});
    imported = store.imported;
  } catch (const StartupError& error) {
    failure = error;
  }
  if (!failure) co_return imported.empty() ? resolved() : resolved_with(imported);
  switch (failure->kind()) {
    case StartupError::Kind::kConfiguration: co_return rejection(0, "configuration", failure->what());
    case StartupError::Kind::kUnavailable: co_return rejection(0, "unavailable", failure->what());
    case StartupError::Kind::kIncompatible: break;
  }
  co_return rejection(0, "incompatible", failure->what());
}

asio::awaitable<Event> close_store(std::shared_ptr<Store> store) {
  co_await store->close();
  co_return resolved();
}

asio::awaitable<Event> start_signer(std::shared_ptr<HaSigner> signer) {
  auto started = co_await signer->start();
  if (!started) co_return rejection_of(started.error());
  co_return resolved();
}

asio::awaitable<Event> stop_signer(std::shared_ptr<HaSigner> signer) {
  co_await signer->stop();
  co_return resolved();
}

namespace {

asio::awaitable<SignOutcome> ask_for_signature(AddonContextPtr context, CallId id, bool keeps_texts,
                                               std::shared_ptr<Signature> last) {
  const auto& environment = context->environment;
  Event question{EventKind::kSign, id, {}};
  auto outcome = co_await Answers<SignOutcome>::ask(context->signatures, environment, std::move(question),
                                                    environment->clock()->now() + kLongestSigning);
  if (!outcome) co_return std::unexpected("the sign function did not return a signature");
  if (*outcome) *last = **outcome;
  if (*outcome && !keeps_texts && context->texts->is_stand_in(**outcome)) {
    co_return std::unexpected("the signature is not 0x and 130 hexadecimal digits");
  }
  co_return std::move(*outcome);
}

}  // namespace

asio::awaitable<Event> sign(AddonContextPtr context, NodeSigner signer, CallId id, SignRequest request) {
  const auto last = std::make_shared<Signature>();
  SignFunction sign_function = [context, id, keeps_texts = signer.keeps_texts, last](SignRequest) {
    return ask_for_signature(context, id, keeps_texts, last);
  };
  auto signature =
      co_await signer.signer->sign_with_protection(std::move(request), std::move(sign_function), signer.effects);
  // Drops the answer of a sign function that has not returned.
  context->signatures->give(id, std::unexpected("the attempt has ended"));
  context->texts->forget(*last);
  if (!signature) co_return rejection_of(signature.error());
  co_return resolved();
}

asio::awaitable<Event> check_and_record(std::shared_ptr<HaSigner> signer, SignRequest request) {
  auto held = co_await signer->check_and_record(std::move(request));
  if (!held) co_return rejection_of(held.error());
  co_return resolved_with(held->lock_token.str());
}

asio::awaitable<Event> record_success(AddonContextPtr context, std::shared_ptr<HaSigner> signer, HeldDuty held,
                                      std::string text) {
  const auto signature = context->texts->signature_of(text);
  if (!signature) co_return rejection(0, "invalid_input", signature.error());
  auto recorded = co_await signer->record_success(std::move(held), *signature);
  context->texts->forget(*signature);
  if (recorded) co_return resolved_with(true);
  if (std::holds_alternative<SigningLockLost>(recorded.error())) co_return resolved_with(false);
  co_return rejection_of(recorded.error());
}

asio::awaitable<Event> delete_duty(std::shared_ptr<HaSigner> signer, HeldDuty held) {
  auto deleted = co_await signer->delete_duty(std::move(held));
  if (!deleted) co_return rejection_of(deleted.error());
  co_return resolved_with(*deleted);
}

namespace {

Napi::Value object_of(Napi::Env env, const DutyEntry& entry) {
  Napi::Object row = Napi::Object::New(env);
  row.Set("rollup_address", entry.rollup);
  row.Set("validator_address", entry.validator);
  row.Set("slot", entry.slot);
  row.Set("block_number", entry.block_number);
  row.Set("checkpoint_number", entry.checkpoint_number);
  row.Set("block_index_within_checkpoint", entry.block_index);
  row.Set("duty_type", entry.duty_type);
  row.Set("status", entry.status);
  row.Set("message_hash", entry.message_hash);
  row.Set("signature", entry.signature);
  row.Set("node_id", entry.node_id);
  row.Set("lock_token", entry.lock_token);
  row.Set("started_at", entry.started_at);
  row.Set("completed_at", entry.completed_at);
  return row;
}

/// A token of a foreign incarnation: the row belongs to the caller.
LockToken handed_out_token(const AddonContextPtr& context) {
  Incarnation incarnation;
  context->environment->random()->fill(incarnation.bytes());
  std::array<std::uint8_t, 7> random{};
  context->environment->random()->fill(random);
  return LockToken::make(incarnation, TokenKind::kHandedOut, random);
}

asio::awaitable<std::expected<DutyEntry, StoreError>> row_of(AddonContextPtr context, NodeStore store, DutyKey key) {
  DutyFilter filter{.rollup = key.rollup,
                    .validator = key.validator,
                    .from_slot = key.slot,
                    .to_slot = key.slot,
                    .duty_type = key.duty_type};
  auto rows = co_await store.history->duties(std::move(filter), step_deadline(context));
  if (!rows) co_return std::unexpected(rows.error());
  for (auto& row : *rows) {
    if (row.block_index == std::to_string(key.block_index)) co_return std::move(row);
  }
  co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "the duty was deleted meanwhile; ask again"});
}

}  // namespace

asio::awaitable<Event> try_insert(AddonContextPtr context, NodeStore store, NodeId node_id, Duty duty) {
  const DutyClaim claim{duty, handed_out_token(context)};
  std::vector<DutyClaim> claims{claim};
  auto reply = co_await store.store->claim(std::move(node_id), std::move(claims), step_deadline(context));
  if (!reply) co_return rejection_of(reply.error());
  const auto& row = reply->front().view.row;
  const bool is_new = row && row->lock_token == claim.token;
  auto entry = co_await row_of(context, store, duty.key);
  if (!entry) co_return rejection_of(entry.error());
  MakeValue make = [is_new, entry = std::move(*entry)](Napi::Env env) -> Napi::Value {
    Napi::Object result = Napi::Object::New(env);
    result.Set("isNew", Napi::Boolean::New(env, is_new));
    result.Set("row", object_of(env, entry));
    return result;
  };
  co_return resolved(std::move(make));
}

asio::awaitable<Event> update_signed(AddonContextPtr context, NodeStore store, DutyKey key, LockToken token,
                                     std::string text) {
  const auto signature = Signature::parse(text);
  if (!signature) co_return rejection(0, "invalid_input", signature.error().message());
  std::vector<DutyRecord> records{DutyRecord{std::move(key), std::move(token), std::nullopt, *signature}};
  auto reply = co_await store.store->record(std::move(records), step_deadline(context));
  if (!reply) co_return rejection_of(reply.error());
  co_return resolved_with(reply->front() == RowOutcome::kApplied);
}

asio::awaitable<Event> release_duty(AddonContextPtr context, NodeStore store, DutyKey key, LockToken token) {
  std::vector<DutyRelease> releases{DutyRelease{std::move(key), std::move(token)}};
  auto reply = co_await store.store->release(std::move(releases), step_deadline(context));
  if (!reply) co_return rejection_of(reply.error());
  co_return resolved_with(reply->outcomes.front() == RowOutcome::kApplied);
}

asio::awaitable<Event> remove_duties(AddonContextPtr context, NodeStore store, RemovalRequest request) {
  std::size_t removed = 0;
  for (bool goes_on = true; goes_on;) {
    auto outcome = co_await store.store->remove(request, step_deadline(context));
    if (!outcome) co_return rejection_of(outcome.error());
    removed += outcome->removed;
    goes_on = outcome->removed >= request.limit;
  }
  MakeValue make = [removed](Napi::Env env) -> Napi::Value {
    return Napi::Number::New(env, static_cast<double>(removed));
  };
  co_return resolved(std::move(make));
}

}  // namespace hasigner::node
