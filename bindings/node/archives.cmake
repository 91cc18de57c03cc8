# The archives inside the addon: libpq, OpenSSL and SQLite. Node.js exports the symbols of its own OpenSSL, which a shared
# libpq would take in part; and images that run Aztec nodes have neither libpq nor SQLite.
#
# Debian has libpq.a in libpq-dev, but the two archives that it needs only in the server's development package. That
# depends on a compiler of its own, so these two files are taken out of it.
find_library(LIBPQ_ARCHIVE libpq.a)
find_library(SQLITE_ARCHIVE libsqlite3.a)
find_library(SSL_ARCHIVE libssl.a)
find_library(CRYPTO_ARCHIVE libcrypto.a)
set(server_package postgresql-server-dev-15)
set(server_files ${PROJECT_BINARY_DIR}/node/${server_package})
set(server_hints /usr/lib/postgresql/15/lib ${server_files}/usr/lib/postgresql/15/lib)
find_library(PGCOMMON_ARCHIVE libpgcommon_shlib.a HINTS ${server_hints})
if(NOT PGCOMMON_ARCHIVE)
  file(MAKE_DIRECTORY ${server_files})
  execute_process(COMMAND sh -c "version=$(dpkg-query -W -f '\${Version}' libpq-dev) && apt-get -q download ${server_package}=$version && dpkg-deb -x ${server_package}_*.deb ."
                  WORKING_DIRECTORY ${server_files} OUTPUT_QUIET ERROR_QUIET)
  find_library(PGCOMMON_ARCHIVE libpgcommon_shlib.a HINTS ${server_hints})
endif()
find_library(PGPORT_ARCHIVE libpgport_shlib.a HINTS ${server_hints})

set(HASIGNER_HAS_ARCHIVES ON)
foreach(archive IN ITEMS LIBPQ PGCOMMON PGPORT SQLITE SSL CRYPTO)
  if(NOT ${archive}_ARCHIVE)
    set(HASIGNER_HAS_ARCHIVES OFF)
    message(WARNING "The archive ${archive}_ARCHIVE is not there: the addon of the Node.js package will need libpq5 and libsqlite3-0 where it runs")
  endif()
endforeach()

if(HASIGNER_HAS_ARCHIVES)
  foreach(library IN ITEMS libcrypto++ libpq libsecp256k1 libssl libsqlite3)
    list(APPEND NOTICES /usr/share/doc/${library}-dev/copyright)
  endforeach()
  # Debian's libpq calls Kerberos and LDAP, which have no archives.
  add_library(hasigner_libpq_archive STATIC ${CMAKE_CURRENT_SOURCE_DIR}/native/without_kerberos_and_ldap.c)
  target_link_libraries(hasigner_libpq_archive INTERFACE
    ${LIBPQ_ARCHIVE} $<TARGET_FILE:hasigner_libpq_archive> ${PGCOMMON_ARCHIVE} ${PGPORT_ARCHIVE} ${SSL_ARCHIVE} ${CRYPTO_ARCHIVE} ${CMAKE_DL_LIBS} m)
  add_library(hasigner_sqlite_archive INTERFACE)
  target_link_libraries(hasigner_sqlite_archive INTERFACE ${SQLITE_ARCHIVE} ${CMAKE_DL_LIBS} m)
endif()
