// JSON documents that hold keys or decide what is signed: our reader against nlohmann-json, typed data, keystores.

#include <nlohmann/json.hpp>
#include <string>

#include "hasigner/crypto/eip712.hpp"
#include "hasigner/crypto/json.hpp"
#include "hasigner/duty/assert.hpp"
#include "hasigner/keys/keystore_document.hpp"
#include "hasigner/keys/remote_url.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;
using nlohmann::json;

void expect_same(const JsonValue& ours, const json& theirs) {
  using Kind = JsonValue::Kind;
  HASIGNER_ASSERT(ours.is(Kind::kNull) == theirs.is_null());
  HASIGNER_ASSERT(ours.is(Kind::kBool) == theirs.is_boolean());
  HASIGNER_ASSERT(ours.is(Kind::kNumber) == theirs.is_number());
  HASIGNER_ASSERT(ours.is(Kind::kString) == theirs.is_string());
  HASIGNER_ASSERT(ours.is(Kind::kArray) == theirs.is_array());
  HASIGNER_ASSERT(ours.is(Kind::kObject) == theirs.is_object());
  if (theirs.is_boolean()) HASIGNER_ASSERT(theirs.get<bool>() == ours.boolean());
  if (theirs.is_string()) HASIGNER_ASSERT(theirs.get_ref<const std::string&>() == ours.text());
  if (theirs.is_structured()) HASIGNER_ASSERT(theirs.size() == ours.items().size() + ours.members().size());
  for (std::size_t i = 0; i < ours.items().size(); ++i) expect_same(ours.items()[i], theirs[i]);
  for (const auto& [name, value] : ours.members()) expect_same(value, theirs.at(name));
}

/// What ours accepts is what theirs reads; what only theirs accepts is one of the things that ours refuses on purpose.
void check_json(std::string_view text) {
  const auto ours = JsonValue::parse(text, "document");
  // Theirs refuses numbers that no double holds, and skips a byte order mark.
  const auto theirs = json::parse(text, nullptr, false);
  if (ours && !theirs.is_discarded()) expect_same(*ours, theirs);
  if (!ours) HASIGNER_ASSERT(ours.error().field == "document");
}

/// No part of a URL can become a header of its own.
void check_url(std::string_view text) {
  const auto url = keys::RemoteUrl::parse(text, "url");
  if (!url) return;
  HASIGNER_ASSERT(!url->host.empty() && !url->port.empty() && url->target.starts_with('/'));
  for (const auto& part : {url->host, url->host_header, url->target, url->port}) {
    HASIGNER_ASSERT(part.find_first_of(std::string_view("\r\n\0 ", 4)) == std::string::npos || part == url->host);
    HASIGNER_ASSERT(part.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = test::text_of(bytes, size);
  check_json(text);
  const auto typed_data = parse_typed_data(text);
  HASIGNER_ASSERT(!typed_data || typed_data->digest == parse_typed_data(typed_data->json)->digest);
  static_cast<void>(keys::parse_keystore(text, "keys.json"));
  check_url(text);
  return 0;
}
