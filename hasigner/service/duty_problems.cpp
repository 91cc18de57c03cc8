#include "hasigner/service/duty_problems.hpp"

#include <algorithm>

namespace hasigner::service {

namespace {

bool fits(const DutyKey& duty, const DutyFilter& filter) {
  return (!filter.rollup || duty.rollup == *filter.rollup) &&
         (!filter.validator || duty.validator == *filter.validator) &&
         (!filter.from_slot || duty.slot >= *filter.from_slot) && (!filter.to_slot || duty.slot <= *filter.to_slot) &&
         (!filter.duty_type || duty.duty_type == *filter.duty_type);
}

}  // namespace

DutyProblems::Entries::Name DutyProblems::Entries::name_of(const DutyProblem& seen) {
  return {seen.share, *seen.problem.duty, seen.problem.kind, seen.problem.attempted_message_hash};
}

std::map<std::uint64_t, DutyProblem>::iterator DutyProblems::Entries::take_out(
    std::map<std::uint64_t, DutyProblem>::iterator entry) {
  numbers_.erase(name_of(entry->second));
  const auto share = of_shares_.find(entry->second.share);
  if (--share->second == 0) of_shares_.erase(share);
  return entries_.erase(entry);
}

void DutyProblems::Entries::make_room() {
  if (entries_.size() < most_) return;
  const auto by_count = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto& largest = std::ranges::max_element(of_shares_, by_count)->first;
  const auto is_its_own = [&largest](const auto& entry) { return entry.second.share == largest; };
  take_out(std::ranges::find_if(entries_, is_its_own));
}

void DutyProblems::Entries::note(DutyProblem seen) {
  auto name = name_of(seen);
  if (const auto before = numbers_.find(name); before != numbers_.end()) {
    const auto entry = entries_.find(before->second);
    seen.first_at = entry->second.first_at;
    seen.count += entry->second.count;
    take_out(entry);
  }
  make_room();
  ++of_shares_[seen.share];
  numbers_[std::move(name)] = seen.number;
  const auto number = seen.number;
  entries_.emplace(number, std::move(seen));
}

void DutyProblems::note(const ActiveRequest& request, const Problem& problem) {
  if (!problem.duty) return;
  const auto now = std::chrono::system_clock::now();
  DutyProblem seen{.problem = problem,
                   .client = request.client.name,
                   .share = request.share,
                   .first_at = now,
                   .last_at = now,
                   .count = 1,
                   .number = ++last_number_};
  seen.problem.signature.clear();
  (problem.kind == "duty_already_signed" ? usual_ : others_).note(std::move(seen));
}

std::vector<DutyProblem> DutyProblems::select(std::size_t most,
                                              const std::function<bool(const DutyProblem&)>& is_wanted) const {
  std::vector<DutyProblem> chosen;
  auto usual = usual_.all().rbegin();
  auto other = others_.all().rbegin();
  while (chosen.size() < most && (usual != usual_.all().rend() || other != others_.all().rend())) {
    const bool takes_usual =
        other == others_.all().rend() || (usual != usual_.all().rend() && usual->first > other->first);
    const auto& next = takes_usual ? (usual++)->second : (other++)->second;
    if (is_wanted(next)) chosen.push_back(next);
  }
  return chosen;
}

std::vector<DutyProblem> DutyProblems::newest(const Client& viewer, const DutyFilter& filter) const {
  return select(filter.limit, [&](const DutyProblem& entry) {
    return viewer.may_use(entry.problem.duty->validator) && fits(*entry.problem.duty, filter);
  });
}

std::vector<DutyProblem> DutyProblems::since(std::uint64_t number, std::size_t most) const {
  return select(most, [number](const DutyProblem& entry) { return entry.number > number; });
}

}  // namespace hasigner::service
