# cmake -DFOLDER=sql -DNAMESPACE=hasigner::postgres -DOUTPUT=sql_files.cpp -P embed_sql.cmake
#
# Makes the SQL files in a folder and its folder fragments/ a part of the program: NAMESPACE::sql_files().
file(GLOB files RELATIVE ${FOLDER} ${FOLDER}/*.sql ${FOLDER}/fragments/*.sql)
list(SORT files)
set(entries "")
foreach(file IN LISTS files)
  string(REGEX REPLACE "\\.sql$" "" name ${file})
  file(READ ${FOLDER}/${file} text)
  string(APPEND entries "    {\"${name}\", R\"__sql__(${text})__sql__\"},\n")
endforeach()
file(WRITE ${OUTPUT} "#include <span>

#include \"hasigner/store/sql/sql_templates.hpp\"

namespace ${NAMESPACE} {
namespace {
constexpr sql::SqlFile kFiles[] = {
${entries}};
}  // namespace
std::span<const sql::SqlFile> sql_files();
std::span<const sql::SqlFile> sql_files() { return kFiles; }
}  // namespace ${NAMESPACE}
")
