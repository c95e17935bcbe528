#include "tools/probe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include <mutex>
#include <utility>
#include <vector>

#include "tools/command.hpp"
#include "tools/describe.hpp"
#include "tools/process.hpp"
#include "tools/table.hpp"

namespace flagos::tools {
namespace {

using nlohmann::json;

constexpr int answer_descriptor = 3;
constexpr const char* closed_line = "closed";

// Decided before any file of a plugin is opened: by hand, in a debugger say, nobody has opened the
// descriptor, and the answer goes to the terminal.
int open_answer() {
  return ::fcntl(answer_descriptor, F_GETFD) >= 0 ? answer_descriptor : STDOUT_FILENO;
}

void answer(int descriptor, const std::string& line) {
  const std::string text = line + "\n";
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(descriptor, text.data() + done, text.size() - done);
    if (count <= 0) return;  // the parent has gone; nobody is left to tell
    done += static_cast<std::size_t>(count);
  }
}

// What the library that is opened has to say, such as why it finds no device. Warnings go to the terminal as well: a
// child that crashes gives no answer.
class HeardLines {
 public:
  HeardLines() { flagos_set_log_callback(hear, this, FLAGOS_LOG_LEVEL_INFO); }
  ~HeardLines() { flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_WARNING); }
  HeardLines(const HeardLines&) = delete;
  HeardLines& operator=(const HeardLines&) = delete;

  std::vector<std::string> said(flagos_log_level_t least = FLAGOS_LOG_LEVEL_INFO) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> texts;
    for (const auto& [level, text] : lines_)
      if (level >= least) texts.push_back(text);
    return texts;
  }

 private:
  static void hear(void* self, flagos_log_level_t level, const char* text) {
    auto& heard = *static_cast<HeardLines*>(self);
    if (level >= FLAGOS_LOG_LEVEL_WARNING) fmt::print(stderr, "[flagos] {}\n", text);
    const std::lock_guard lock(heard.mutex_);
    heard.lines_.emplace_back(level, text);
  }

  mutable std::mutex mutex_;
  std::vector<std::pair<flagos_log_level_t, std::string>> lines_;
};

json load_and_describe(flagos_runtime_t* runtime, const std::string& path) {
  HeardLines heard;
  const flagos_status_t status = flagos_runtime_add_plugin(runtime, path.c_str());
  const std::string text = status == FLAGOS_STATUS_OK ? "" : flagos_last_error();
  const json candidates = describe_candidates(runtime);
  json result = candidates.empty()
                    ? json{{"path", path}, {"verdict", "open_failed"}, {"reason", text}}
                    : candidates.back();
  result["devices"] = status == FLAGOS_STATUS_OK ? describe_devices(runtime) : json::array();
  result["says"] = heard.said();
  result["warns"] = heard.said(FLAGOS_LOG_LEVEL_WARNING);
  return result;
}

// A report for a child that broke off; `stage` is what it was doing.
json crashed(const std::string& path, json so_far, const Ending& ending, const char* stage) {
  so_far["path"] = path;
  so_far["verdict"] = "crashed";
  so_far["reason"] = fmt::format("'{}': the probe {} while the plugin was being {}", path,
                                 describe_ending(ending, probe_limit), stage);
  so_far["devices"] = json::array();
  if (!ending.output.empty()) so_far["output"] = printable(ending.output);
  return so_far;
}

}  // namespace

int run_probe_child(const std::string& path) {
  const int descriptor = open_answer();
  {
    const RuntimeOwner runtime(FLAGOS_RUNTIME_FLAG_NO_SEARCH);
    answer(descriptor, dump(load_and_describe(runtime, path), -1));
  }
  answer(descriptor, closed_line);
  return 0;
}

json probe(const std::string& path) {
  const Ending ending = run_watched({own_executable(), "doctor", "--probe", path}, probe_limit);
  const std::size_t line = ending.answer.find('\n');
  json report = line == std::string::npos
                    ? json()
                    : json::parse(ending.answer.substr(0, line), nullptr, false);
  const bool complete = report.is_object() && report.contains("verdict");
  if (!complete) return crashed(path, json::object(), ending, "opened");
  const bool closed = ending.answer.substr(line + 1) == std::string(closed_line) + "\n";
  const bool ended_well = !ending.timed_out && ending.signal == 0 && ending.exit_code == 0;
  if (!closed || !ended_well) return crashed(path, report, ending, "closed");
  return report;
}

}  // namespace flagos::tools
