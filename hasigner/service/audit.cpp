#include "hasigner/service/audit.hpp"

#include <iterator>

namespace hasigner::service {

namespace {

std::vector<LogField> who(const ActiveRequest& request) {
  return {{"requestId", request.head.id}, {"client", request.client.name}, {"peer", request.head.peer}};
}

/// With `in_doubt` a signature may have been recorded.
bool is_refusal(std::string_view outcome) {
  return outcome != "signed" && outcome != "recorded" && outcome != "done" && outcome != "in_doubt";
}

}  // namespace

void audit_duties(const ApplicationParts& parts, const ActiveRequest& request, std::string event,
                  std::vector<AuditedDuty> duties) {
  if (!parts.audit) return;
  std::erase_if(duties, [&](const AuditedDuty& duty) {
    return is_refusal(duty.outcome) && !parts.audited_refusals->may_note(request.client.name);
  });
  if (duties.empty()) return;
  parts.audit->note({std::move(event), who(request), std::move(duties)});
}

void audit_duty(const ApplicationParts& parts, const ActiveRequest& request, std::string event, AuditedDuty duty) {
  audit_duties(parts, request, std::move(event), {duty});
}

void audit_action(const ApplicationParts& parts, const ActiveRequest& request, std::string event,
                  std::vector<LogField> fields) {
  if (!parts.audit) return;
  auto all = who(request);
  std::ranges::move(fields, std::back_inserter(all));
  parts.audit->note({std::move(event), std::move(all)});
}

}  // namespace hasigner::service
