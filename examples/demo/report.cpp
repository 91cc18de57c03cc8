#include "examples/demo/report.hpp"

#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>

namespace hasigner::demo {

namespace {

using std::chrono::microseconds;

constexpr std::size_t kLabelColumns = 28;
constexpr std::size_t kNumberColumns = 9;
/// More would not leave room for the rest of the line.
constexpr std::size_t kValidatorsInLine = 5;

std::string left(std::string text, std::size_t columns) {
  if (text.size() < columns) text.resize(columns, ' ');
  return text;
}

std::string right(std::string text, std::size_t columns) {
  if (text.size() < columns) text.insert(0, columns - text.size(), ' ');
  return text;
}

std::string decimal(double value, int digits) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", digits, value);
  return buffer.data();
}

double milliseconds_of(microseconds duration) {
  return static_cast<double>(duration.count()) / 1000.0;
}

std::string plural(std::size_t count, std::string_view noun) {
  return std::to_string(count) + ' ' + std::string(noun) + (count == 1 ? "" : "s");
}

using CountOf = std::function<std::size_t(const NodeCount&)>;

void print_row(std::ostream& out, std::string_view label, const Tally& tally, const CountOf& count_of) {
  out << "  " << left(std::string(label), kLabelColumns);
  std::size_t all = 0;
  for (const auto& count : tally.counts()) {
    all += count_of(count);
    out << right(std::to_string(count_of(count)), kNumberColumns);
  }
  out << right(std::to_string(all), kNumberColumns) << '\n';
}

void print_counts(std::ostream& out, const Tally& tally, const Paint& paint) {
  out << "  " << left("", kLabelColumns);
  for (std::size_t i = 0; i < Tally::kNodes; ++i) out << paint.node(i, right(node_name(i), kNumberColumns));
  out << right("all", kNumberColumns) << '\n';
  print_row(out, "signed", tally, [](const auto& c) { return c.signatures; });
  print_row(out, "  taken over, same data", tally, [](const auto& c) { return c.taken_over; });
  print_row(out, "  replaced a dead node's", tally, [](const auto& c) { return c.replaced; });
  print_row(out, "refused: already signed", tally, [](const auto& c) { return c.already_signed; });
  print_row(out, "refused: slashing", tally, [](const auto& c) { return c.other_data; });
  print_row(out, "held by another, ask again", tally, [](const auto& c) { return c.still_held; });
  std::set<std::string> kinds;
  for (const auto& count : tally.counts()) {
    for (const auto& [kind, times] : count.failed) kinds.insert(kind);
  }
  for (const auto& kind : kinds) {
    print_row(out, kind == "signing_lock_lost" ? "lock lost, not let out" : "failed: " + kind, tally,
              [&kind](const auto& c) {
                const auto found = c.failed.find(kind);
                return found == c.failed.end() ? std::size_t{0} : found->second;
              });
  }
}

void print_latency_row(std::ostream& out, std::string_view label, const Latencies& latencies) {
  out << "  " << left(std::string(label), kLabelColumns);
  for (const double share : {0.50, 0.95, 0.99, 1.0}) {
    out << right(decimal(milliseconds_of(latencies.percentile(share)), 1), kNumberColumns);
  }
  out << '\n';
}

void print_latencies(std::ostream& out, const Tally& tally, const Paint& paint) {
  out << "  " << left("milliseconds", kLabelColumns);
  for (const std::string_view heading : {"p50", "p95", "p99", "max"})
    out << paint.bold(right(std::string(heading), kNumberColumns));
  out << '\n';
  print_latency_row(out, "call to signature", tally.signed_latencies());
  print_latency_row(out, "call to refusal", tally.refused_latencies());
}

void print_rescued(std::ostream& out, std::string_view what, const Latencies& latencies) {
  if (latencies.count() == 0) return;
  const auto verb = latencies.count() == 1 ? " duty with " : " duties with ";
  out << "    " << latencies.count() << verb << what << " signed by another node within "
      << shown_duration(latencies.percentile(1.0)) << '\n';
}

void print_rescue(std::ostream& out, const Tally& tally, const Paint& paint) {
  const auto& rescue = tally.rescue();
  if (tally.killed_node() >= Tally::kNodes) return;
  const auto name = node_name(tally.killed_node());
  out << "  " << paint.node(tally.killed_node(), name) << " was killed while it held "
      << plural(rescue.held.size(), "lock") << '\n';
  print_rescued(out, "the same data", rescue.same_data);
  print_rescued(out, "other data", rescue.other_data);
  if (rescue.first_signature_after_restart) {
    out << "    started again, its first signature came after " << shown_duration(*rescue.first_signature_after_restart)
        << '\n';
  }
}

void print_check(std::ostream& out, std::size_t wrong, std::string_view good, const std::string& bad,
                 const Paint& paint) {
  if (wrong == 0) {
    out << "  " << paint.good("ok  ") << "  " << good << '\n';
  } else {
    out << "  " << paint.bad("FAIL") << "  " << bad << '\n';
  }
}

void print_verdict(std::ostream& out, const Tally& tally, const Verdict& verdict, const Paint& paint) {
  const auto duties = tally.duties().count();
  print_check(out, verdict.missed,
              "no duty was missed: " + std::to_string(duties) + " of " + std::to_string(duties) + " signed",
              plural(verdict.missed, "duty") + " of " + std::to_string(duties) + " not signed", paint);
  print_check(out, verdict.two_messages, "no duty was signed for two messages",
              "signed for two messages: " + plural(verdict.two_messages, "duty"), paint);
  print_check(out, verdict.wrong_signatures,
              plural(verdict.recovered, "released signature") + " recovered to the validators' addresses",
              plural(verdict.wrong_signatures, "signature") + " not by the validator's key, or not of the node's data",
              paint);
  print_check(out, verdict.table_disagrees + verdict.still_signing,
              "the table holds exactly these signatures, and no unfinished row",
              plural(verdict.table_disagrees, "row") + " unlike what was signed, " +
                  plural(verdict.still_signing, "row") + " unfinished",
              paint);
  if (verdict.gave_up > 0)
    print_check(out, verdict.gave_up, "", plural(verdict.gave_up, "attempt") + " given up without a reason", paint);
}

nlohmann::ordered_json json_of(const Latencies& latencies) {
  nlohmann::ordered_json object = {{"count", latencies.count()}};
  object["p50"] = milliseconds_of(latencies.percentile(0.50));
  object["p95"] = milliseconds_of(latencies.percentile(0.95));
  object["p99"] = milliseconds_of(latencies.percentile(0.99));
  object["max"] = milliseconds_of(latencies.percentile(1.0));
  return object;
}

nlohmann::ordered_json json_of(const NodeCount& count, std::size_t index) {
  return {{"node", node_name(index)},
          {"signed", count.signatures},
          {"taken_over", count.taken_over},
          {"replaced", count.replaced},
          {"duty_already_signed", count.already_signed},
          {"slashing_protection", count.other_data},
          {"still_held", count.still_held},
          {"failed", count.failed}};
}

nlohmann::ordered_json json_of_kill(const Tally& tally) {
  const auto& rescue = tally.rescue();
  nlohmann::ordered_json object = {{"node", node_name(tally.killed_node())},
                                   {"held", rescue.held.size()},
                                   {"same_data_signed_after_ms", json_of(rescue.same_data)},
                                   {"other_data_signed_after_ms", json_of(rescue.other_data)},
                                   {"restart_to_first_signature_ms", nullptr}};
  if (rescue.first_signature_after_restart) {
    object["restart_to_first_signature_ms"] = milliseconds_of(*rescue.first_signature_after_restart);
  }
  return object;
}

}  // namespace

