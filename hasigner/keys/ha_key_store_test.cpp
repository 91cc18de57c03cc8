#include "hasigner/keys/ha_key_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/keys/base_key_store.hpp"
#include "hasigner/protection/async.hpp"

namespace hasigner::keys {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

SecretKey key(std::uint8_t number) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.back() = number;
  return *SecretKey::from_bytes(bytes);
}

Validator validator_with(std::initializer_list<std::uint8_t> numbers) {
  Validator validator;
  for (const auto number : numbers) {
    auto secret = key(number);
    const auto address = address_of(secret);
    validator.attesters.push_back({address, std::make_shared<const SecretKey>(std::move(secret)), "test"});
    validator.publishers.push_back({address, std::nullopt, "test", {}});
  }
  validator.coinbase = validator.attesters.front().address;
  return validator;
}

SigningContext attestation(std::uint64_t slot) {
  return {.duty_type = DutyType::kAttestation, .slot = *Slot::from(slot)};
}

PersonalMessage saying(std::string_view text) {
  return PersonalMessage{{text.begin(), text.end()}};
}

std::shared_ptr<const Payload> payload_of(std::string_view text) {
  return std::make_shared<const Payload>(saying(text));
}

/// Counts the signed claims.
class ClaimBatches final : public Metrics {
 public:
  void batch_sent(std::string_view kind, std::size_t size) override {
    if (kind == "claim_signed") sum_ += size;
  }
  /// To be asked when no call is in flight.
  [[nodiscard]] std::size_t sum() const { return sum_; }

 private:
  std::size_t sum_ = 0;
};

/// One node on a database that it shares with the others of a test.
struct Node {
  Node(const fs::path& database, const std::string& id, std::initializer_list<std::uint8_t> keys)
      : node(create_ha_signer({.signer = {.node_id = *NodeId::parse(id),
                                          .rollup = *EthAddress::parse("0x00000000000000000000000000000000000000aa"),
                                          .peer_signing_timeout = milliseconds(500)},
                               .database_url = "sqlite:" + database.string(),
                               .pool = {}},
                              {.metrics = claims})),
        store(base(keys), node->signer()) {
    const auto started = node->signer().start_blocking();
    if (!started) throw std::runtime_error(message(started.error()));
  }

  std::shared_ptr<KeyStore> base(std::initializer_list<std::uint8_t> keys) const {
    std::vector<Validator> validators;
    validators.push_back(validator_with(keys));
    return std::make_shared<BaseKeyStore>(std::move(validators), node->work_executor());
  }
  SignResult<Signature> sign(std::uint8_t number, std::string_view text, SigningContext context) {
    return node->run(store.sign(address_of(key(number)), payload_of(text), context));
  }
  SignedByAll sign_with_all(std::string_view text, SigningContext context) {
    return node->run(store.sign_with_all(payload_of(text), context));
  }

  std::shared_ptr<ClaimBatches> claims = std::make_shared<ClaimBatches>();
  std::unique_ptr<HaNode> node;
  HaKeyStore store;
};

class HaKeyStoreTest : public testing::Test {
 protected:
  HaKeyStoreTest() {
    std::string pattern = fs::temp_directory_path() / "hasigner-ha-keys-XXXXXX";
    if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    directory_ = pattern;
  }
  ~HaKeyStoreTest() override { fs::remove_all(directory_); }
  [[nodiscard]] fs::path database() const { return directory_ / "duties.db"; }

  fs::path directory_;
};

TEST_F(HaKeyStoreTest, signs_once_what_the_key_signs_and_refuses_other_data) {
  Node node(database(), "node-1", {1, 2});
  const auto first = node.sign(1, "a", attestation(5));
  ASSERT_TRUE(first) << message(first.error());
  EXPECT_EQ(recover(digest_of(saying("a")), *first), address_of(key(1)));
  EXPECT_EQ(kind_name(node.sign(1, "a", attestation(5)).error()), "duty_already_signed");
  EXPECT_EQ(kind_name(node.sign(1, "b", attestation(5)).error()), "slashing_protection");
  EXPECT_TRUE(node.sign(2, "b", attestation(5)));
}

