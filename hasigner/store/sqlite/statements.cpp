#include "hasigner/store/sqlite/statements.hpp"

namespace hasigner::sqlite {

std::string statement(std::string_view name) {
  static const sql::SqlTemplates kTemplates(sql_files());
  return kTemplates.statement(name);
}

}  // namespace hasigner::sqlite
