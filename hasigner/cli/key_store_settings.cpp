#include "hasigner/cli/key_store_settings.hpp"

#include <algorithm>

#include "hasigner/cli/secret_input.hpp"

namespace hasigner::cli {

std::vector<SettingId> key_store_setting_ids() {
  return {SettingId::kKeyStoreDirectory, SettingId::kRemoteCaFile, SettingId::kRemoteTimeoutMs,
          SettingId::kRemoteConnections};
}

keys::KeyStoreSettings key_store_settings(const Settings& settings) {
  const auto& folder = settings.required(SettingId::kKeyStoreDirectory);
  refuse_key(settings.value(SettingId::kKeyStoreDirectory).given_as, folder);
  keys::KeyStoreSettings key_store;
  key_store.paths = {folder};
  auto& remote = key_store.remote;
  if (settings.is_set(SettingId::kRemoteCaFile)) remote.ca_file = settings.value(SettingId::kRemoteCaFile).text;
  remote.call_timeout = settings.duration(SettingId::kRemoteTimeoutMs);
  remote.connect_timeout = std::min(remote.connect_timeout, remote.call_timeout);
  remote.max_connections = settings.number(SettingId::kRemoteConnections).value();
  return key_store;
}

}  // namespace hasigner::cli
