#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "hasigner/crypto/secret_text.hpp"

namespace hasigner::cli {

/// Throws CommandError when the value is a key and not the name of what holds it; the error does not show the key.
void refuse_key(std::string_view option, std::string_view text);

/// The content of the file or pipe that an option names.
///
/// Throws CommandError naming option and file: it cannot be read, or others than its owner may use it.
[[nodiscard]] SecretText read_secret(std::string_view option, const std::string& path);

/// Takes a variable out of the environment: its text is wiped there, since /proc would show it for as long as this
/// process lives. Returns null where it is not set, and at a second call. Thread safety: before other threads run.
[[nodiscard]] std::shared_ptr<const SecretText> take_environment_secret(std::string_view name);

/// The first line: a password, whose spaces count. Points into `text`.
[[nodiscard]] std::string_view first_line(const SecretText& text);

/// Asks on the terminal, which does not show what is typed.
///
/// Throws CommandError when there is no terminal (it names `instead`, the option to give), or the person ends the
/// input.
[[nodiscard]] SecretText ask_secret(const std::string& question, std::string_view instead);

}  // namespace hasigner::cli
