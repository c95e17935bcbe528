// flagos trace: runs a program with the trace layer on and adds up its calls.
#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tools/command.hpp"
#include "tools/process.hpp"
#include "tools/table.hpp"
#include "tools/trace_summary.hpp"

namespace flagos::tools {
namespace {

namespace fs = std::filesystem;

// Layers that the user has asked for stay on.
std::string layers_with_trace() {
  const char* set = ::getenv("FLAGOS_LAYERS");
  const std::string layers = set ? set : "";
  if (layers.empty()) return "trace";
  return ("," + layers + ",").find(",trace,") != std::string::npos ? layers : layers + ",trace";
}

std::string read_trace(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw CommandError(fmt::format(
        "the program wrote no trace to '{}': it may not use flagos, may have been killed, or may "
        "not be allowed to write there",
        file));
  }
  return {std::istreambuf_iterator<char>(stream), {}};
}

void print_summary(const TraceSummary& summary, const std::string& file) {
  constexpr std::size_t most_rows = 15;
  Table table({"call", "times", "total us", "mean us"});
  for (std::size_t i = 0; i < summary.calls.size() && i < most_rows; ++i) {
    const CallTotal& call = summary.calls[i];
    table.add({printable(call.name), std::to_string(call.count),
               fmt::format("{:.1f}", call.total_us),
               fmt::format("{:.3f}", call.total_us / static_cast<double>(call.count))});
  }
  fmt::print("{}", table.text());
  if (summary.calls.size() > most_rows)
    fmt::print("and {} more\n", summary.calls.size() - most_rows);
  if (summary.dropped > 0)
    fmt::print("{} events were dropped: the buffers were full\n", summary.dropped);
  fmt::print("trace: {} ({} events; open it in https://ui.perfetto.dev)\n", file, summary.events);
}

}  // namespace

int run_trace(const Arguments& arguments) {
  cxxopts::Options options("flagos trace", "Runs a program and records its flagos calls.");
  options.add_options()("o,output", "the trace; default: ./flagos-trace.json",
                        cxxopts::value<std::string>(), "FILE");
  options.positional_help("-- PROGRAM [ARGUMENTS]");
  const auto [own, program] = split_at_dashes(arguments);
  const auto parsed = parse(options, own);
  if (!parsed) return 0;
  if (program.empty())
    throw UsageError("trace needs a program: `flagos trace -- PROGRAM ARGUMENTS`");
  const std::string given =
      parsed->count("output") > 0 ? (*parsed)["output"].as<std::string>() : "flagos-trace.json";
  if (given.empty()) throw UsageError("--output needs a file");
  const std::string file = fs::absolute(given).lexically_normal().string();
  std::error_code ignored;
  if (fs::is_regular_file(file, ignored))
    fs::remove(file, ignored);  // an old trace must not pass for the new one

  const int code =
      run_program(program, {{"FLAGOS_LAYERS", layers_with_trace()}, {"FLAGOS_TRACE_FILE", file}});
  if (code != 0) fmt::print(stderr, "flagos trace: the program ended with {}\n", code);
  print_summary(summarize_trace(read_trace(file)), file);
  return code;
}

}  // namespace flagos::tools
