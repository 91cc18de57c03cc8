#pragma once

#include <memory>

#include "hasigner/async/asio.hpp"
#include "hasigner/crypto/secret_key.hpp"
#include "hasigner/protection/errors.hpp"

namespace hasigner::keys {

/// Signs with local keys on the threads for work, a few signatures at a time: waking a thread, and being woken by it,
/// costs about as much as a signature. A lone one goes out at once.
///
/// Thread safety: any thread, and any executor; whoever waits goes on where it waited.
class LocalSigning {
 public:
  explicit LocalSigning(asio::any_io_executor work);
  ~LocalSigning();

  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign(std::shared_ptr<const SecretKey> key, MessageHash hash);

 private:
  struct Desk;
  std::shared_ptr<Desk> desk_;
};

}  // namespace hasigner::keys
