#include "hasigner/keys/unicode.hpp"

#include <string.h>
#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <new>

namespace hasigner::keys {

std::optional<SecretText> normalised(const SecretText& text, NormalForm form) {
  const int composition = form == NormalForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPAT | composition);
  const auto* const bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.view().data());
  utf8proc_uint8_t* result = nullptr;
  const auto size = utf8proc_map(bytes, static_cast<utf8proc_ssize_t>(text.size()), &result, options);
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (size < 0) return std::nullopt;
  SecretText normal({reinterpret_cast<const char*>(result), static_cast<std::size_t>(size)});
  explicit_bzero(result, static_cast<std::size_t>(size));
  std::free(result);
  return normal;
}

}  // namespace hasigner::keys
