// What servers answer that we ask: remote signers (signatures, addresses) and the health URL. The first line is the
// HTTP status, the rest the body.

#include <charconv>
#include <nlohmann/json.hpp>
#include <string>

#include "hasigner/crypto/json.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/duty/assert.hpp"
#include "hasigner/keys/web3signer.hpp"
#include "hasigner/service/health_watch.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;

constexpr std::uint64_t kId = 7;
constexpr std::string_view kPassword = "correct-horse-battery";

keys::HttpAnswer answer_of(std::string_view text) {
  const auto end = std::min(text.find('\n'), text.size());
  unsigned status = 0;
  std::from_chars(text.data(), text.data() + end, status);
  return {.status = status, .body = std::string(text.substr(std::min(end + 1, text.size())))};
}

void check_error(const std::string& error) {
  test::check_showable(error);
  HASIGNER_ASSERT(error.find(kPassword) == std::string::npos);
}

/// A signature is accepted only from the key that was asked, for the digest that it was asked for, and with a low s.
void check_remote_signer(const keys::HttpAnswer& answer) {
  static const auto url =
      keys::RemoteUrl::parse("https://user:" + std::string(kPassword) + "@signer.example:9000/", "url").value();
  // Of the key 1; seeds/answers_fuzz/signature has its signature, from tests/vectors/ethereum.json.
  static const auto attester = EthAddress::parse("0x7e5f4552091a69125d5dfcb7b8c2659029395bdf", "attester").value();
  static const MessageHash digest;
  const auto signature = keys::signature_in(answer, kId, url, attester, digest);
  if (signature) {
    HASIGNER_ASSERT(recover(digest, *signature) == attester && normalized(*signature) == *signature);
  } else {
    check_error(signature.error());
  }
  const auto accounts = keys::accounts_in(answer, kId, url);
  if (!accounts) check_error(accounts.error());
}

/// A node that says that it is not well is not taken for a healthy one.
void check_health(const keys::HttpAnswer& answer) {
  const auto outcome = service::health_of(answer);
  if (!outcome) return test::check_showable(outcome.error());
  HASIGNER_ASSERT(answer.status == 200);
  const auto read = JsonValue::parse(answer.body, "answer");
  const auto theirs = nlohmann::json::parse(answer.body, nullptr, false);
  if (read && theirs.is_object() && theirs.contains("ok")) HASIGNER_ASSERT(theirs["ok"] != false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto answer = answer_of(test::text_of(bytes, size));
  check_remote_signer(answer);
  check_health(answer);
  return 0;
}
