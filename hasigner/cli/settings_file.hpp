#pragma once

#include <string>
#include <vector>

namespace hasigner::cli {

/// A key of a settings file as it stands there.
struct FileSetting {
  std::string key;
  std::string text;      ///< the value, as a flag would give it
  std::string given_as;  ///< `signer.toml:3: node_id`
};

/// Reads a TOML file of keys with plain values.
///
/// Throws CommandError naming the file, the line and what is wrong with it.
[[nodiscard]] std::vector<FileSetting> read_settings_file(const std::string& path);

}  // namespace hasigner::cli
