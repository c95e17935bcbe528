#include "ops/trace.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

namespace flagos::ops {
namespace {

struct Route {
  bool native = false;
  std::string reason;
};
thread_local Route* current_route = nullptr;

// Where lines go; NULL: nowhere. Never closed, since operators may run until the process is gone.
std::FILE* open_trace() {
  const char* const text = ::secure_getenv("FLAGOS_OPS_TRACE");
  if (text == nullptr || *text == '\0' || std::strcmp(text, "0") == 0) return nullptr;
  if (std::strcmp(text, "1") == 0) return stderr;
  std::FILE* const file = std::fopen(text, "ae");
  if (file == nullptr)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "FLAGOS_OPS_TRACE is '{}': 1 traces to stderr, and a file of this name cannot be "
                "written: {}",
                text, std::strerror(errno));
  return file;
}

std::FILE* trace_file() {
  static std::FILE* const file = open_trace();
  return file;
}

std::string line_of(const Call& call, const Route& route) {
  std::string line = fmt::format("flagos_ops: {} on {}: {}", call.op().name(),
                                 call.device().info().id, route.native ? "native" : "portable");
  if (!route.reason.empty()) line += fmt::format(" ({})", route.reason);
  const char* separator = ";";
  const std::vector<Parameter>& parameters = call.op().schema().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].kind != Parameter::Kind::tensor || !call.has(i)) continue;
    const auto tensors = parameters[i].list ? call.tensors(i) : std::span(&call.tensor(i), 1);
    for (const Tensor& tensor : tensors) {
      line += fmt::format("{} {} {} {}", separator, parameters[i].name, tensor.shape_text(),
                          dtype_name(tensor.dtype));
      separator = ",";
    }
  }
  return line + "\n";
}

}  // namespace

bool is_tracing() { return trace_file() != nullptr; }

void run_traced(const Operator& op, Call& call) {
  Route route;
  Route* const outer = std::exchange(current_route, &route);
  try {
    op.run(call);
  } catch (...) {
    current_route = outer;
    throw;
  }
  current_route = outer;
  const std::string line = line_of(call, route);
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::fwrite(line.data(), 1, line.size(), trace_file());
  std::fflush(trace_file());
}

void trace_route(bool native, std::string_view reason) {
  if (current_route != nullptr) *current_route = {native, std::string(reason)};
}

}  // namespace flagos::ops
