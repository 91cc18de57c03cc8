#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/cli/setting_definitions.hpp"
#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner::cli {

enum class SettingOrigin : std::uint8_t {
  kUnset,
  kDefault,
  kDerived,  ///< in place of a default that contradicts another setting's given value
  kFile,
  kEnvironment,
  kFlag,
};
[[nodiscard]] std::string_view to_string(SettingOrigin origin);

struct SettingValue {
  std::string text;  ///< may be a secret: see Settings::shown()
  SettingOrigin origin = SettingOrigin::kUnset;
  std::string given_as;  ///< `--node-id`, `VALIDATOR_HA_NODE_ID`, `signer.toml:3: node_id`; the variable's name for a
                         ///< default; for a derived value from what: `half of --max-stuck-duties-age-ms`
};

/// Where values may come from.
struct SettingSources {
  std::map<SettingId, std::string> flags;
  std::optional<std::string> config_file;  ///< --config; without it the variable HA_SIGNER_CONFIG names the file
  std::function<std::optional<std::string>(std::string_view)> environment;
  /// For variables that hold keys: takes them out of the environment. Without it there are none.
  std::function<std::shared_ptr<const SecretText>(std::string_view)> take_secret = {};
  std::vector<SettingId> wanted;  ///< others are neither read from the environment nor given
  bool database_url_of_migrations = false;
};

/// The effective settings: flag over environment over file over default.
///
/// Where only the stuck-duty age is given and is too short for the default time-outs, these follow it: half of it for a
/// call of the sign function, three quarters for the whole attempt. A call of a remote signer has no longer than a call
/// of the sign function, where both are wanted: one that nobody waits for any more would keep a connection from others.
/// White space at the edges of a value is left out, with a note. An empty environment variable counts as not set. A
/// file is used only if it is named: one that happens to lie in the working directory never decides what a signer does.
/// Every key of the file must be a known one, with a right value.
class Settings {
 public:
  /// Throws CommandError naming the setting as the user gave it, the value and what is allowed.
  [[nodiscard]] static Settings load(const SettingSources& sources);

  [[nodiscard]] const SettingValue& value(SettingId id) const;
  [[nodiscard]] bool is_set(SettingId id) const { return value(id).origin != SettingOrigin::kUnset; }
  /// For people and logs: without passwords.
  [[nodiscard]] std::string shown(SettingId id) const;

  /// Throws CommandError naming flag, variable and key when there is none.
  [[nodiscard]] const std::string& required(SettingId id) const;
  [[nodiscard]] bool is_true(SettingId id) const { return value(id).text == "true"; }
  [[nodiscard]] std::optional<std::uint64_t> number(SettingId id) const;
  /// Of a setting that has a default and counts milliseconds.
  [[nodiscard]] milliseconds duration(SettingId id) const;

  /// Throws CommandError: the setting as it was given, its value, what is allowed.
  [[noreturn]] void refuse(SettingId id, const std::string& allowed) const;

  /// A variable that only the environment may hold, since it names keys: VALIDATOR_PRIVATE_KEYS, VALIDATOR_ADDRESSES
  /// and WEB3_SIGNER_URL, where KEY_STORE_DIRECTORY is wanted. Returns null where it is not set.
  [[nodiscard]] std::shared_ptr<const SecretText> key_variable(std::string_view name) const;

  /// Sentences that a person should read; nothing is wrong enough to stop.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  [[nodiscard]] const std::string& config_file() const { return config_file_; }

 private:
  void accept(SettingId id, SettingValue value);
  void read_file(const std::string& path);
  void derive_from_slot_duration();
  void bound_remote_timeout();
  void derive_from_stuck_age(SettingId id, std::uint64_t parts, std::uint64_t whole, std::string_view part_name);

  std::map<SettingId, SettingValue> values_;
  std::map<std::string, std::shared_ptr<const SecretText>, std::less<>> key_variables_;
  std::vector<std::string> notes_;
  std::string config_file_;
};

}  // namespace hasigner::cli
