#pragma once

#include <string_view>

#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"
#include "hasigner/service/console_sessions.hpp"

namespace hasigner::service {

// The routes of the console.

/// A file of the console, with the headers that keep a browser from running or sending anything else.
///
/// Source: Content Security Policy Level 3.
[[nodiscard]] HttpResponse console_response(std::string_view text, std::string_view content_type);
/// `GET /console/`: leads to the page, whose links are relative to its own path.
[[nodiscard]] HttpResponse console_redirect();

/// `GET /console/session`: who the caller is, as far as the service knows (`client` may be null), and what the console
/// shows of the service.
[[nodiscard]] HttpResponse answer_session(const ApplicationParts& parts, const Client* client);
/// `POST /console/session`: opens a session for the client whose token the request carries.
[[nodiscard]] HttpResponse answer_login(const ApplicationParts& parts, ConsoleSessions& sessions,
                                        const ActiveRequest& request);
/// `POST /console/logout`. `session` may be null.
[[nodiscard]] HttpResponse answer_logout(ConsoleSessions& sessions, const ActiveRequest& request,
                                         const ConsoleSessions::Session* session);

}  // namespace hasigner::service
