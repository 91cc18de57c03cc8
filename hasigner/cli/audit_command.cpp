#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/service/audit_chain.hpp"

namespace hasigner::cli {

namespace {

using nlohmann::ordered_json;
using service::AuditVerdict;

struct VerifyOptions {
  std::vector<std::string> files;
  std::optional<std::string> head;
  Output output = Output::kText;
};

std::string fault_text(const AuditVerdict::Fault& fault) {
  const auto where = fault.line == 0 ? "" : "line " + std::to_string(fault.line) + " of ";
  return where + "'" + printable(fault.file.string(), 300) + "' " + fault.reason;
}

ordered_json head_json(const std::optional<service::AuditHead>& head) {
  return head && head->sequence > 0 ? ordered_json(to_string(*head)) : ordered_json(nullptr);
}

void print_verdict_json(const AuditVerdict& verdict, ExitCode code, std::ostream& out) {
  ordered_json fault = nullptr;
  if (const auto& found = verdict.fault) {
    fault = {{"file", printable(found->file.string(), 4'096)},
             {"line", found->line == 0 ? ordered_json(nullptr) : ordered_json(found->line)},
             {"reason", found->reason}};
  }
  print_json(out, {{"lines", verdict.lines},
                   {"follows", head_json(verdict.before)},
                   {"head", head_json(verdict.head)},
                   {"fault", std::move(fault)},
                   {"exit_code", static_cast<int>(code)}});
}

void print_verdict(const AuditVerdict& verdict, const Console& console) {
  if (verdict.fault) {
    console.err << "ha-signer: " << fault_text(*verdict.fault) << '\n';
    return;
  }
  console.out << verdict.lines << " lines are in order\n";
  if (verdict.before && verdict.before->sequence > 0) {
    console.out << "they follow line " << to_string(*verdict.before) << ", which is in an older file\n";
  }
  if (verdict.lines > 0) console.out << "head: " << to_string(verdict.head) << '\n';
}

ExitCode verify(const VerifyOptions& options, Context& context) {
  std::optional<service::AuditHead> known;
  if (options.head) known = accepted(service::parse_audit_head(*options.head, "--head"));
  const std::vector<std::filesystem::path> files(options.files.begin(), options.files.end());
  const auto verdict = service::verify_audit(files, known);
  const auto code = verdict.fault ? ExitCode::kFailure : ExitCode::kSuccess;
  if (options.output == Output::kJson) {
    print_verdict_json(verdict, code, context.console.out);
  } else {
    print_verdict(verdict, context.console);
  }
  return code;
}

Command verify_command() {
  return {
      .name = "verify",
      .summary = "Check that no line of an audit log was changed, removed, added or moved",
      .description =
          "Names the first line that is not in order, and exits with 1, also for an empty file. Rotated files are "
          "given "
          "from the oldest on. Each line has the hash of the line before it, so a changed line shows unless all that "
          "follow are written anew. One who may write the file can do that, or remove the last lines, and the check "
          "then finds "
          "nothing. The head prevents it: it is the number and the hash of the last line, which stands for all lines "
          "before it. Note it regularly on a machine that the service cannot write to (this command prints it, and "
          "/readyz shows it to a client that may read), and give the newest note as --head: the log must still have "
          "that line.",
      .examples = {{"A log and the file before it", "ha-signer audit verify audit.jsonl.1 audit.jsonl"},
                   {"With the head that was noted yesterday",
                    "ha-signer audit verify audit.jsonl --head "
                    "20731:5f0c6a4bd1e38c2791b1f1a4d1a3a4ce5b9df0d45f7e9f0e8f3d4b1c2a693e7d"}},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<VerifyOptions>();
        app.add_option("FILE", options->files, "The files, the oldest first")->type_name("FILE")->required();
        app.add_option("--head", options->head,
                       "A head that was noted earlier, as SEQUENCE:HASH: the log must have this line")
            ->type_name("SEQUENCE:HASH");
        add_json_flag(app, options->output);
        return [options](Context& context) { return verify(*options, context); };
      }};
}

}  // namespace

Command audit_command() {
  return {.name = "audit",
          .group = kInspectionGroup,
          .summary = "Check the audit log of a service",
          .subcommands = {verify_command()}};
}

}  // namespace hasigner::cli
