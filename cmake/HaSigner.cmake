# The rules of every target: one library for each folder; its link list is the folder's dependency rule.

add_library(hasigner_options INTERFACE)
add_library(hasigner::options ALIAS hasigner_options)
set_target_properties(hasigner_options PROPERTIES EXPORT_NAME options)
target_compile_features(hasigner_options INTERFACE cxx_std_23)
target_include_directories(hasigner_options INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# What only this build needs: warnings, sanitizers, coverage.
add_library(hasigner_build INTERFACE)
target_compile_options(hasigner_build INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wcast-align -Woverloaded-virtual -Wimplicit-fallthrough
  -Wswitch -fno-omit-frame-pointer -fstack-protector-strong
  # Members left out of a designated initialiser have the defaults that their type gives them.
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives of these kinds inside coroutines and std::expected.
  target_compile_options(hasigner_build INTERFACE -Wno-maybe-uninitialized -Wno-dangling-pointer
    -Wno-mismatched-new-delete -Wno-subobject-linkage -Wno-free-nonheap-object -Wno-stringop-overflow -Wno-array-bounds -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # GCC 12's library uses what the standard has deprecated; clang reports it where a template of it is used.
  target_compile_options(hasigner_build INTERFACE -Wno-deprecated-declarations)
endif()
include(Hardening)
target_compile_options(hasigner_build INTERFACE "$<$<CONFIG:Release>:${HASIGNER_HARDENED_RELEASE}>")
target_link_options(hasigner_build INTERFACE ${HASIGNER_HARDENED_LINK})
# Macros of OpenSSL put the name of the file into the program: without the folder, so that each checkout gives the same release.
target_compile_options(hasigner_build INTERFACE "$<$<CONFIG:Release>:-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=>")
if(HASIGNER_SANITIZE)
  target_compile_options(hasigner_build INTERFACE -fsanitize=${HASIGNER_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(hasigner_build INTERFACE -fsanitize=${HASIGNER_SANITIZE})
endif()
if(HASIGNER_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Asio's fences, which the sanitizer does not see; what they order goes through mutexes too.
  target_compile_options(hasigner_build INTERFACE -Wno-tsan)
endif()
if(HASIGNER_FUZZ)
  # Every library reports which of its branches ran; only the fuzz targets bring the fuzzer's main().
  target_compile_options(hasigner_build INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(HASIGNER_COVERAGE)
  target_compile_options(hasigner_build INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(hasigner_build INTERFACE --coverage)
endif()

set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
endif()

# Adds each folder that is there: a checkout may hold only some of them (a package of the library alone).
function(hasigner_folders)
  foreach(folder IN LISTS ARGN)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
      add_subdirectory(${folder})
    endif()
  endforeach()
endfunction()

# hasigner_library(store_sqlite SOURCES ... PUBLIC hasigner_protection PRIVATE SQLite::SQLite3)
# INTERNAL: a part of the program, which is not installed for others.
function(hasigner_library name)
  cmake_parse_arguments(ARG "NO_PCH;INTERNAL" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(hasigner_${name} STATIC ${ARG_SOURCES})
  add_library(hasigner::${name} ALIAS hasigner_${name})
  set_target_properties(hasigner_${name} PROPERTIES EXPORT_NAME ${name})
  target_link_libraries(hasigner_${name} PUBLIC hasigner_options ${ARG_PUBLIC}
                        PRIVATE $<BUILD_INTERFACE:hasigner_build> ${ARG_PRIVATE})
  if(ARG_INTERNAL)
    set_property(GLOBAL APPEND PROPERTY HASIGNER_INTERNAL_LIBRARIES hasigner_${name})
  else()
    set_property(GLOBAL APPEND PROPERTY HASIGNER_LIBRARIES hasigner_${name})
  endif()
  if(NOT ARG_NO_PCH)
    hasigner_pch(hasigner_${name})
  endif()
  hasigner_unity(hasigner_${name})
endfunction()

function(hasigner_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE hasigner_build ${ARG_LINKS})
  # The precompiled header is shared with the libraries, so programs must be compiled as they are: -fPIC, not -fPIE.
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  target_link_options(${name} PRIVATE -pie)
  hasigner_pch(${name})
endfunction()

# The linker writes down what it took, for the bill of materials (scripts/sbom).
function(hasigner_link_map target)
  target_link_options(${target} PRIVATE -Wl,-Map=$<TARGET_FILE:${target}>.map)
endfunction()

# hasigner_test(duty_test SOURCES a_test.cpp LINKS hasigner_duty): one GoogleTest program, one ctest entry a suite.
function(hasigner_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  if(NOT HASIGNER_TESTS)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  hasigner_program(${name} SOURCES ${ARG_SOURCES} LINKS ${ARG_LINKS} GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

# Sources in groups: headers are read, and templates compiled, once for each group.
function(hasigner_unity target)
  if(HASIGNER_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${HASIGNER_UNITY_SIZE})
  endif()
endfunction()

# Asio is most of what the compiler reads: it is parsed once, and its own code is compiled once.
function(hasigner_pch target)
  if(HASIGNER_NO_PCH)
    return()
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fpch-preprocess -Winvalid-pch)
  endif()
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:hasigner_asio>)
  target_precompile_headers(${target} REUSE_FROM hasigner_asio)
endfunction()
