# cmake -DSCHEMA=schema/postgres -DOUTPUT=schema_files.cpp -P embed_schema.cmake
#
# Makes the SQL files a part of the program: it can then migrate a database from wherever it is run.
file(GLOB ups ${SCHEMA}/[0-9]*_*.up.sql)
list(SORT ups)
set(entries "")
foreach(up IN LISTS ups)
  string(REGEX MATCH "/0*([0-9]+)_([^/]*)\\.up\\.sql$" matched ${up})
  set(version ${CMAKE_MATCH_1})
  set(name ${CMAKE_MATCH_1}_${CMAKE_MATCH_2})
  string(REPLACE ".up.sql" ".down.sql" down ${up})
  file(READ ${up} up_sql)
  file(READ ${down} down_sql)
  string(APPEND entries "    {${version}, \"${name}\", R\"__sql__(${up_sql})__sql__\", R\"__sql__(${down_sql})__sql__\"},\n")
endforeach()
file(READ ${SCHEMA}/pgmigrations.up.sql list_up)
file(READ ${SCHEMA}/ha_signer.up.sql own_up)
file(WRITE ${OUTPUT} "#include \"hasigner/store/postgres/schema_files.hpp\"

namespace hasigner::postgres {
namespace {
constexpr Migration kMigrations[] = {
${entries}};
}  // namespace
std::span<const Migration> shared_migrations() { return kMigrations; }
std::string_view migration_list() { return R\"__sql__(${list_up})__sql__\"; }
std::string_view own_schema() { return R\"__sql__(${own_up})__sql__\"; }
}  // namespace hasigner::postgres
")
