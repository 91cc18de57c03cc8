#include "hasigner/store/postgres/connection_pool.hpp"

#include <gtest/gtest.h>
