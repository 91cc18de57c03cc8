#include "hasigner/store/postgres/connection_string.hpp"

#include <gtest/gtest.h>
