#include "callers_store.hpp"

namespace hasigner::node {

namespace {

constexpr std::size_t kCallsAtOnce = 1024;

StoreError no_answer(const CallReply& reply) {
  // A second call could find our own row and take it for a row of another node. So the caller gets the error at once.
  return {StoreErrorKind::kIncompatible, reply.error};
}

/// `[database, method, rollup, validator, slot, duty type, block index, …]`
Napi::Array question_of(Napi::Env env, std::uint32_t database, const char* method, const DutyKey& key) {
  Napi::Array question = Napi::Array::New(env);
  std::uint32_t index = 0;
  question.Set(index++, Napi::Number::New(env, database));
  question.Set(index++, Napi::String::New(env, method));
  question.Set(index++, Napi::String::New(env, key.rollup.to_string()));
  question.Set(index++, Napi::String::New(env, key.validator.to_string()));
  question.Set(index++, Napi::String::New(env, key.slot.to_string()));
  question.Set(index++, Napi::String::New(env, std::string(to_string(key.duty_type))));
  question.Set(index++, Napi::Number::New(env, key.block_index));
  return question;
}

void append(Napi::Array& question, const std::string& text) {
  question.Set(question.Length(), Napi::String::New(question.Env(), text));
}

}  // namespace

CallersStore::CallersStore(std::shared_ptr<Environment> environment, std::shared_ptr<Answers<CallReply>> answers,
                           std::shared_ptr<SignatureTexts> texts, std::uint32_t database)
    : environment_(std::move(environment)),
      answers_(std::move(answers)),
      texts_(std::move(texts)),
      database_(database) {}

StoreCapabilities CallersStore::capabilities() const {
  return {.same_token_retry = false, .take_over = false, .registry = false, .parallel_batches = kCallsAtOnce};
}

asio::awaitable<CallReply> CallersStore::call(MakeValue question, MonotonicTime deadline) {
  Event event{EventKind::kCall, environment_->next_id(), std::move(question)};
  auto reply = co_await Answers<CallReply>::ask(answers_, environment_, std::move(event), deadline);
  if (!reply) co_return CallReply{.error = "the database object did not answer in time"};
  co_return std::move(*reply);
}

/// Batches have one duty: lib/callers_database.js sets the setting maxBatch.
StoreBatch<ClaimOutcome> CallersStore::claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) {
  std::vector<ClaimOutcome> outcomes;
  for (const DutyClaim& claim : claims) {
    MakeValue make = [database = database_, duty = claim.duty, node = node_id.str()](Napi::Env env) -> Napi::Value {
      Napi::Array question = question_of(env, database, "claim", duty.key);
      append(question, duty.message_hash.to_string());
      append(question, node);
      append(question, duty.block_number.to_string());
      append(question, duty.checkpoint_number.to_string());
      return question;
    };
    CallReply reply = co_await call(std::move(make), deadline);
    if (!reply.error.empty()) co_return std::unexpected(no_answer(reply));
    auto token = reply.yes ? reply.row.lock_token : LockToken{};
    outcomes.push_back(claim_outcome(std::move(token), {.row = std::move(reply.row), .alias = {}, .watermarks = {}}));
  }
  co_return outcomes;
}

StoreBatch<DutyView> CallersStore::look(std::vector<DutyKey> keys, MonotonicTime) {
  co_return std::vector<DutyView>(keys.size());
}

StoreBatch<RowOutcome> CallersStore::take_over(NodeId, std::vector<Takeover> takeovers, MonotonicTime) {
  co_return std::vector<RowOutcome>(takeovers.size(), RowOutcome::kNotMatched);
}

StoreBatch<RowOutcome> CallersStore::record(std::vector<DutyRecord> records, MonotonicTime deadline) {
  std::vector<RowOutcome> outcomes;
  for (const DutyRecord& record : records) {
    MakeValue make = [database = database_, key = record.key, token = record.token.str(),
                      signature = texts_->text_of(record.signature)](Napi::Env env) -> Napi::Value {
      Napi::Array question = question_of(env, database, "record", key);
      append(question, token);
      append(question, signature);
      return question;
    };
    const CallReply reply = co_await call(std::move(make), deadline);
    if (!reply.error.empty()) co_return std::unexpected(no_answer(reply));
    outcomes.push_back(reply.yes ? RowOutcome::kApplied : RowOutcome::kNotMatched);
  }
  co_return outcomes;
}

asio::awaitable<StoreResult<ReleaseReply>> CallersStore::release(std::vector<DutyRelease> releases,
                                                                 MonotonicTime deadline) {
  ReleaseReply answer;
  for (const DutyRelease& release : releases) {
    MakeValue make = [database = database_, key = release.key,
                      token = release.token.str()](Napi::Env env) -> Napi::Value {
      Napi::Array question = question_of(env, database, "release", key);
      append(question, token);
      return question;
    };
    const CallReply reply = co_await call(std::move(make), deadline);
    if (!reply.error.empty()) co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, reply.error});
    answer.outcomes.push_back(reply.yes ? RowOutcome::kApplied : RowOutcome::kNotMatched);
  }
  co_return answer;
}

asio::awaitable<StoreResult<RegistrationOutcome>> CallersStore::register_node(NodeRegistration, MonotonicTime) {
  co_return RegistrationOutcome{.registered = true, .holder = {}, .heartbeat = {}};
}

asio::awaitable<StoreResult<bool>> CallersStore::renew(NodeRegistration, MonotonicTime) {
  co_return true;
}

asio::awaitable<StoreResult<void>> CallersStore::end_lease(NodeRegistration, MonotonicTime) {
  co_return StoreResult<void>{};
}

/// lib/callers_database.js calls the clean-up methods of the database object.
asio::awaitable<StoreResult<RemovalOutcome>> CallersStore::remove(RemovalRequest, MonotonicTime) {
  co_return RemovalOutcome{};
}

asio::awaitable<void> CallersStore::close() {
  co_return;
}

}  // namespace hasigner::node
