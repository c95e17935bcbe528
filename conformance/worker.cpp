#include "conformance/worker.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <stdexcept>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "conformance/capabilities.hpp"
#include "conformance/context_state.hpp"
#include "conformance/helper.hpp"
#include "conformance/plugin_file.hpp"
#include "conformance/registry.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr int worker_failed = 3;
// Out of the way of descriptors that cases count, and closed in every program that a case starts.
constexpr int first_descriptor = 700;

char read_byte(int descriptor) {
  char byte = 0;
  ssize_t size = 0;
  while ((size = read(descriptor, &byte, 1)) < 0 && errno == EINTR) {
  }
  if (size != 1) throw std::runtime_error("the orchestrator is gone");
  return byte;
}

int move_up(int descriptor) {
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, first_descriptor);
  if (moved < 0) throw std::runtime_error("a pipe to the orchestrator is missing");
  close(descriptor);
  return moved;
}

// The line to the orchestrator.
class Reporter {
 public:
  Reporter() : job_(move_up(worker_job_descriptor)), report_(move_up(worker_report_descriptor)) {}

  json read_job() {
    std::string text;
    for (char byte = 0; (byte = read_byte(job_)) != '\n';) text += byte;
    json job = json::parse(text);
    job.at("token").get_to(token_);
    return job;
  }

  void wait_for_receipt() { read_byte(job_); }

  void send(json event) {
    event["token"] = token_;
    const std::string line = event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    for (std::size_t done = 0; done < line.size();) {
      const ssize_t written = write(report_, line.data() + done, line.size() - done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) throw std::runtime_error("the pipe for reports is broken");
      done += static_cast<std::size_t>(written);
    }
  }

 private:
  int job_;
  int report_;
  std::string token_;
};

// Set by the probe; a case is a plain function.
json& described() {
  static json caps;
  return caps;
}

// What the plugin brought with it, as it is at the probe.
json& loaded() {
  static json libraries;
  return libraries;
}

// The first look at the plugin.
void probe(Context& t) {
  described() = describe_capabilities(t);
  loaded() = describe_loaded_libraries(t.settings().plugin_path);
  t.check(true, "the plugin described itself");
}

// A look behind the last case.
void describe_again(Context& t) {
  described() = describe_capabilities(t);
  t.check(true, "the plugin described itself");
}

void ping(Context& t) { t.smoke(); }

const Case* find_job_case(const std::string& id) {
  static const Case probe_case{
      probe_id, {.clause = "harness"}, &probe, std::source_location::current()};
  static const Case again_case{
      again_id, {.clause = "harness"}, &describe_again, std::source_location::current()};
  static const Case ping_case{
      ping_id, {.clause = "harness"}, &ping, std::source_location::current()};
  if (id == probe_id) return &probe_case;
  if (id == again_id) return &again_case;
  if (id == ping_id) return &ping_case;
  return find_case(id);
}

void run_one(const std::string& id, const Context::Settings& settings, Reporter& reporter) {
  const Case* const the_case = find_job_case(id);
  if (the_case == nullptr) throw std::runtime_error("no case '" + id + "'");
  reporter.send({{"event", "begin"}, {"id", id}});
  const CaseResult result = run_case(*the_case, settings);
  std::fflush(nullptr);
  reporter.send({{"event", "end"}, {"result", to_json(result)}});
  reporter.wait_for_receipt();
}

void run_job(const json& job, Reporter& reporter) {
  const Context::Settings settings = settings_from_json(job.at("settings"));
  const auto ids = job.at("cases").get<std::vector<std::string>>();
  for (const std::string& id : ids) run_one(id, settings, reporter);
  if (job.at("snapshot").get<bool>()) {
    const CaseResult result = run_case(*find_job_case(again_id), settings);
    if (result.status != Status::pass) {
      reporter.send({{"event", "caps_failed"}, {"text", result.text}});
    }
  }
  if (!described().is_null()) reporter.send({{"event", "caps"}, {"caps", described()}});
  if (!loaded().is_null()) reporter.send({{"event", "libraries"}, {"libraries", loaded()}});
}

}  // namespace

int worker_main() {
  // Without the orchestrator nobody would end a case that hangs.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    Reporter reporter;
    run_job(reporter.read_job(), reporter);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "flagos-conformance: worker: %s\n", error.what());
    return worker_failed;
  }
}

}  // namespace flagos::conformance
