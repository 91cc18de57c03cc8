#include "hasigner/keys/local_signing.hpp"

#include <mutex>
#include <vector>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/protection/async.hpp"

namespace hasigner::keys {

namespace {

/// About half a millisecond's work, so that all threads get some of a slot's signatures.
constexpr std::size_t kMostAtATime = 16;

struct Order {
  std::shared_ptr<const SecretKey> key;
  MessageHash hash;
  Signature* made;                 ///< in the frame of whoever waits
  asio::any_io_executor executor;  ///< where he waits
  std::move_only_function<void()> resume;
};

using Orders = std::vector<Order>;

/// One post for all who wait on the same executor one after the other.
void answer(Orders orders) {
  for (std::size_t i = 0; i < orders.size();) {
    const auto executor = orders[i].executor;
    std::vector<std::move_only_function<void()>> waiting;
    for (; i < orders.size() && orders[i].executor == executor; ++i) waiting.push_back(std::move(orders[i].resume));
    asio::post(executor, [waiting = std::move(waiting)]() mutable {
      for (auto& resume : waiting) resume();
    });
  }
}

}  // namespace

/// Orders are owned by the function that was posted for them, so that those of a stopped program go with it.
struct LocalSigning::Desk {
  explicit Desk(asio::any_io_executor work_in) : work(std::move(work_in)) {}

  void add(const std::shared_ptr<Desk>& self, Order order) {
    const std::scoped_lock lock(mutex);
    if (const auto joinable = open.lock(); joinable && joinable->size() < kMostAtATime) {
      return joinable->push_back(std::move(order));
    }
    auto orders = std::make_shared<Orders>();
    orders->push_back(std::move(order));
    open = orders;
    asio::post(work, [self, orders = std::move(orders)] { self->sign_all(*orders); });
  }

  void sign_all(Orders& posted) {
    Orders orders;
    {
      const std::scoped_lock lock(mutex);
      if (open.lock().get() == &posted) open.reset();
      orders = std::move(posted);
    }
    for (auto& order : orders) *order.made = hasigner::sign(*order.key, order.hash);
    answer(std::move(orders));
  }

  const asio::any_io_executor work;
  std::mutex mutex;
  std::weak_ptr<Orders> open;  ///< posted, and not begun
};

namespace {

template <class Desk>
asio::awaitable<SignResult<Signature>> sign_at(std::shared_ptr<Desk> desk, std::shared_ptr<const SecretKey> key,
                                               MessageHash hash) {
  const auto executor = co_await asio::this_coro::executor;
  Signature made;
  auto order = [&](std::move_only_function<void()> resume) {
    desk->add(desk, {std::move(key), hash, &made, executor, std::move(resume)});
  };
  auto suspension = suspend(std::move(order));
  co_await std::move(suspension);
  co_return made;
}

}  // namespace

LocalSigning::LocalSigning(asio::any_io_executor work) : desk_(std::make_shared<Desk>(std::move(work))) {}

LocalSigning::~LocalSigning() = default;

asio::awaitable<SignResult<Signature>> LocalSigning::sign(std::shared_ptr<const SecretKey> key, MessageHash hash) {
  return sign_at(desk_, std::move(key), hash);
}

}  // namespace hasigner::keys