TEST_F(HaKeyStoreTest, gives_with_all_attesters_what_this_node_won) {
  Node one(database(), "node-1", {1, 2, 3});
  Node two(database(), "node-2", {1, 2, 3});
  ASSERT_TRUE(two.sign(2, "a", attestation(6)));
  ASSERT_TRUE(two.sign(3, "other", attestation(6)));
  const auto all = one.sign_with_all("a", attestation(6));
  ASSERT_EQ(all.signatures.size(), 1U);
  EXPECT_EQ(all.signatures[0].validator, address_of(key(1)));
  EXPECT_EQ(recover(digest_of(saying("a")), all.signatures[0].signature), address_of(key(1)));
  ASSERT_EQ(all.errors.size(), 1U);
  EXPECT_EQ(all.errors[0].validator, address_of(key(3)));
  EXPECT_EQ(kind_name(all.errors[0].error), "slashing_protection");
}

TEST_F(HaKeyStoreTest, sends_each_duty_of_all_attesters_once) {
  Node node(database(), "node-1", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  EXPECT_EQ(node.sign_with_all("a", attestation(6)).signatures.size(), 16U);
  // Each goes out when its signature is made: all that is there by then in one batch.
  EXPECT_EQ(node.claims->sum(), 16U);
}

TEST_F(HaKeyStoreTest, passes_unprotected_duties_through) {
  Node node(database(), "node-1", {1, 2});
  SigningContext context{.duty_type = DutyType::kTxs, .slot = *Slot::from(7)};
  const auto first = node.sign(1, "a", context);
  const auto second = node.sign(1, "a", context);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_TRUE(node.sign(1, "b", context));
  EXPECT_EQ(node.sign_with_all("a", context).signatures.size(), 2U);
}

TEST_F(HaKeyStoreTest, refuses_an_address_without_a_key_before_anything_is_claimed) {
  Node node(database(), "node-1", {1});
  const auto refused = node.sign(9, "a", attestation(8));
  ASSERT_FALSE(refused);
  EXPECT_THAT(message(refused.error()), HasSubstr("attester"));
  node.store.replace_base(node.base({9}));
  EXPECT_TRUE(node.sign(9, "a", attestation(8)));
}

TEST_F(HaKeyStoreTest, stays_protected_when_its_keys_are_replaced) {
  Node node(database(), "node-1", {1});
  ASSERT_TRUE(node.sign(1, "a", attestation(9)));
  node.store.replace_base(node.base({1, 2}));
  EXPECT_EQ(node.store.attester_addresses().size(), 2U);
  EXPECT_EQ(kind_name(node.sign(1, "b", attestation(9)).error()), "slashing_protection");
}

/// A remote signer that answers when it is told to, with the key that the test has.
class BlockedSigner final : public RemoteSigning {
 public:
  asio::awaitable<SignResult<Signature>> sign(RemoteSigner, std::string, EthAddress attester,
                                              std::shared_ptr<const Payload> payload) override {
    asked_.set_value();
    return answer(opened_, attester, std::move(payload));
  }
  void wait_until_asked() { asked_.get_future().wait(); }
  void go_on() { open_.set_value(); }

 private:
  static asio::awaitable<SignResult<Signature>> answer(std::shared_future<void> opened, EthAddress attester,
                                                       std::shared_ptr<const Payload> payload) {
    auto waiting = on_a_thread(std::move(opened));
    static_cast<void>(co_await std::move(waiting));
    EXPECT_EQ(attester, address_of(key(1)));
    co_return hasigner::sign(key(1), digest_of(*payload));
  }
  static asio::awaitable<Unit> on_a_thread(std::shared_future<void> opened) {
    static asio::thread_pool threads(1);
    auto waiting = wait(std::move(opened));
    auto done = co_await asio::co_spawn(threads, std::move(waiting), asio::use_awaitable);
    co_return done;
  }
  static asio::awaitable<Unit> wait(std::shared_future<void> opened) {
    opened.wait();
    co_return Unit{};
  }

  std::promise<void> asked_;
  std::promise<void> open_;
  std::shared_future<void> opened_ = open_.get_future().share();
};

TEST_F(HaKeyStoreTest, ends_what_is_in_flight_with_the_keys_it_began_with) {
  Node node(database(), "node-1", {2});
  auto remote = std::make_shared<BlockedSigner>();
  auto elsewhere = validator_with({1});
  elsewhere.attesters[0].signer = RemoteSigner{.url = "http://signer", .cert_path = {}, .cert_password = {}};
  std::vector<Validator> validators;
  validators.push_back(std::move(elsewhere));
  node.store.replace_base(std::make_shared<BaseKeyStore>(std::move(validators), node.node->work_executor(), remote));
  auto in_flight = std::async(std::launch::async, [&] { return node.sign(1, "a", attestation(10)); });
  remote->wait_until_asked();
  node.store.replace_base(node.base({2}));
  EXPECT_EQ(kind_name(node.sign(1, "b", attestation(11)).error()), "invalid_input");
  remote->go_on();
  const auto signed_with_old_keys = in_flight.get();
  ASSERT_TRUE(signed_with_old_keys) << message(signed_with_old_keys.error());
  EXPECT_EQ(recover(digest_of(saying("a")), *signed_with_old_keys), address_of(key(1)));
  node.store.replace_base(node.base({1}));
  EXPECT_EQ(kind_name(node.sign(1, "b", attestation(10)).error()), "slashing_protection");
}

TEST_F(HaKeyStoreTest, signs_one_message_for_a_duty_while_its_keys_are_replaced_again_and_again) {
  Node node(database(), "node-1", {1, 2});
  std::atomic<bool> is_done = false;
  std::thread replacing([&] {
    for (std::uint8_t other = 2; !is_done; other = other == 2 ? 3 : 2) node.store.replace_base(node.base({1, other}));
  });
  for (std::uint64_t slot = 100; slot < 150; ++slot) {
    auto a = std::async(std::launch::async, [&] { return node.sign(1, "a", attestation(slot)); });
    auto b = std::async(std::launch::async, [&] { return node.sign(1, "b", attestation(slot)); });
    const int signed_messages = (a.get() ? 1 : 0) + (b.get() ? 1 : 0);
    EXPECT_EQ(signed_messages, 1) << slot;
  }
  is_done = true;
  replacing.join();
}

TEST_F(HaKeyStoreTest, passes_the_roles_through) {
  Node node(database(), "node-1", {1, 2});
  const auto two = address_of(key(2));
  EXPECT_EQ(node.store.attester_address(1), two);
  EXPECT_FALSE(node.store.attester_address(2));
  EXPECT_EQ(node.store.coinbase(two), address_of(key(1)));
  EXPECT_EQ(node.store.publishers(two)->size(), 2U);
  EXPECT_TRUE(node.store.fee_recipient(two));
  EXPECT_EQ(*node.store.remote_signer(two), std::nullopt);
  EXPECT_FALSE(node.store.coinbase(address_of(key(9))));
}

/// Signs at once, with the key that the test has, and counts how often it was asked.
class CountingSigner final : public RemoteSigning {
 public:
  asio::awaitable<SignResult<Signature>> sign(RemoteSigner, std::string, EthAddress,
                                              std::shared_ptr<const Payload> payload) override {
    ++asked;
    return answer(digest_of(*payload));
  }
  std::atomic<int> asked = 0;

 private:
  static asio::awaitable<SignResult<Signature>> answer(MessageHash digest) { co_return hasigner::sign(key(1), digest); }
};

TEST_F(HaKeyStoreTest, a_remote_signer_is_asked_only_for_duties_that_are_won_unless_it_may_sign_first) {
  Node node(database(), "node-1", {1});
  ASSERT_TRUE(node.sign(1, "a", attestation(20)));
  auto remote = std::make_shared<CountingSigner>();
  const auto keys = [&] {
    auto elsewhere = validator_with({1});
    elsewhere.attesters[0].signer = RemoteSigner{.url = "http://signer", .cert_path = {}, .cert_password = {}};
    std::vector<Validator> validators;
    validators.push_back(std::move(elsewhere));
    return std::make_shared<BaseKeyStore>(std::move(validators), node.node->work_executor(), remote);
  };
  for (const auto& [order, asked] :
       {std::pair(RemoteSigners::kClaimFirst, 0), std::pair(RemoteSigners::kSignFirst, 1)}) {
    HaKeyStore store(keys(), node.node->signer(), order);
    const auto refused = node.node->run(store.sign(address_of(key(1)), payload_of("b"), attestation(20)));
    EXPECT_EQ(kind_name(refused.error()), "slashing_protection");
    EXPECT_EQ(remote->asked, asked);
  }
}

/// Signs after a second.
class LateSigner final : public RemoteSigning {
 public:
  asio::awaitable<SignResult<Signature>> sign(RemoteSigner, std::string, EthAddress,
                                              std::shared_ptr<const Payload> payload) override {
    return answer(digest_of(*payload));
  }

 private:
  static asio::awaitable<SignResult<Signature>> answer(MessageHash digest) {
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::seconds(1));
    co_await timer.async_wait(asio::use_awaitable);
    co_return hasigner::sign(key(1), digest);
  }
};

