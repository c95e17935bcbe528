#include "conformance/options.hpp"

#include <fmt/format.h>

namespace flagos::conformance {
namespace {

// Safe to paste into a shell.
std::string quoted(const std::string& text) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=+-@%,";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

}  // namespace

std::vector<std::string> not_for_certification(const Options& options) {
  std::vector<std::string> reasons;
  if (options.quick) reasons.push_back("--quick runs smaller cases");
  if (!options.only.empty() || !options.except.empty()) {
    reasons.push_back("--only or --except left cases out");
  }
  if (options.shard.count > 1) {
    reasons.push_back(fmt::format("one shard of {} is a part of the run", options.shard.count));
  }
  if (options.orders < 2) reasons.push_back("the cases ran in one order only (--certify runs two)");
  if (options.null_check) reasons.push_back("--null-check tests the suite, not a plugin");
  if (options.selftest) reasons.push_back("--selftest tests the runner, not a plugin");
  return reasons;
}

std::uint32_t passes(const Options& options) { return options.orders * options.repeat; }

std::string repro_line(const Options& options, const std::string& id) {
  std::string line = "flagos-conformance";
  if (options.selftest) line += " --selftest";
  if (!options.plugin.empty()) line += " --plugin " + quoted(options.plugin);
  line += fmt::format(" --only {} --seed {}", quoted(id), options.seed);
  if (options.device != 0) line += fmt::format(" --device {}", options.device);
  if (options.level == Level::full) line += " --level full";
  if (options.quick) line += " --quick";
  return line;
}

}  // namespace flagos::conformance
