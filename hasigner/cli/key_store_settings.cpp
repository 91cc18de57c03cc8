#include "hasigner/cli/key_store_settings.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/secret_input.hpp"
#include "hasigner/duty/utf8.hpp"
#include "hasigner/keys/remote_url.hpp"

namespace hasigner::cli {

namespace {

/// Checked even when no key is at a remote signer: a reload may bring one.
std::string authority_file(const Settings& settings) {
  const auto& value = settings.value(SettingId::kRemoteCaFile);
  std::error_code error;
  if (std::filesystem::is_regular_file(value.text, error) && ::access(value.text.c_str(), R_OK) == 0) return value.text;
  throw CommandError(
      InvalidInput{value.given_as, printable(value.text, 300), "a PEM file of authorities that can be read"});
}

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kPrivateKeys = "VALIDATOR_PRIVATE_KEYS";
constexpr std::string_view kAddresses = "VALIDATOR_ADDRESSES";
constexpr std::string_view kWeb3SignerUrl = "WEB3_SIGNER_URL";

/// The elements of a comma-separated list, as those of a JSON array. Neither keys, addresses nor URLs hold a quote.
void append_list(SecretText& json, std::string_view list, std::string_view name) {
  bool is_first = true;
  for (std::size_t begin = 0; begin <= list.size();) {
    const auto end = std::min(list.find(',', begin), list.size());
    auto word = list.substr(begin, end - begin);
    begin = end + 1;
    word.remove_prefix(std::min(word.find_first_not_of(kSpace), word.size()));
    word = word.substr(0, word.find_last_not_of(kSpace) + 1);
    if (word.empty()) continue;
    if (word.find_first_not_of("0123456789abcdefABCDEFxX") != std::string_view::npos) {
      throw CommandError(InvalidInput{std::string(name), "a list with other characters", "comma-separated 0x… texts"});
    }
    json.append(is_first ? "\"" : ",\"");
    if (!word.starts_with("0x")) json.append("0x");
    json.append(word);
    json.push_back('"');
    is_first = false;
  }
}

/// Null for a variable that is unset, or holds nothing but white space.
std::shared_ptr<const SecretText> key_variable(const Settings& settings, std::string_view name) {
  auto text = settings.key_variable(name);
  return text && !trimmed(text->view()).empty() ? text : nullptr;
}

bool are_at_remote_signer(const Settings& settings) {
  return key_variable(settings, kAddresses) && key_variable(settings, kWeb3SignerUrl);
}

/// What an Aztec node makes of these variables when it has no keystore files. Fee recipients play no part in signing.
std::shared_ptr<const SecretText> keystore_of(const Settings& settings) {
  const auto keys = key_variable(settings, kPrivateKeys);
  const auto addresses = key_variable(settings, kAddresses);
  const bool is_remote = are_at_remote_signer(settings);
  if (!keys && !addresses) return nullptr;
  if (!keys && !is_remote) {
    throw CommandError(InvalidInput{std::string(kWeb3SignerUrl), "missing",
                                    "the URL of the signer that holds the keys of " + std::string(kAddresses)});
  }
  auto json = std::make_shared<SecretText>(R"({"schemaVersion":1,)");
  if (is_remote) {
    const auto url = url_without_white_space(key_variable(settings, kWeb3SignerUrl)->view());
    // A URL holds no quote, no backslash and no control character, so it is a string of JSON as it is.
    static_cast<void>(accepted(keys::RemoteUrl::parse(url, kWeb3SignerUrl)));
    json->append(R"("remoteSigner":")");
    json->append(url);
    json->append(R"(",)");
  }
  json->append(R"("validators":[{"attester":[)");
  if (is_remote) {
    append_list(*json, addresses->view(), kAddresses);
  } else {
    append_list(*json, keys->view(), kPrivateKeys);
  }
  json->append(R"(],"feeRecipient":"0x)" + std::string(64, '0') + R"("}]})");
  return json;
}

}  // namespace

std::vector<SettingId> key_store_setting_ids() {
  return {SettingId::kKeyStoreDirectory, SettingId::kRemoteCaFile, SettingId::kRemoteTimeoutMs,
          SettingId::kRemoteConnections, SettingId::kRemoteSignFirst};
}

keys::KeyStoreSettings key_store_settings(const Settings& settings) {
  keys::KeyStoreSettings key_store;
  if (!settings.is_set(SettingId::kKeyStoreDirectory)) key_store.document = keystore_of(settings);
  if (key_store.document) {
    key_store.document_name = are_at_remote_signer(settings) ? kAddresses : kPrivateKeys;
  } else {
    const auto& folder = settings.required(SettingId::kKeyStoreDirectory);
    refuse_key(settings.value(SettingId::kKeyStoreDirectory).given_as, folder);
    key_store.paths = {folder};
  }
  auto& remote = key_store.remote;
  if (settings.is_set(SettingId::kRemoteCaFile)) remote.ca_file = authority_file(settings);
  remote.call_timeout = settings.duration(SettingId::kRemoteTimeoutMs);
  remote.connect_timeout = std::min(remote.connect_timeout, remote.call_timeout);
  remote.max_connections = settings.number(SettingId::kRemoteConnections).value();
  const bool sign_first = settings.is_true(SettingId::kRemoteSignFirst);
  key_store.remote_signers = sign_first ? keys::RemoteSigners::kSignFirst : keys::RemoteSigners::kClaimFirst;
  return key_store;
}

}  // namespace hasigner::cli
