#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hasigner/service/orders.hpp"

namespace hasigner::service {

enum class RpcQuery : std::uint8_t { kAccounts, kChainId };

/// One call, as far as it could be read.
struct RpcCall {
  std::string id = "null";  ///< as JSON
  std::string method;       ///< for the log; empty: unreadable
  std::variant<Problem, RpcQuery, SignOrder> what;
};

struct RpcRequest {
  bool batch = false;
  std::vector<RpcCall> calls;
};

/// Reads what Web3Signer, viem and ethers send: `eth_accounts`, `eth_chainId`, and `eth_sign`, `personal_sign`,
/// `eth_signTypedData`, `eth_signTypedData_v4` with the signing context as an additional last parameter.
///
/// A call without id is refused: a signature that nobody waits for is not made.
/// Errors: a body that is no JSON, an empty batch, one of more calls than `most`. What is wrong with one call is said
/// in that call.
/// Source: JSON-RPC 2.0, EIP-1193.
[[nodiscard]] Ordered<RpcRequest> parse_rpc(std::string_view body, std::size_t most);

/// The answers, in the order of the calls: each a result, as JSON, or a problem.
struct RpcAnswer {
  std::string id;
  std::variant<Problem, std::string> what;
};
[[nodiscard]] std::string rpc_text(const std::vector<RpcAnswer>& answers, bool batch, const std::string& request_id);

/// Decimal digits as the quantity `0x…`.
[[nodiscard]] std::string quantity(std::string_view decimal);

}  // namespace hasigner::service
