#pragma once

#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/cli/settings.hpp"
#include "hasigner/service/signing_service.hpp"

namespace hasigner::cli {

// What `serve` makes of its settings. Errors: CommandError.

/// Protection by the shared database, or by a file of this machine's own.
[[nodiscard]] HaSignerConfig protection_config(const Settings& settings);
/// The URL of that file, and the node id in it.
[[nodiscard]] std::string local_database(const Settings& settings);
[[nodiscard]] std::string local_node_id(const Settings& settings);
/// The folder of that file, its owner's only from the beginning; nothing where no folder is named.
void make_data_directory(const Settings& settings);
/// The file of this node's journal, or why none is kept. Its folder is in the data directory, or in the first of
/// systemd's state directories.
[[nodiscard]] std::expected<std::filesystem::path, std::string> journal_file(const Settings& settings);
void make_journal_folder(const std::filesystem::path& journal);

[[nodiscard]] std::optional<service::TlsFiles> tls_files(const Settings& settings);
/// Returns nullopt where no health URL is given.
[[nodiscard]] std::optional<service::HealthCheck> health_check(const Settings& settings);
/// `sockets`: those that a service manager has opened.
[[nodiscard]] std::vector<service::ListenAddress> listen_addresses(const Settings& settings,
                                                                   const std::vector<int>& sockets);
/// All of it.
[[nodiscard]] service::ServiceConfig service_config(const Settings& settings, const std::vector<int>& sockets);

}  // namespace hasigner::cli
