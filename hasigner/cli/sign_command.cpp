#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/duty_options.hpp"
#include "hasigner/cli/signing_refusal.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/crypto/secret_key.hpp"

namespace hasigner::cli {

namespace {

/// Two signatures from the shell at once have one node id, so the second waits for the first. A service with that id
/// does not end so soon.
constexpr auto kNodeIdFreeWithin = std::chrono::seconds(5);
constexpr auto kNodeIdPause = std::chrono::milliseconds(50);

struct SignOptions {
  DutyOptions duty;
  std::string key_file;
  std::string key_env;
};

void wipe(std::span<char> text) {
  volatile char* bytes = text.data();
  for (std::size_t i = 0; i < text.size(); ++i) bytes[i] = 0;
}

/// Whether someone has typed a key where its file or variable belongs; it must not be shown once more.
bool looks_like_a_key(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  return text.size() >= 40 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

void refuse_key(std::string_view option, std::string_view text) {
  if (!looks_like_a_key(text)) return;
  throw CommandError(ExitCode::kUsage,
                     std::string(option) +
                         " looks like a key itself; a key on the command line can be seen by others, so use "
                         "another one from now on, and give the name of what holds it");
}

/// Ends with its text in memory of its own that is wiped.
class KeyText {
 public:
  KeyText() = default;
  ~KeyText() { wipe(buffer_); }
  KeyText(const KeyText&) = delete;
  KeyText& operator=(const KeyText&) = delete;

  void read(int file, const std::string& path) {
    while (size_ < buffer_.size()) {
      const auto got = ::read(file, buffer_.data() + size_, buffer_.size() - size_);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0)
        throw CommandError(ExitCode::kUsage,
                           "--key-file is '" + printable(path) + "', which cannot be read: " + std::strerror(errno));
      if (got == 0) return;
      size_ += static_cast<std::size_t>(got);
    }
    throw CommandError(ExitCode::kUsage,
                       "--key-file is '" + printable(path) +
                           "', which holds more than a key: it must hold 0x and 64 hexadecimal digits");
  }
  [[nodiscard]] std::string_view trimmed() const {
    constexpr std::string_view kSpace = " \t\r\n";
    std::string_view text(buffer_.data(), size_);
    const auto first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  }

 private:
  std::array<char, 256> buffer_{};
  std::size_t size_ = 0;
};

struct CloseFile {
  explicit CloseFile(int descriptor) : file(descriptor) {}
  ~CloseFile() { ::close(file); }
  CloseFile(const CloseFile&) = delete;
  CloseFile& operator=(const CloseFile&) = delete;
  int file;
};

/// Checked on the open file, so that it cannot be exchanged in between.
void check_key_file(int file, const std::string& path) {
  struct stat info {};
  if (::fstat(file, &info) != 0)
    throw CommandError(ExitCode::kUsage, "--key-file is '" + printable(path) + "', which cannot be examined");
  if (S_ISFIFO(info.st_mode)) return;
  if (!S_ISREG(info.st_mode)) {
    throw CommandError(
        InvalidInput{"--key-file", printable(path), "the path of a file that holds 0x and 64 hexadecimal digits"});
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) == 0) return;
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(info.st_mode & 07777));
  throw CommandError(ExitCode::kUsage, "--key-file is '" + printable(path) +
                                           "', which others than its owner may use (mode " + mode.data() +
                                           "): chmod 600 '" + printable(path, 4096) + "'");
}

SecretKey key_from_file(const std::string& path) {
  refuse_key("--key-file", path);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) {
    throw CommandError(ExitCode::kUsage,
                       "--key-file is '" + printable(path) + "', which cannot be opened: " + std::strerror(errno));
  }
  const CloseFile opened(descriptor);
  check_key_file(descriptor, path);
  KeyText text;
  text.read(descriptor, path);
  return accepted(SecretKey::parse(text.trimmed(), "the key in --key-file '" + printable(path) + "'"));
}

SecretKey key_from_environment(const std::string& name) {
  refuse_key("--key-env", name);
  char* value = std::getenv(name.c_str());
  if (!value || !*value) {
    throw CommandError(
        InvalidInput{"--key-env", printable(name), "the name of an environment variable that holds the key"});
  }
  const std::span<char> text(value, std::strlen(value));
  auto key = SecretKey::parse(std::string_view(text.data(), text.size()), "the key in the variable " + printable(name));
  // It would otherwise be seen in /proc for as long as this process lives.
  wipe(text);
  return accepted(std::move(key));
}

