#include "hasigner/keys/web3signer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/json.hpp"
#include "hasigner/crypto/json_text.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/duty/assert.hpp"
#include "hasigner/keys/tls_context.hpp"

namespace hasigner::keys {

namespace {

using Kind = JsonValue::Kind;
template <class T>
using Answered = std::expected<T, std::string>;  // the error is a predicate, as in HttpFailure

constexpr std::size_t kMaxSignatureAnswerBytes = 64 * 1024;
constexpr std::size_t kMaxAccountsAnswerBytes = 4 * 1024 * 1024;
constexpr std::size_t kMaxShownMessage = 200;

struct RpcCall {
  std::string method;
  std::vector<std::string> params;
  std::uint64_t id = 0;
  std::size_t max_answer_bytes = 0;
  std::string caller = {};  ///< see HttpClient::post()
};

std::string body_of(const RpcCall& call) {
  const nlohmann::json body = {{"jsonrpc", "2.0"}, {"method", call.method}, {"params", call.params}, {"id", call.id}};
  // Typed data was checked to be UTF-8 when it was read; everything else is ASCII.
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string shown_error(const JsonValue& error, const RemoteUrl& url) {
  const auto* const code = error.find("code");
  const auto* const text = error.find("message");
  const bool has_text = text && text->is(Kind::kString);
  // Searches the whole text for secrets: a secret that is cut would not be recognised.
  return "refused: " +
         (has_text ? printable(url.without_secrets(std::string(text->text())), kMaxShownMessage)
                   : std::string("without a reason")) +
         (code && code->is(Kind::kNumber) ? " (code " + printable(code->text()) + ")" : "");
}

/// A JSON-RPC answer that has a result. Some servers send errors as a JSON-RPC body with another status than 200.
Answered<JsonValue> checked_answer(const HttpAnswer& answer, std::uint64_t id, const RemoteUrl& url) {
  const auto status = "HTTP status " + std::to_string(answer.status);
  auto document = JsonValue::parse(answer.body, "answer");
  const bool is_rpc = document && document->is(Kind::kObject);
  const auto* const error = is_rpc ? document->find("error") : nullptr;
  if (error && !error->is(Kind::kNull)) return std::unexpected(shown_error(*error, url));
  if (answer.status != 200) return std::unexpected("answered with " + status);
  if (!is_rpc) return std::unexpected("answered with something that is not JSON-RPC");
  const auto* const answered_id = document->find("id");
  if (!answered_id || answered_id->text() != std::to_string(id)) {
    return std::unexpected("answered another request than the one that it was sent");
  }
  if (!document->find("result")) return std::unexpected("answered without a result");
  return std::move(*document);
}

asio::awaitable<Answered<HttpAnswer>> call(std::shared_ptr<HttpClient> client, RpcCall request) {
  auto body = body_of(request);
  auto answer = co_await client->post(std::move(request.caller), std::move(body), request.max_answer_bytes);
  if (!answer) co_return std::unexpected(std::move(answer.error().reason));
  co_return std::move(*answer);
}

/// The type of a domain when the typed data does not have it: the fields of the domain, in the order of EIP-712.
nlohmann::ordered_json implied_domain_type(const JsonValue& domain) {
  constexpr std::pair<const char*, const char*> kFields[] = {{"name", "string"},
                                                             {"version", "string"},
                                                             {"chainId", "uint256"},
                                                             {"verifyingContract", "address"},
                                                             {"salt", "bytes32"}};
  auto fields = nlohmann::ordered_json::array();
  for (const auto& [name, type] : kFields) {
    if (domain.find(name)) fields.push_back({{"name", name}, {"type", type}});
  }
  return fields;
}

/// Typed data as Web3Signer takes it. Other programs may leave out the type of the domain; it is added here.
std::string text_for_web3signer(const TypedData& typed_data) {
  const auto document = JsonValue::parse(typed_data.json, "typed data");
  HASIGNER_ASSERT(document);
  const auto* const types = document->find("types");
  const auto* const domain = document->find("domain");
  if (!types || !domain || types->find("EIP712Domain")) return typed_data.json;
  std::string text;
  // The members are types, primaryType, domain and message: typed data has no others.
  for (const auto& [name, member] : document->members()) {
    auto value = json_text(member);
    if (name == "types") {
      const auto* const separator = member.members().empty() ? "" : ",";
      value.insert(1, R"("EIP712Domain":)" + implied_domain_type(*domain).dump() + separator);
    }
    text += (text.empty() ? "\"" : ",\"") + name + "\":" + value;
  }
  return "{" + text + "}";
}

struct ToRpcCall {
  EthAddress attester;
  RpcCall operator()(const TypedData& typed_data) const {
    return {"eth_signTypedData", {attester.to_string(), text_for_web3signer(typed_data)}};
  }
  RpcCall operator()(const PersonalMessage& message) const {
    return {"eth_sign", {attester.to_string(), "0x" + to_hex(message.bytes)}};
  }
};

/// The signature of a remote signer, if the attester's key made it of this digest.
Answered<Signature> checked_signature(const JsonValue& result, const EthAddress& attester, const MessageHash& digest) {
  SecretText text(result.is(Kind::kString) && !result.text().starts_with("0x") ? "0x" : "");
  text.append(result.text());
  auto signature = result.is(Kind::kString) ? Signature::try_parse(text.view()) : std::nullopt;
  if (!signature) return std::unexpected("answered with something that is not a signature of 65 bytes");
  *signature = normalized(*signature);
  const auto signer = recover(digest, *signature);
  if (!signer) return std::unexpected("answered with an invalid signature: v, r or s is wrong");
  if (*signer != attester) {
    return std::unexpected("answered with a signature of " + to_checksum(*signer) +
                           ", or of other data than what was to be signed");
  }
  return *signature;
}

std::string sentence(const RemoteSigner& remote, const std::string& predicate) {
  return "the remote signer " + remote.shown_url() + " " + predicate;
}

asio::awaitable<SignResult<Signature>> sign_remotely(std::shared_ptr<HttpClient> client, RemoteSigner remote,
                                                     EthAddress attester, MessageHash digest, RpcCall request) {
  const auto id = request.id;
  const auto& url = client->url();
  const auto answer = co_await call(client, std::move(request));
  if (!answer) co_return std::unexpected(SignFunctionFailed{sentence(remote, answer.error())});
  const auto signature = signature_in(*answer, id, url, attester, digest);
  if (!signature) co_return std::unexpected(SignFunctionFailed{sentence(remote, signature.error())});
  co_return *signature;
}

Answered<std::vector<EthAddress>> addresses_in(const JsonValue& result) {
  if (!result.is(Kind::kArray))
    return std::unexpected("answered eth_accounts with something that is not a list of addresses");
  std::vector<EthAddress> addresses;
  addresses.reserve(result.items().size());
  for (const auto& item : result.items()) {
    const auto address = item.is(Kind::kString) ? EthAddress::try_parse(item.text()) : std::nullopt;
    if (!address) return std::unexpected("answered eth_accounts with something that is not an address");
    addresses.push_back(*address);
  }
  return addresses;
}

asio::awaitable<Answered<std::vector<EthAddress>>> ask_accounts(std::shared_ptr<HttpClient> client, RemoteSigner remote,
                                                                std::uint64_t id) {
  RpcCall request{"eth_accounts", {}, id, kMaxAccountsAnswerBytes};
  const auto& url = client->url();
  const auto answer = co_await call(client, std::move(request));
  if (!answer) co_return std::unexpected(sentence(remote, answer.error()));
  auto addresses = accounts_in(*answer, id, url);
  if (!addresses) co_return std::unexpected(sentence(remote, addresses.error()));
  co_return addresses;
}

}  // namespace

Answered<Signature> signature_in(const HttpAnswer& answer, std::uint64_t id, const RemoteUrl& url,
                                 const EthAddress& attester, const MessageHash& digest) {
  const auto document = checked_answer(answer, id, url);
  if (!document) return std::unexpected(document.error());
  return checked_signature(*document->find("result"), attester, digest);
}

Answered<std::vector<EthAddress>> accounts_in(const HttpAnswer& answer, std::uint64_t id, const RemoteUrl& url) {
  const auto document = checked_answer(answer, id, url);
  if (!document) return std::unexpected(document.error());
  return addresses_in(*document->find("result"));
}

Parsed<std::shared_ptr<Web3Signer>> Web3Signer::create(const std::vector<RemoteSigner>& remotes,
                                                       const Web3SignerSettings& settings,
                                                       const asio::any_io_executor& network) {
  std::vector<Server> servers;
  for (const auto& remote : remotes) {
    if (std::ranges::find(servers, remote, &Server::remote) != servers.end()) continue;
    auto endpoint = http_endpoint_of(remote, settings.ca_file, "remote signer " + remote.shown_url());
    if (!endpoint) return std::unexpected(endpoint.error());
    servers.push_back({remote, std::make_shared<HttpClient>(std::move(*endpoint), settings, network)});
  }
  return std::shared_ptr<Web3Signer>(new Web3Signer(std::move(servers)));
}

const std::shared_ptr<HttpClient>& Web3Signer::client_of(const RemoteSigner& remote) const {
  const auto found = std::ranges::find(servers_, remote, &Server::remote);
  HASIGNER_ASSERT(found != servers_.end());
  return found->client;
}

asio::awaitable<SignResult<Signature>> Web3Signer::sign(RemoteSigner remote, std::string client, EthAddress attester,
                                                        std::shared_ptr<const Payload> payload) {
  auto request = std::visit(ToRpcCall{attester}, *payload);
  request.id = next_id_++;
  request.max_answer_bytes = kMaxSignatureAnswerBytes;
  request.caller = std::move(client);
  auto server = client_of(remote);
  return sign_remotely(std::move(server), std::move(remote), attester, digest_of(*payload), std::move(request));
}

asio::awaitable<Answered<std::vector<EthAddress>>> Web3Signer::accounts(RemoteSigner remote) {
  auto client = client_of(remote);
  return ask_accounts(std::move(client), std::move(remote), next_id_++);
}

}  // namespace hasigner::keys
