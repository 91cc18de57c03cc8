#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hasigner/crypto/transaction.hpp"
#include "hasigner/service/duty_requests.hpp"

namespace hasigner::service {

enum class RpcQuery : std::uint8_t { kAccounts, kChainId };

/// One call, as far as it could be read.
struct RpcCall {
  std::string id = "null";  ///< as JSON
  std::string method;       ///< for the log; empty when it could not be read
  std::variant<Problem, RpcQuery, SignDutyRequest, Transaction> what;
  bool is_malformed = false;  ///< not a call at all; its answer is short
};

struct RpcRequest {
  RequestShape shape = RequestShape::kOne;  ///< `kMany` is a batch
  std::vector<RpcCall> calls;
};

/// Reads what Web3Signer, viem and ethers send: `eth_accounts`, `eth_chainId`, `eth_signTransaction`, and `eth_sign`,
/// `personal_sign`, `eth_signTypedData`, `eth_signTypedData_v4` with the signing context as an additional last
/// parameter. `chain_id`: of transactions. What this client may not do is refused before its parameters are read.
///
/// A call without an id is refused: its caller would not get the signature.
/// Errors: a body that is not JSON, an empty batch, a batch of more calls than `most`. An error in one call is an error
/// of that call only.
/// Source: JSON-RPC 2.0, EIP-1193.
[[nodiscard]] ReadResult<RpcRequest> parse_rpc(std::string_view body, std::size_t most, std::uint64_t chain_id,
                                               const Client& client);

using RpcResult = std::expected<std::string, Problem>;  ///< the result as JSON

struct RpcAnswer {
  std::string id;  ///< as JSON
  RpcResult result;
  bool is_short = false;  ///< whatever the size of the whole answer
};

/// Writes an answer, a short one with an error without its `data`. The answers of a batch stand in an array, in the
/// order of the calls.
[[nodiscard]] std::string rpc_text(const RpcAnswer& answer, const std::string& request_id, bool is_short = false);

/// Decimal digits as the quantity `0x…`.
[[nodiscard]] std::string quantity(std::string_view decimal);

}  // namespace hasigner::service