SecretKey read_key(const SignOptions& options) {
  if (options.key_file.empty() == options.key_env.empty()) {
    throw CommandError(ExitCode::kUsage, options.key_file.empty()
                                             ? "a key is missing: give --key-file FILE or --key-env NAME"
                                             : "--key-file and --key-env contradict each other; give one of them");
  }
  return options.key_file.empty() ? key_from_environment(options.key_env) : key_from_file(options.key_file);
}

Signing<std::monostate> start(HaSigner& signer, milliseconds timeout) {
  const auto give_up_at = std::chrono::steady_clock::now() + kNodeIdFreeWithin;
  for (;;) {
    auto started = signer.start_blocking(timeout);
    const bool id_is_taken = !started && std::holds_alternative<NodeIdTaken>(started.error());
    if (!id_is_taken || std::chrono::steady_clock::now() >= give_up_at) return started;
    std::this_thread::sleep_for(kNodeIdPause);
  }
}

Signing<Signature> sign_protected(const Settings& settings, const SignRequest& request,
                                  std::shared_ptr<const SecretKey> key) {
  const auto config = ha_signer_config(settings);
  const auto node = create_ha_signer(config);
  const auto started = start(node->signer(), config.open_timeout);
  if (!started) return std::unexpected(started.error());
  auto sign_function =
      node->blocking([key](const SignRequest& r) -> SignOutcome { return sign(*key, r.message_hash); });
  auto result = node->signer().sign_with_protection_blocking(request, std::move(sign_function));
  node->stop();
  return result;
}

void print_signature(const Settings& settings, const SignRequest& request, const Signature& signature, Console& console,
                     bool json) {
  if (!json) {
    console.out << signature.to_string() << '\n';
    return;
  }
  nlohmann::ordered_json object = {{"signature", signature.to_string()},
                                   {"message_hash", request.message_hash.to_string()},
                                   {"validator", request.validator.to_string()},
                                   {"duty_type", to_string(request.context.duty_type)},
                                   {"slot", request.context.slot.to_string()}};
  if (request.context.block_index) object["block_index"] = *request.context.block_index;
  if (settings.is_set(SettingId::kRollup)) object["rollup"] = settings.value(SettingId::kRollup).text;
  if (settings.is_set(SettingId::kNodeId)) object["node_id"] = settings.value(SettingId::kNodeId).text;
  object["exit_code"] = 0;
  print_json(console.out, object);
}

ExitCode run_sign(const SignOptions& options, Context& context) {
  const auto duty = duty_to_sign(options.duty);
  const bool needs_store = is_protected(duty.context.duty_type);
  // A wrong setting is refused before the key is touched.
  if (needs_store) static_cast<void>(ha_signer_config(context.settings));
  const auto key = std::make_shared<const SecretKey>(read_key(options));
  const SignRequest request{.validator = address_of(*key), .message_hash = duty.message_hash, .context = duty.context};
  const auto result = needs_store ? sign_protected(context.settings, request, key)
                                  : Signing<Signature>(sign(*key, request.message_hash));
  if (!result) return report_refusal(refusal_of(result.error()), context.console, options.duty.json);
  print_signature(context.settings, request, *result, context.console, options.duty.json);
  return ExitCode::kSuccess;
}

Action define_sign(CLI::App& app) {
  auto options = std::make_shared<SignOptions>();
  app.add_option("--key-file", options->key_file,
                 "File that holds the validator's key, 0x and 64 hexadecimal digits; only its owner may read it")
      ->type_name("FILE");
  app.add_option("--key-env", options->key_env, "Environment variable that holds the key instead")->type_name("NAME");
  add_duty_options(app, options->duty);
  return [options](Context& context) { return run_sign(*options, context); };
}

}  // namespace

Command sign_command() {
  return {.name = "sign",
          .group = kSigningGroup,
          .summary = "Sign one duty, unless somebody has signed it",
          .description =
              "Claims the duty in the database, signs, records the signature, and only then prints it. Refused when "
              "any node has "
              "signed the duty, when the slot is outside a watermark, or when the store does not confirm.\n\n"
              "AUTH_REQUEST and TXS need no protection and are signed directly.",
          .examples =
              {{"Sign an attestation, protected by a SQLite file",
                "ha-signer sign --database-url sqlite:signer.db --node-id shell --rollup 0x… --key-file attester.key "
                "--duty-type ATTESTATION --slot 100 --message-hash 0x…"},
               {"Take the key from the environment, and answer for a program",
                "ha-signer sign … --key-env ATTESTER_KEY --json"}},
          .settings = signing_settings(),
          .define = define_sign};
}

}  // namespace hasigner::cli
