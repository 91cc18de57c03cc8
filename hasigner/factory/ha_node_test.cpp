#include "hasigner/factory/ha_node.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/factory/blocking_calls.hpp"
#include "hasigner/factory/runtime.hpp"

namespace hasigner {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr std::string_view kKey = "0x0000000000000000000000000000000000000000000000000000000000000001";

SecretKey key() {
  return *SecretKey::parse(kKey);
}

HaSignerConfig config_in_memory() {
  return {.signer = {.node_id = *NodeId::parse("node-1"),
                     .rollup = *EthAddress::parse("0x00000000000000000000000000000000000000aa")},
          .database_url = "memory:",
          .pool = {},
          .allow_ephemeral = true};
}

SignRequest attestation(std::uint64_t slot, std::uint8_t data) {
  SignRequest request{.validator = address_of(key()),
                      .message_hash = {},
                      .context = {.duty_type = DutyType::kAttestation, .slot = *Slot::from(slot)}};
  request.message_hash.bytes().back() = data;
  return request;
}

SignFunction signs(const HaNode& node) {
  return node.blocking([](const SignRequest& request) -> SignOutcome { return sign(key(), request.message_hash); });
}

StartupError::Kind kind_of_error(const HaSignerConfig& config, std::string& sentence, HaSignerParts parts = {}) {
  try {
    const auto node = create_ha_signer(config, std::move(parts));
  } catch (const StartupError& e) {
    sentence = e.what();
    return e.kind();
  }
  ADD_FAILURE() << "no StartupError";
  return StartupError::Kind::kUnavailable;
}

TEST(CreateHaSigner, signs_once_and_refuses_the_second_time) {
  const auto node = create_ha_signer(config_in_memory());
  ASSERT_TRUE(node->signer().start_blocking());
  const auto first = node->signer().sign_with_protection_blocking(attestation(5, 1), signs(*node));
  ASSERT_TRUE(first) << message(first.error());
  EXPECT_EQ(recover(attestation(5, 1).message_hash, *first), address_of(key()));
  const auto same = node->signer().sign_with_protection_blocking(attestation(5, 1), signs(*node));
  ASSERT_FALSE(same);
  EXPECT_EQ(kind_name(same.error()), "duty_already_signed");
  const auto other = node->signer().sign_with_protection_blocking(attestation(5, 2), signs(*node));
  ASSERT_FALSE(other);
  EXPECT_EQ(kind_name(other.error()), "slashing_protection");
}

TEST(CreateHaSigner, refuses_the_memory_store_unless_asked_for_twice) {
  auto config = config_in_memory();
  config.allow_ephemeral = false;
  std::string sentence;
  EXPECT_EQ(kind_of_error(config, sentence), StartupError::Kind::kConfiguration);
  EXPECT_THAT(sentence, HasSubstr("allow_ephemeral"));
}

TEST(CreateHaSigner, names_the_setting_that_is_wrong) {
  auto config = config_in_memory();
  config.signer.polling_interval = milliseconds(0);
  std::string sentence;
  EXPECT_EQ(kind_of_error(config, sentence), StartupError::Kind::kConfiguration);
  EXPECT_THAT(sentence, HasSubstr("polling_interval"));
  config = config_in_memory();
  config.database_url = "mysql://root:hunter2@host/db";
  EXPECT_EQ(kind_of_error(config, sentence), StartupError::Kind::kConfiguration);
  EXPECT_THAT(sentence, HasSubstr("database_url"));
  EXPECT_THAT(sentence, testing::Not(HasSubstr("hunter2")));
}

TEST(HaNode, stops_promptly_and_twice_though_a_sign_function_blocks) {
  auto node = create_ha_signer(config_in_memory());
  ASSERT_TRUE(node->signer().start_blocking());
  auto begun = std::make_shared<std::promise<void>>();
  auto go_on = std::make_shared<std::promise<void>>();
  const auto blocks = node->blocking([begun, go_on](const SignRequest&) -> SignOutcome {
    begun->set_value();
    go_on->get_future().wait();
    return std::unexpected("too late");
  });
  auto result = std::async(std::launch::async,
                           [&] { return node->signer().sign_with_protection_blocking(attestation(6, 1), blocks); });
  begun->get_future().wait();
  const auto before = steady_clock::now();
  node->stop();
  node->stop();
  EXPECT_LT(steady_clock::now() - before, std::chrono::seconds(4));
  const auto refused = result.get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(kind_name(refused.error()), "not_running");
  node.reset();
  go_on->set_value();
}

/// A function that does not return before it is told to.
class Hanging {
 public:
  BlockingSignFunction function() const {
    return [go_on = go_on_, begun = begun_](const SignRequest& request) -> SignOutcome {
      ++*begun;
      begun->notify_all();
      go_on.wait();
      return sign(key(), request.message_hash);
    };
  }
  void let_return() { promise_.set_value(); }
  void wait_until_begun(int calls) const {
    for (int begun = *begun_; begun < calls; begun = *begun_) begun_->wait(begun);
  }

