# hasigner_vendor(libpq PostgreSQL::PostgreSQL): the library as its user wants it. A target with the property
# HASIGNER_SELF_CONTAINED gets hasigner_libpq_archive, so that it runs where the shared library is not installed; any other
# target gets the shared library.
function(hasigner_vendor name shared)
  add_library(hasigner_${name} INTERFACE)
  target_link_libraries(hasigner_${name} INTERFACE
    $<IF:$<BOOL:$<TARGET_PROPERTY:HASIGNER_SELF_CONTAINED>>,hasigner_${name}_archive,${shared}>)
endfunction()

hasigner_vendor(libpq PostgreSQL::PostgreSQL)
hasigner_vendor(sqlite SQLite::SQLite3)
