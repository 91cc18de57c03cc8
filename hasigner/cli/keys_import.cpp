#include "hasigner/cli/keys_import.hpp"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "hasigner/cli/files.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/secret_input.hpp"
#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/duty/utf8.hpp"
#include "hasigner/keys/encrypted_key.hpp"

namespace hasigner::cli {

namespace {

/// Each takes a second or two.
constexpr std::uint32_t kMaxImported = 1'000;

struct ImportKeyOptions {
  std::string key_file;
  std::string password_file;
  std::string directory = ".";
  MnemonicRange range;
  bool has_range = false;  ///< an option of the range was given
  Output output = Output::kText;
};

struct ImportedKey {
  EthAddress address;
  std::string file;
};

SecretText read_key_text(const ImportKeyOptions& options) {
  if (!options.key_file.empty()) return read_secret("--key-file", options.key_file);
  return ask_secret("Private key or mnemonic (not shown): ", "--key-file FILE");
}

SecretText ask_new_password() {
  auto password = ask_secret("New password (not shown): ", "--password-file FILE");
  const auto again = ask_secret("The same password again: ", "--password-file FILE");
  if (password.view() != again.view())
    throw CommandError(ExitCode::kUsage, "the two passwords differ; nothing was written");
  return password;
}

/// White space is kept, since it may be meant; a word about it, since it may not.
void tell_of_what_cannot_be_seen(const SecretText& text, std::string_view password, std::ostream& err) {
  if (trimmed(password).size() != password.size()) {
    err << "note: the password has white space at its edges, which is part of it\n";
  }
  const auto end = text.view().find('\n');
  if (end != std::string_view::npos && !trimmed(text.view().substr(end)).empty()) {
    err << "note: --password-file has more than one line; the first one is the password\n";
  }
}

/// The password in the form with which every program opens the file.
SecretText read_password(const ImportKeyOptions& options, std::ostream& err) {
  const bool is_asked = options.password_file.empty();
  const auto text = is_asked ? ask_new_password() : read_secret("--password-file", options.password_file);
  const SecretText given(first_line(text));
  const std::string name = is_asked ? "the password" : "the first line of --password-file";
  auto password = accepted(keys::password_to_encrypt_with(given, name));
  if (password.empty())
    throw CommandError(ExitCode::kUsage, "the password is empty; a key needs one of at least one character");
  tell_of_what_cannot_be_seen(text, password.view(), err);
  if (password.view() != given.view()) {
    err << "note: the password is used in Unicode's normal form NFKC, as Aztec's node does; both forms open the key "
           "here and there, other programs may want the normal form\n";
  }
  return password;
}

std::vector<ImportedKey> planned_files(const std::vector<SecretKey>& keys, const std::string& directory) {
  std::vector<ImportedKey> planned;
  planned.reserve(keys.size());
  for (const auto& key : keys) {
    const auto address = address_of(key);
    const auto file = std::filesystem::path(directory) / (address.to_string() + ".json");
    if (std::filesystem::exists(file)) {
      throw CommandError(ExitCode::kUsage, printable(file.string(), 300) + " exists already; nothing was written");
    }
    planned.push_back({address, file.string()});
  }
  return planned;
}

void write_encrypted(const SecretKey& key, const SecretText& password, const std::string& file) {
  const auto text = keys::encrypt_key(key, password);
  // The original may be thrown away now, so this file must be readable.
  const auto opened = keys::decrypt_key(text, password, file);
  if (!opened || *opened != key) throw CommandError(ExitCode::kFailure, "the encrypted key could not be opened again");
  write_new_private_file(file, text);
}

void print_imported(const std::vector<ImportedKey>& imported, Output output, const Console& console) {
  if (output != Output::kJson) {
    for (const auto& [address, file] : imported) {
      console.out << to_checksum(address) << "  " << printable(file, 4096) << '\n';
    }
    console.err << "note: a keystore file uses a key as {\"path\": \"FILE\", \"password\": \"...\"}\n";
    return;
  }
  auto list = nlohmann::ordered_json::array();
  for (const auto& [address, file] : imported) {
    list.push_back({{"address", to_checksum(address)}, {"file", printable(file, 4096)}});
  }
  const nlohmann::ordered_json object = {{"imported", std::move(list)}, {"exit_code", 0}};
  print_json(console.out, object);
}

/// Geth and others write keys without 0x.
bool is_bare_key(std::string_view text) {
  return text.size() == 2 * SecretKey::kSize &&
         text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

ExitCode import_keys(const ImportKeyOptions& options, Context& context) {
  refuse_key("--directory", options.directory);
  if (!std::filesystem::is_directory(options.directory)) {
    throw CommandError(InvalidInput{"--directory", printable(options.directory, 300), "an existing folder"});
  }
  const auto text = read_key_text(options);
  const auto given = trimmed(text.view());
  if (options.has_range && (given.starts_with("0x") || is_bare_key(given))) {
    throw CommandError(ExitCode::kUsage, "a private key has no --account-index, --address-index or --address-count");
  }
  const auto keys = keys_in(text, options.range, options.key_file.empty() ? "the key" : "the key in --key-file");
  const auto planned = planned_files(keys, options.directory);
  const auto password = read_password(options, context.console.err);
  for (std::size_t i = 0; i < keys.size(); ++i) write_encrypted(keys[i], password, planned[i].file);
  print_imported(planned, options.output, context.console);
  return ExitCode::kSuccess;
}

Action define_import(CLI::App& app) {
  auto options = std::make_shared<ImportKeyOptions>();
  app.add_option("--key-file", options->key_file,
                 "File or pipe that holds a private key or a mnemonic; only its owner may use it. Without it the "
                 "program asks")
      ->type_name("FILE");
  app.add_option("--password-file", options->password_file,
                 "File or pipe whose first line is the new password; only its owner may use it. Without it the program "
                 "asks")
      ->type_name("FILE");
  app.add_option("--directory", options->directory, "Folder for the encrypted files, this one if not given")
      ->type_name("DIR");
  const CLI::Validator index = CLI::Range(0U, keys::DerivationPath::kMax);
  auto* account =
      app.add_option("--account-index", options->range.first.account, "Of a mnemonic: which account, 0 if not given")
          ->type_name("N")
          ->check(index);
  auto* address = app.add_option("--address-index", options->range.first.address,
                                 "Of a mnemonic: which address of the account, 0 if not given")
                      ->type_name("N")
                      ->check(index);
  auto* count = app.add_option("--address-count", options->range.count,
                               "Of a mnemonic: how many neighbouring addresses, 1 if not given")
                    ->type_name("N")
                    ->check(CLI::Range(1U, kMaxImported));
  add_json_flag(app, options->output);
  return [=](Context& context) {
    options->has_range = account->count() + address->count() + count->count() > 0;
    return import_keys(*options, context);
  };
}

}  // namespace

std::vector<SecretKey> keys_in(const SecretText& text, const MnemonicRange& range, const std::string& field) {
  std::vector<SecretKey> found;
  const auto words = trimmed(text.view());
  if (is_bare_key(words)) {
    SecretText key("0x");
    key.append(words);
    found.push_back(accepted(SecretKey::parse(key.view(), field)));
    return found;
  }
  if (words.starts_with("0x") || words.find_first_of(" \t\r\n") == std::string_view::npos) {
    found.push_back(accepted(SecretKey::parse(words, field)));
    return found;
  }
  const auto mnemonic = keys::with_single_spaces(text);
  auto seed = keys::seed_of(mnemonic, field);
  if (!seed) {
    seed.error().allowed = "a private key (0x and 64 hexadecimal digits) or a mnemonic of 12, 15, 18, 21 or 24 words";
    throw CommandError(seed.error());
  }
  if (auto doubt = keys::doubt_about(mnemonic)) {
    throw CommandError(InvalidInput{field, "a mnemonic that is probably mistyped: " + *doubt, "a mnemonic of BIP-39"});
  }
  for (std::uint32_t i = 0; i < range.count; ++i) {
    const keys::DerivationPath path{range.first.account, range.first.address + i};
    found.push_back(accepted(keys::derive_key(*seed, path, field)));
  }
  return found;
}

Command keys_import_command() {
  return {
      .name = "import",
      .summary = "Encrypt a private key, or keys of a mnemonic, into JSON V3 files",
      .description =
          "Writes ADDRESS.json for each key, readable by its owner only, and opens it once to see that it can be "
          "opened. An existing file is never touched. Keys and passwords come from files, pipes or the "
          "terminal, never from the command line.",
      .examples = {{"Let the program ask for everything", "ha-signer keys import --directory keys"},
                   {"Three keys of a mnemonic, without questions",
                    "ha-signer keys import --key-file mnemonic.txt --address-count 3 --password-file password.txt"}},
      .define = define_import};
}

}  // namespace hasigner::cli
