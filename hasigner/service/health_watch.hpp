#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "hasigner/async/asio.hpp"
#include "hasigner/async/background.hpp"
#include "hasigner/keys/http_connection.hpp"
#include "hasigner/protection/node_health.hpp"

namespace hasigner::service {

/// A URL that tells whether the node should take duties, and what follows when it should not.
struct HealthCheck {
  std::string url;               ///< `http://` or `https://`; a secret: it may hold a password
  milliseconds interval{2'000};  ///< from one question to the next; the answer must come within it
  NodeHealth::Rules rules;
};

/// The URL without user and password, query and fragment.
[[nodiscard]] std::string shown_url_of(const HealthCheck& check);

/// What an answer says: status 200 is healthy, unless its body is a JSON object whose `ok` is false. Redirects are not
/// followed.
///
/// Source: GET /status of an Aztec node, whose body is `OK`, and from release 5.2 on
/// `{"ok": true, "components": {…}}`, with status 500 and `ok` false when it is not well.
[[nodiscard]] NodeHealth::Outcome health_of(const keys::HttpAnswer& answer);

/// Asks the URL of a check once.
///
/// Errors: throws StartupError when the URL or the file of authorities cannot be used.
[[nodiscard]] NodeHealth::Outcome ask_once(const HealthCheck& check,
                                           const std::optional<std::filesystem::path>& ca_file);

/// Asks again and again, on `network`, which may be any executor, and hands each outcome over there. Duties never wait
/// for it.
///
/// Errors: throws StartupError as ask_once().
void watch_health(const HealthCheck& check, const std::optional<std::filesystem::path>& ca_file,
                  const asio::any_io_executor& network, std::function<void(NodeHealth::Outcome)> hand_over,
                  ReportFailure report);

}  // namespace hasigner::service
