#pragma once

#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/service/duty_requests.hpp"
#include "hasigner/service/http.hpp"
#include "hasigner/service/problem.hpp"

namespace hasigner::service {

/// Status 200 with a JSON body. Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] HttpResponse json_response(const nlohmann::ordered_json& json);
[[nodiscard]] HttpResponse text_response(std::string text, std::string content_type = "text/plain; charset=utf-8");

/// The note of an answer that has several outcomes: each kind of outcome with its count, as in `done:2 in_doubt:1`. A
/// single outcome stands without a count.
[[nodiscard]] std::string note_of(const std::vector<std::string_view>& outcomes);

/// The answer for one duty: a JSON object as text, or the problem.
using DutyResult = std::expected<std::string, Problem>;

/// The answer for all duties of a request. A request for one duty gets that duty's object or problem. A request for
/// many gets status 200 and `results`. `success` is the outcome that the note shows for a duty without a problem.
[[nodiscard]] HttpResponse results_response(const std::vector<DutyResult>& results, RequestShape shape,
                                            const RequestHead& head, std::string_view success);

/// The refusal of a request whose answer would take more memory than its client may have.
[[nodiscard]] Problem answers_wait();

}  // namespace hasigner::service
