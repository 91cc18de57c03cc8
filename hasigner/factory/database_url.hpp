#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hasigner/duty/invalid_input.hpp"

namespace hasigner {

/// Which store a database URL names.
struct DatabaseUrl {
  enum class Kind : std::uint8_t {
    kPostgres,  ///< `postgresql://…` or `postgres://…`
    kSqlite,    ///< `sqlite:PATH`
    kMemory,    ///< `memory:`
  };
  Kind kind = Kind::kMemory;
  std::string path;  ///< of the SQLite file

  /// White space at the edges is left out. Errors: InvalidInput naming `field`; what it shows of the text holds no
  /// password.
  [[nodiscard]] static Parsed<DatabaseUrl> parse(std::string_view given, std::string_view field = "database_url");
};

}  // namespace hasigner