 private:
  std::shared_ptr<std::atomic<int>> begun_ = std::make_shared<std::atomic<int>>(0);
  std::promise<void> promise_;
  std::shared_future<void> go_on_ = promise_.get_future().share();
};

/// Sets as many duties going as there are threads for calls that end.
std::vector<std::future<SignResult<SignedDuty>>> hang_every_thread(HaNode& node, const Hanging& hanging) {
  std::vector<std::future<SignResult<SignedDuty>>> results;
  for (std::uint64_t slot = 1; slot <= Runtime::processors(); ++slot) {
    results.push_back(std::async(std::launch::async, [&node, &hanging, slot] {
      return node.signer().sign_with_protection_blocking(attestation(slot, 1), node.blocking(hanging.function()));
    }));
  }
  return results;
}

TEST(HaNode, calls_that_hang_do_not_take_the_place_of_others) {
  const auto node = create_ha_signer(config_in_memory());
  ASSERT_TRUE(node->signer().start_blocking());
  Hanging hanging;
  auto hung = hang_every_thread(*node, hanging);
  for (std::uint64_t slot = 1000; slot < 1020; ++slot) {
    const auto before = steady_clock::now();
    const auto result = node->signer().sign_with_protection_blocking(attestation(slot, 1), signs(*node));
    EXPECT_TRUE(result) << message(result.error());
    EXPECT_LT(steady_clock::now() - before, std::chrono::seconds(5));
  }
  hanging.let_return();
  for (auto& result : hung) EXPECT_TRUE(result.get());
}

TEST(HaNode, while_too_many_calls_hang_nothing_is_claimed_and_others_go_on_when_they_return) {
  auto config = config_in_memory();
  config.signer.signer_call_timeout = milliseconds(200);
  config.signer.max_overdue_sign_calls = Runtime::processors();
  const auto node = create_ha_signer(config);
  ASSERT_TRUE(node->signer().start_blocking());
  Hanging hanging;
  for (auto& result : hang_every_thread(*node, hanging)) EXPECT_EQ(kind_name(result.get().error()), "sign_timed_out");
  const auto refused = node->signer().sign_with_protection_blocking(attestation(2000, 1), signs(*node));
  ASSERT_FALSE(refused);
  EXPECT_EQ(kind_name(refused.error()), "overloaded");
  EXPECT_THAT(message(refused.error()), HasSubstr("Nothing was claimed"));
  hanging.let_return();
  const auto until = steady_clock::now() + std::chrono::seconds(10);
  SignResult<SignedDuty> result = refused;
  while (!result && steady_clock::now() < until) {
    result = node->signer().sign_with_protection_blocking(attestation(2000, 1), signs(*node));
  }
  EXPECT_TRUE(result) << message(result.error());
}

/// Runs a sign function on a context of its own.
SignOutcome outcome_of(const SignFunction& function) {
  asio::io_context context{1};
  auto outcome = asio::co_spawn(context, function(attestation(1, 1)), asio::use_future);
  context.run();
  return outcome.get();
}

TEST(BlockingCalls, where_all_threads_hang_a_call_waits_and_then_fails_without_being_made) {
  const auto kept = std::make_shared<int>();
  constexpr milliseconds kLongestWait{500};
  BlockingCalls calls({.threads = 1, .spare_threads = 1, .longest_wait = kLongestWait}, kept);
  Hanging hanging;
  asio::io_context context{1};
  auto guard = asio::make_work_guard(context);
  std::thread thread([&context] { context.run(); });
  auto first = asio::co_spawn(context, calls.sign_function(hanging.function())(attestation(1, 1)), asio::use_future);
  auto second = asio::co_spawn(context, calls.sign_function(hanging.function())(attestation(2, 1)), asio::use_future);
  hanging.wait_until_begun(2);
  std::atomic<bool> made = false;
  auto third = asio::co_spawn(context, calls.sign_function([&made](const SignRequest&) -> SignOutcome {
    made = true;
    return std::unexpected("made");
  })(attestation(3, 1)),
                              asio::use_future);
  // The third cannot begin before one of the others has returned, and by then it has waited for too long.
  EXPECT_EQ(third.wait_for(kLongestWait + milliseconds(100)), std::future_status::timeout);
  hanging.let_return();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
  const auto late = third.get();
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error(), HasSubstr("calls that do not return"));
  EXPECT_FALSE(made);
  guard.reset();
  thread.join();
}

