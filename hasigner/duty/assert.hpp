#pragma once

#include <cstdio>
#include <cstdlib>

/// Ends the program when a condition that must always hold does not; on in release builds too.
#define HASIGNER_ASSERT(condition)                                                                \
  do {                                                                                            \
    if (!(condition)) [[unlikely]] {                                                              \
      std::fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE_NAME__, __LINE__, #condition); \
      std::abort();                                                                               \
    }                                                                                             \
  } while (false)
