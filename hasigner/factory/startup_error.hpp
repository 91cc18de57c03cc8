#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace hasigner {

/// Why a signer or a store could not be made ready: one sentence that says what to do next, without secrets.
class StartupError : public std::runtime_error {
 public:
  enum class Kind : std::uint8_t {
    kConfiguration,  ///< a setting is wrong; nothing was asked of any store
    kUnavailable,    ///< the store did not answer; asking again may help
    kIncompatible,   ///< this is not the database that was expected: schema, version, something else altogether
  };

  StartupError(Kind kind, const std::string& sentence) : std::runtime_error(sentence), kind_(kind) {}

  [[nodiscard]] Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

}  // namespace hasigner
