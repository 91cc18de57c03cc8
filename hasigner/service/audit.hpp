#pragma once

#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"
#include "hasigner/service/audit_log.hpp"
#include "hasigner/service/problem.hpp"

namespace hasigner::service {

/// The outcome of a duty in the audit log: `success`, or the kind of the problem.
template <class T>
std::string_view audited_outcome(const std::expected<T, Problem>& result, std::string_view success) {
  return result ? success : problem_kind(result.error().kind).kind;
}

// What a request has done, with who asked. They do nothing where no audit log is kept.

void audit_duties(const ApplicationParts& parts, const ActiveRequest& request, std::string event,
                  std::vector<AuditedDuty> duties);
void audit_duty(const ApplicationParts& parts, const ActiveRequest& request, std::string event, AuditedDuty duty);
void audit_action(const ApplicationParts& parts, const ActiveRequest& request, std::string event,
                  std::vector<LogField> fields);

}  // namespace hasigner::service