TEST_F(HaKeyStoreTest, calls_of_a_remote_signer_that_are_late_keep_no_other_key_from_signing) {
  const auto node =
      create_ha_signer({.signer = {.node_id = *NodeId::parse("node-1"),
                                   .rollup = *EthAddress::parse("0x00000000000000000000000000000000000000aa"),
                                   .signer_call_timeout = milliseconds(100),
                                   .max_overdue_sign_calls = 1},
                        .database_url = "sqlite:" + database().string(),
                        .pool = {}});
  ASSERT_TRUE(node->signer().start_blocking());
  std::vector<Validator> validators;
  validators.push_back(validator_with({1, 2}));
  validators[0].attesters[0].signer = RemoteSigner{.url = "http://signer", .cert_path = {}, .cert_password = {}};
  HaKeyStore store(
      std::make_shared<BaseKeyStore>(std::move(validators), node->work_executor(), std::make_shared<LateSigner>()),
      node->signer());
  const auto late = node->run(store.sign(address_of(key(1)), payload_of("a"), attestation(1)));
  EXPECT_EQ(kind_name(late.error()), "sign_timed_out");
  const auto local = node->run(store.sign(address_of(key(2)), payload_of("a"), attestation(1)));
  EXPECT_TRUE(local) << message(local.error());
}

