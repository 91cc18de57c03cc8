#pragma once

#include <string_view>

namespace hasigner::service {

// The files of hasigner/service/console/ at build time.

[[nodiscard]] std::string_view console_page();
[[nodiscard]] std::string_view console_script();
[[nodiscard]] std::string_view console_style();
[[nodiscard]] std::string_view console_icon();

}  // namespace hasigner::service
