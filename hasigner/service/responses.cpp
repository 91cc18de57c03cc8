#include "hasigner/service/responses.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "hasigner/service/answer_text.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

}  // namespace

HttpResponse json_response(const ordered_json& json) {
  return {.status = 200, .body = json.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n"};
}

HttpResponse text_response(std::string text, std::string content_type) {
  return {.status = 200, .content_type = std::move(content_type), .body = std::move(text)};
}

std::string note_of(const std::vector<std::string_view>& outcomes) {
  std::map<std::string_view, std::size_t> counts;
  for (const auto outcome : outcomes) ++counts[outcome];
  std::string note;
  for (const auto& [outcome, count] : counts) {
    note += (note.empty() ? "" : " ") + std::string(outcome) + (outcomes.size() > 1 ? ":" + std::to_string(count) : "");
  }
  return note;
}

HttpResponse results_response(const std::vector<DutyResult>& results, RequestShape shape, const RequestHead& head,
                              std::string_view success) {
  if (shape == RequestShape::kOne && !results[0]) return to_response(results[0].error(), head);
  std::vector<std::string_view> outcomes;
  AnswerText text;
  if (shape == RequestShape::kMany) text.add(R"({"results":[)");
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i > 0) text.add(",");
    const auto& result = results[i];
    outcomes.push_back(result ? success : problem_kind(result.error().kind).kind);
    if (result) {
      text.add(*result);
    } else {
      const auto& problem = result.error();
      const auto object = text.is_large() ? short_json(problem, head.id) : to_json(problem, head.id);
      text.add(R"({"problem":)" + object.dump() + "}");
    }
  }
  text.add(shape == RequestShape::kMany ? "]}\n" : "\n");
  HttpResponse response{.status = 200};
  text.move_to(response);
  response.note = note_of(outcomes);
  return response;
}

Problem answers_wait() {
  return make_problem("too_many_requests", std::string(kAnswersWait));
}

}  // namespace hasigner::service