TEST(BlockingCalls, an_exception_goes_to_the_caller_and_the_thread_serves_on) {
  const auto kept = std::make_shared<int>();
  BlockingCalls calls({}, kept);
  EXPECT_THROW((void)outcome_of(calls.sign_function([](const SignRequest&) -> SignOutcome { throw 42; })), int);
  EXPECT_TRUE(
      outcome_of(calls.sign_function([](const SignRequest& r) -> SignOutcome { return sign(key(), r.message_hash); })));
}

TEST(BlockingCalls, stopping_answers_what_hangs_and_what_comes_after_it_fails) {
  const auto kept = std::make_shared<int>();
  auto calls = std::make_unique<BlockingCalls>(BlockingLimits{}, kept);
  Hanging hanging;
  const auto function = calls->sign_function(hanging.function());
  auto result = std::async(std::launch::async, [&function] { return outcome_of(function); });
  const auto before = steady_clock::now();
  while (result.wait_for(milliseconds(1)) != std::future_status::ready) {
    calls->stop(steady_clock::now());
    ASSERT_LT(steady_clock::now() - before, std::chrono::seconds(10));
  }
  EXPECT_FALSE(result.get());
  EXPECT_FALSE(outcome_of(function));
  calls.reset();
  EXPECT_FALSE(outcome_of(function));
  hanging.let_return();
}

/// What a signer tells of its work.
struct HeardMetrics final : Metrics {
  void step_duration(Step step, std::chrono::nanoseconds, DutyType) override {
    const std::scoped_lock lock(mutex);
    ++steps[step];
  }
  void batch_sent(std::string_view kind, std::size_t size) override {
    const std::scoped_lock lock(mutex);
    batches[std::string(kind)].push_back(size);
  }

  std::mutex mutex;
  std::map<Step, int> steps;
  std::map<std::string, std::vector<std::size_t>> batches;
};

TEST(HaNode, tells_its_metrics_of_steps_and_batches) {
  const auto metrics = std::make_shared<HeardMetrics>();
  HaSignerParts parts;
  parts.metrics = metrics;
  const auto node = create_ha_signer(config_in_memory(), std::move(parts));
  ASSERT_TRUE(node->signer().start_blocking());
  std::vector<SignCall> sign_calls;
  for (std::uint8_t i = 1; i <= 10; ++i) {
    sign_calls.push_back({attestation(8, i), signs(*node)});
  }
  // All are for one validator and one slot, so all but one are refused after a claim or a look.
  const auto results = node->signer().sign_many_blocking(std::move(sign_calls));
  EXPECT_EQ(std::ranges::count_if(results, [](const auto& result) { return result.has_value(); }), 1);
  node->stop();
  const std::scoped_lock lock(metrics->mutex);
  EXPECT_EQ(metrics->steps[Metrics::Step::kClaim], 10);
  EXPECT_EQ(metrics->steps[Metrics::Step::kSign], 1);
  EXPECT_EQ(metrics->steps[Metrics::Step::kRecord], 1);
  EXPECT_EQ(metrics->batches["record"], std::vector<std::size_t>{1});
  EXPECT_FALSE(metrics->batches["claim"].empty());
}

TEST(HaNode, stops_without_having_been_started) {
  const auto node = create_ha_signer(config_in_memory());
  const auto before = steady_clock::now();
  node->stop();
  EXPECT_LT(steady_clock::now() - before, std::chrono::seconds(1));
}

TEST(HaNode, works_on_an_executor_of_the_callers_own) {
  asio::io_context context{1};
  auto guard = asio::make_work_guard(context);
  std::thread thread([&] { context.run(); });
  {
    const auto node = create_ha_signer(config_in_memory(), {.executor = context.get_executor()});
    ASSERT_TRUE(node->signer().start_blocking());
    std::atomic<std::thread::id> signed_on;
    const auto sign_here = [&signed_on](SignRequest request) -> asio::awaitable<SignOutcome> {
      signed_on = std::this_thread::get_id();
      co_return sign(key(), request.message_hash);
    };
    const auto result = node->signer().sign_with_protection_blocking(attestation(7, 1), sign_here);
    ASSERT_TRUE(result) << message(result.error());
    EXPECT_EQ(signed_on.load(), thread.get_id());
  }
  guard.reset();
  thread.join();
}

TEST(HaNode, gives_up_on_an_executor_that_no_thread_runs_any_more) {
  asio::io_context context{1};
  auto guard = asio::make_work_guard(context);
  std::thread thread([&] { context.run(); });
  auto config = config_in_memory();
  config.signer.stop_grace = milliseconds(10);
  auto node = create_ha_signer(config, {.executor = context.get_executor()});
  ASSERT_TRUE(node->signer().start_blocking());
  context.stop();
  thread.join();
  const auto before = steady_clock::now();
  node.reset();
  EXPECT_LT(steady_clock::now() - before, std::chrono::seconds(15));
  // When the executor runs again, what was begun ends.
  context.restart();
  guard.reset();
  context.run();
}

}  // namespace
}  // namespace hasigner
