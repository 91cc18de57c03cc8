#include "hasigner/cli/key_store_settings.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/secret_input.hpp"

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

}  // namespace

std::vector<SettingId> key_store_setting_ids() {
  return {SettingId::kKeyStoreDirectory, SettingId::kRemoteCaFile, SettingId::kRemoteTimeoutMs,
          SettingId::kRemoteConnections, SettingId::kRemoteSignFirst};
}

keys::KeyStoreSettings key_store_settings(const Settings& settings) {
  const auto& folder = settings.required(SettingId::kKeyStoreDirectory);
  refuse_key(settings.value(SettingId::kKeyStoreDirectory).given_as, folder);
  keys::KeyStoreSettings key_store;
  key_store.paths = {folder};
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
