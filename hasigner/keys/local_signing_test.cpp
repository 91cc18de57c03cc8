#include "hasigner/keys/local_signing.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "hasigner/crypto/secp256k1.hpp"

namespace hasigner::keys {
namespace {

std::shared_ptr<const SecretKey> key(std::uint8_t number) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.back() = number;
  return std::make_shared<const SecretKey>(*SecretKey::from_bytes(bytes));
}

MessageHash hash_of(std::size_t number) {
  MessageHash hash;
  hash.bytes()[0] = static_cast<std::uint8_t>(number >> 8);
  hash.bytes()[1] = static_cast<std::uint8_t>(number);
  return hash;
}

struct Tally {
  std::atomic<std::size_t> right = 0;
  std::atomic<std::size_t> elsewhere = 0;
};

asio::awaitable<void> sign_and_check(LocalSigning& signing, std::shared_ptr<const SecretKey> key, MessageHash hash,
                                     Tally& tally) {
  const auto thread = std::this_thread::get_id();
  auto awaited = signing.sign(key, hash);
  const auto signature = co_await std::move(awaited);
  if (std::this_thread::get_id() != thread) ++tally.elsewhere;
  if (signature && recover(hash, *signature) == address_of(*key)) ++tally.right;
}

TEST(LocalSigning, gives_each_of_many_who_wait_on_several_executors_his_own_signature_where_he_waits) {
  constexpr std::size_t kExecutors = 3, kEach = 200;
  asio::thread_pool work(4);
  LocalSigning signing(work.get_executor());
  Tally tally;
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < kExecutors; ++t) {
      threads.emplace_back([&, t] {
        asio::io_context context(1);
        for (std::size_t i = 0; i < kEach; ++i) {
          const auto number = t * kEach + i;
          asio::co_spawn(context,
                         sign_and_check(signing, key(static_cast<std::uint8_t>(1 + i % 20)), hash_of(number), tally),
                         asio::detached);
        }
        context.run();
      });
    }
  }
  EXPECT_EQ(tally.right, kExecutors * kEach);
  EXPECT_EQ(tally.elsewhere, 0U);
}

TEST(LocalSigning, lets_go_of_everything_when_the_threads_stop_before_they_begin) {
  auto used = key(7);
  Tally tally;
  {
    asio::io_context context(1);
    asio::io_context work(1);
    LocalSigning signing(work.get_executor());
    for (std::size_t i = 0; i < 40; ++i) {
      asio::co_spawn(context, sign_and_check(signing, used, hash_of(i), tally), asio::detached);
    }
    context.poll();
    EXPECT_GT(used.use_count(), 40);
  }
  EXPECT_EQ(used.use_count(), 1);
  EXPECT_EQ(tally.right, 0U);
}

}  // namespace
}  // namespace hasigner::keys
