#include "hasigner/service/iso_time.hpp"

#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::service {

std::string iso_time(std::string_view table_time) {
  std::string text(table_time);
  if (!parse_utc_text(table_time)) return text;
  text[10] = 'T';
  return text + "Z";
}

}  // namespace hasigner::service