asio::awaitable<std::vector<SignResult<SignedDuty>>> sign_many(HaKeyStore& store,
                                                               std::vector<KeyStoreRequest> requests) {
  auto calling = store.sign_many(std::move(requests));
  auto results = co_await std::move(calling);
  co_return results;
}

TEST_F(HaKeyStoreTest, many_requests_are_signed_or_refused_each_on_its_own) {
  Node node(directory_ / "many.db", "node-1", {1, 2});
  const auto request = [](std::uint8_t number, std::string_view text, SigningContext context) {
    return KeyStoreRequest{address_of(key(number)), payload_of(text), context};
  };
  const SigningContext unprotected{.duty_type = DutyType::kTxs, .slot = *Slot::from(1)};
  const auto results = node.node->run(sign_many(
      node.store, {request(1, "a", attestation(1)), request(9, "a", attestation(1)), request(2, "a", attestation(1)),
                   request(1, "b", attestation(1)), request(1, "b", unprotected), request(1, "c", unprotected)}));
  ASSERT_EQ(results.size(), 6);
  EXPECT_TRUE(results[0] && results[2] && results[4] && results[5]);
  EXPECT_EQ(recover(personal_message_digest(saying("a").bytes), *results[2]), address_of(key(2)));
  EXPECT_EQ(kind_name(results[1].error()), "invalid_input");
  EXPECT_EQ(kind_name(results[3].error()), "slashing_protection");
  node.node->stop();
  EXPECT_EQ(node.claims->sum(), 3U) << "two that are signed, and one that is refused";
}

}  // namespace
}  // namespace hasigner::keys