std::string Paint::painted(std::string_view code, std::string_view text) const {
  if (!colours_) return std::string(text);
  return "\033[" + std::string(code) + "m" + std::string(text) + "\033[0m";
}

std::string Paint::node(std::size_t index, std::string_view text) const {
  constexpr std::array<std::string_view, Tally::kNodes> kCodes = {"36", "33", "35"};
  return painted(kCodes.at(index), text);
}

std::string node_name(std::size_t index) {
  return "node-" + std::to_string(index + 1);
}

std::string shown_duration(microseconds duration) {
  const double ms = milliseconds_of(duration);
  return ms < 1000 ? decimal(ms, ms < 10 ? 1 : 0) + " ms" : decimal(ms / 1000, 2) + " s";
}

std::string slot_line(const Tally& tally, std::size_t slot_index, const Paint& paint) {
  const auto& duties = tally.duties();
  std::string line = "  slot " + right(std::to_string(slot_index + 1), 3) + "  ";
  const bool has_room = duties.validators().size() <= kValidatorsInLine;
  std::size_t signatures = 0;
  for (std::size_t i = 0; i < duties.per_slot(); ++i) {
    const auto signer = tally.signer_of(duties.first_of(slot_index) + i);
    if (signer) ++signatures;
    if (!has_room) continue;
    if (i > 0 && i % Duties::kPerValidator == 0) line += ' ';
    line += signer ? paint.node(*signer, std::to_string(*signer + 1)) : paint.bad("-");
  }
  return line + (has_room ? "  " : "") + right(std::to_string(signatures), 4) + " signed in " +
         shown_duration(tally.time_of_slot(slot_index));
}

void print_report(std::ostream& out, const Tally& tally, const Verdict& verdict, const Paint& paint) {
  out << '\n';
  print_counts(out, tally, paint);
  out << '\n';
  print_latencies(out, tally, paint);
  out << '\n';
  print_rescue(out, tally, paint);
  out << '\n';
  print_verdict(out, tally, verdict, paint);
  out << '\n'
      << (verdict.good() ? paint.good("Every duty was signed, and each for one message only.")
                         : paint.bad("This must not happen. Please report it, with what is printed above."))
      << '\n';
}

void print_report_json(std::ostream& out, const Tally& tally, const Verdict& verdict) {
  nlohmann::ordered_json report = {{"ok", verdict.good()}, {"duties", tally.duties().count()}};
  report["nodes"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < Tally::kNodes; ++i) report["nodes"].push_back(json_of(tally.counts().at(i), i));
  report["latency_ms"] = {{"signed", json_of(tally.signed_latencies())},
                          {"refused", json_of(tally.refused_latencies())}};
  report["kill"] = json_of_kill(tally);
  report["checks"] = {{"missed", verdict.missed},
                      {"two_messages", verdict.two_messages},
                      {"wrong_signatures", verdict.wrong_signatures},
                      {"signatures_recovered", verdict.recovered},
                      {"gave_up", verdict.gave_up},
                      {"rows_unlike_signatures", verdict.table_disagrees},
                      {"rows_unfinished", verdict.still_signing}};
  out << report.dump(2) << '\n';
}

}  // namespace hasigner::demo
