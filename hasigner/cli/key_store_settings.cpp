#include "hasigner/cli/key_store_settings.hpp"

#include <algorithm>

namespace hasigner::cli {

std::vector<SettingId> key_store_setting_ids() {
  return {SettingId::kKeyStoreDirectory, SettingId::kRemoteCaFile, SettingId::kRemoteTimeoutMs,
          SettingId::kRemoteConnections};
}

keys::KeyStoreSettings key_store_settings(const Settings& settings) {
  keys::KeyStoreSettings key_store;
  key_store.paths = {settings.required(SettingId::kKeyStoreDirectory)};
  auto& remote = key_store.remote;
  if (settings.is_set(SettingId::kRemoteCaFile)) remote.ca_file = settings.value(SettingId::kRemoteCaFile).text;
  remote.call_timeout = settings.duration(SettingId::kRemoteTimeoutMs);
  remote.connect_timeout = std::min(remote.connect_timeout, remote.call_timeout);
  remote.max_connections = settings.number(SettingId::kRemoteConnections).value();
  return key_store;
}

}  // namespace hasigner::cli
