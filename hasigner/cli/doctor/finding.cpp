#include "hasigner/cli/doctor/finding.hpp"

#include <algorithm>
#include <exception>

#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::cli::doctor {

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "ok";
    case Verdict::kWarning: return "warning";
    case Verdict::kFailure: return "failure";
    case Verdict::kSkipped: return "skipped";
  }
  return "unknown";
}

Finding ok(std::string found) {
  return {.found = std::move(found)};
}
Finding warning(std::string found, std::string mend) {
  return {.verdict = Verdict::kWarning, .found = std::move(found), .mend = std::move(mend)};
}
Finding failure(std::string found, std::string mend) {
  return {.verdict = Verdict::kFailure, .found = std::move(found), .mend = std::move(mend)};
}
Finding unavailable(std::string found, std::string mend) {
  return {.verdict = Verdict::kFailure, .found = std::move(found), .mend = std::move(mend), .unavailable = true};
}
Finding skipped(std::string why, std::string mend) {
  return {.verdict = Verdict::kSkipped, .found = std::move(why), .mend = std::move(mend)};
}

Finding refused(std::string_view sentence, std::string_view mend) {
  struct Joint {
    std::string_view words;
    std::size_t of_mend;  ///< where the mend begins in them
  };
  for (const auto& [words, of_mend] :
       {Joint{"; ", 2}, Joint{". Give ", 2}, Joint{": chmod ", 2}, Joint{": run chmod ", 2}, Joint{": chown ", 2},
        Joint{": give ", 2}, Joint{": set ", 2}, Joint{": put ", 2}, Joint{": let ", 2}, Joint{": make ", 2},
        Joint{": name ", 2}, Joint{": remove ", 2}}) {
    const auto end = sentence.find(words);
    if (end == std::string_view::npos) continue;
    return failure(std::string(sentence.substr(0, end)), std::string(sentence.substr(end + of_mend)));
  }
  return failure(std::string(sentence), std::string(mend));
}

void Group::run(std::string_view name, const std::function<Finding()>& check) {
  Finding finding;
  try {
    finding = check();
  } catch (Ended& ended) {
    finding = std::move(ended.finding);
  } catch (const std::exception& error) {
    finding = refused(error.what(), "correct it, then run doctor again");
  }
  finding.check = name;
  findings.push_back(std::move(finding));
}

void Group::skip(const std::vector<std::string_view>& names, const std::string& why) {
  for (const auto name : names) run(name, [&why] { return skipped(why); });
}

const Finding* Group::failed(const std::vector<std::string_view>& names) const {
  for (const auto& finding : findings) {
    if (finding.verdict == Verdict::kFailure && std::ranges::find(names, finding.check) != names.end()) return &finding;
  }
  return nullptr;
}

std::string in_quotes(const std::filesystem::path& path) {
  return "'" + printable(path.string(), 1'000) + "'";
}

std::string count_of(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string listed(const std::vector<std::string>& words, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(words.size(), most); ++i) text += (i == 0 ? "" : ", ") + words[i];
  if (words.size() > most) text += " and " + std::to_string(words.size() - most) + " more";
  return text;
}

}  // namespace hasigner::cli::doctor
