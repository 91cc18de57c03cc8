# find_package(hasigner) for users of the library: headers, libraries and the schema files (cli/ installs the program).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/hasigner)

get_property(libraries GLOBAL PROPERTY HASIGNER_LIBRARIES)
install(TARGETS hasigner_options ${libraries} hasigner EXPORT hasignerTargets)
install(EXPORT hasignerTargets NAMESPACE hasigner:: DESTINATION ${package_dir})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/hasigner DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
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
