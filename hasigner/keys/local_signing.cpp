#include "hasigner/keys/local_signing.hpp"

#include <mutex>
#include <vector>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/protection/async.hpp"

namespace hasigner::keys {

namespace {

/// About half a millisecond of work, so that the signatures of a slot are spread over all threads.
constexpr std::size_t kMostAtATime = 16;

struct PendingSignature {
  std::shared_ptr<const SecretKey> key;
  MessageHash hash;
  Signature* made;                 ///< in the frame of the coroutine that waits
  asio::any_io_executor executor;  ///< of that coroutine
  std::move_only_function<void()> resume;
};

using SigningBatch = std::vector<PendingSignature>;

/// Posts once for all neighbours that wait on the same executor.
void resume_all(SigningBatch batch) {
  for (std::size_t i = 0; i < batch.size();) {
    const auto executor = batch[i].executor;
    std::vector<std::move_only_function<void()>> waiting;
    for (; i < batch.size() && batch[i].executor == executor; ++i) waiting.push_back(std::move(batch[i].resume));
    asio::post(executor, [waiting = std::move(waiting)]() mutable {
      for (auto& resume : waiting) resume();
    });
  }
}

}  // namespace

/// Collects signatures in batches. The function that was posted for a batch owns it, so that a program that stops
/// destroys the batches that were never begun.
struct LocalSigning::Batcher {
  explicit Batcher(asio::any_io_executor work_in) : work(std::move(work_in)) {}

  void add(const std::shared_ptr<Batcher>& self, PendingSignature pending) {
    const std::scoped_lock lock(mutex);
    if (const auto joinable = open.lock(); joinable && joinable->size() < kMostAtATime) {
      return joinable->push_back(std::move(pending));
    }
    auto batch = std::make_shared<SigningBatch>();
    batch->push_back(std::move(pending));
    open = batch;
    asio::post(work, [self, batch = std::move(batch)] { self->sign_all(*batch); });
  }

  void sign_all(SigningBatch& posted) {
    SigningBatch batch;
    {
      const std::scoped_lock lock(mutex);
      if (open.lock().get() == &posted) open.reset();
      batch = std::move(posted);
    }
    for (auto& pending : batch) *pending.made = hasigner::sign(*pending.key, pending.hash);
    resume_all(std::move(batch));
  }

  const asio::any_io_executor work;
  std::mutex mutex;
  std::weak_ptr<SigningBatch> open;  ///< posted, not begun
};

namespace {

template <class Batcher>
asio::awaitable<SignResult<Signature>> sign_in_batch(std::shared_ptr<Batcher> batcher,
                                                     std::shared_ptr<const SecretKey> key, MessageHash hash) {
  const auto executor = co_await asio::this_coro::executor;
  Signature made;
  auto begin = [&](std::move_only_function<void()> resume) {
    batcher->add(batcher, {std::move(key), hash, &made, executor, std::move(resume)});
  };
  auto suspension = suspend(std::move(begin));
  co_await std::move(suspension);
  co_return made;
}

}  // namespace

LocalSigning::LocalSigning(asio::any_io_executor work) : batcher_(std::make_shared<Batcher>(std::move(work))) {}

LocalSigning::~LocalSigning() = default;

asio::awaitable<SignResult<Signature>> LocalSigning::sign(std::shared_ptr<const SecretKey> key, MessageHash hash) {
  return sign_in_batch(batcher_, std::move(key), hash);
}

}  // namespace hasigner::keys
