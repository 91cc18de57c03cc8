#include "hasigner/store/postgres/libpq_connection.hpp"

#include <gtest/gtest.h>
