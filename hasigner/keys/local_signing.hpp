#pragma once

#include <memory>

#include "hasigner/async/asio.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/protection/errors.hpp"

namespace hasigner::keys {

/// Signs with local keys on the work threads, in batches of a few signatures, because waking a thread and being woken
/// by it costs about as much as a signature. A lone request starts at once.
///
/// Thread safety: any thread, and any executor; the caller resumes on its own executor.
class LocalSigning {
 public:
  explicit LocalSigning(asio::any_io_executor work);
  ~LocalSigning();

  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign(std::shared_ptr<const SecretKey> key, MessageHash hash);

 private:
  struct Batcher;
  std::shared_ptr<Batcher> batcher_;
};

}  // namespace hasigner::keys
