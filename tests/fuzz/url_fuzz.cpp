// Database URLs, as URLs and in libpq's other form. The text that is shown never holds the password.

#include <array>
#include <string>

#include "hasigner/duty/assert.hpp"
#include "hasigner/factory/database_url.hpp"
#include "hasigner/store/postgres/connection_string.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;

constexpr std::string_view kSecret = "Zq7kQz9x";

void check_shown(std::string_view shown) {
  test::check_showable(shown);
  HASIGNER_ASSERT(!shown.contains(kSecret));
}

void check_url(const std::string& text) {
  check_shown(postgres::mask_password(text));
  const auto url = DatabaseUrl::parse(text);
  if (!url) check_shown(url.error().message());
  const auto connection = postgres::ConnectionString::parse(text);
  if (!connection) return check_shown(connection.error().message());
  check_shown(connection->shown());
  HASIGNER_ASSERT(!connection->servers().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(test::text_of(bytes, size));
  // Neither the secret itself nor another password before it, of which it would be a part.
  if (text.contains(kSecret)) return 0;
  check_url(text);
  if (text.contains("password")) return 0;
  const std::string secret(kSecret);
  check_url("postgresql://ann:" + secret + "@" + text);
  // Behind the start of a path or a query it would be part of that.
  if (text.find_first_of("/?") == std::string::npos) check_url("postgresql://" + text + ":" + secret + "@db/duties");
  check_url("postgresql://db/duties?password=" + secret + "&" + text);
  check_url("postgresql://db/duties?" + text + "&sslpassword=" + secret);
  check_url("password=" + secret + " " + text);
  // After a URL it would be part of the end of the URL, not a password.
  if (!text.contains(':')) check_url(text + " password = '" + secret + "'");
  return 0;
}
