#include "sql_values.hpp"

#include "values.hpp"

namespace hasigner::node {

postgres::SqlError sql_error_of(const Napi::Object& error) {
  const std::string kind = text_of(error.Get("kind"));
  postgres::SqlError result{postgres::SqlErrorKind::kLost, text_of(error.Get("code")), text_of(error.Get("message"))};
  if (kind == "server") result.kind = postgres::SqlErrorKind::kServer;
  if (kind == "notSent") result.kind = postgres::SqlErrorKind::kNotSent;
  return result;
}

std::vector<postgres::SqlRows> sql_rows_of(const Napi::Array& given) {
  std::vector<postgres::SqlRows> results;
  for (std::uint32_t i = 0; i + 1 < given.Length(); i += 2) {
    postgres::SqlRows result;
    const auto rows = given.Get(i).As<Napi::Array>();
    for (std::uint32_t r = 0; r < rows.Length(); ++r) {
      const auto row = rows.Get(r).As<Napi::Array>();
      auto& columns = result.rows.emplace_back();
      for (std::uint32_t c = 0; c < row.Length(); ++c) {
        const Napi::Value text = row.Get(c);
        columns.push_back(text.IsString() ? std::optional(text_of(text)) : std::nullopt);
      }
    }
    result.affected = static_cast<std::uint64_t>(given.Get(i + 1).ToNumber().Int64Value());
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace hasigner::node
