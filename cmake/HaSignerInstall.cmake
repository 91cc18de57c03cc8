# find_package(hasigner) for users of the library: headers, libraries, the program and the schema files.
include(CMakePackageConfigHelpers)
get_property(libraries GLOBAL PROPERTY HASIGNER_LIBRARIES)
install(TARGETS hasigner_options ${libraries} hasigner EXPORT hasignerTargets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/hasigner DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(EXPORT hasignerTargets NAMESPACE hasigner:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hasigner)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/hasignerConfig.cmake.in
  ${PROJECT_BINARY_DIR}/hasignerConfig.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hasigner)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/hasignerConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hasignerConfig.cmake ${PROJECT_BINARY_DIR}/hasignerConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hasigner)
