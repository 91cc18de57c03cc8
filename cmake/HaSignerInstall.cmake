# find_package(hasigner) for users of the library: headers, libraries and the schema files (cli/ installs the program).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/hasigner)

get_property(libraries GLOBAL PROPERTY HASIGNER_LIBRARIES)
install(TARGETS hasigner_options ${libraries} hasigner EXPORT hasignerTargets)
install(EXPORT hasignerTargets NAMESPACE hasigner:: DESTINATION ${package_dir})
# hasigner.hpp and what it includes; every other header is the library's own. The package test includes each by itself.
set(public_headers
  hasigner.hpp
  async/asio.hpp
  crypto/checksum.hpp crypto/eip191.hpp crypto/secp256k1.hpp crypto/secret_key.hpp crypto/secret_pages.hpp
  duty/bytes.hpp duty/duty.hpp duty/invalid_input.hpp duty/lock_token.hpp duty/node_id.hpp
  factory/blocking_calls.hpp factory/database_url.hpp factory/ha_node.hpp factory/open_store.hpp factory/runtime.hpp
  factory/shared_sql_pool.hpp factory/startup_error.hpp
  protection/clock.hpp protection/config.hpp protection/errors.hpp protection/ha_signer.hpp protection/history.hpp
  protection/ports.hpp protection/store.hpp
  store/postgres/libpq_executor.hpp store/postgres/sql_executor.hpp)
foreach(header IN LISTS public_headers)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/hasigner/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hasigner/${folder})
endforeach()
if(EXISTS ${PROJECT_SOURCE_DIR}/schema)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/schema DESTINATION ${CMAKE_INSTALL_DATADIR}/hasigner)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/hasignerConfig.cmake.in
  ${PROJECT_BINARY_DIR}/hasignerConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/hasignerConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hasignerConfig.cmake ${PROJECT_BINARY_DIR}/hasignerConfigVersion.cmake
        DESTINATION ${package_dir})
