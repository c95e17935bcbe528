#include "plugins/opencl/callback.hpp"

#include <mutex>
#include <unordered_map>

#include "base/guard.hpp"

namespace flagos::opencl {
namespace {

// Never destroyed: a driver may call while the process exits.
struct Table {
  std::mutex mutex;
  std::uint64_t next = 1;
  std::unordered_map<std::uint64_t, std::function<void(cl_int)>> functions;

  static Table& get() {
    static Table& table = *new Table;
    return table;
  }
  std::function<void(cl_int)> take(std::uint64_t number) {
    const std::lock_guard lock(mutex);
    const auto found = functions.find(number);
    if (found == functions.end()) return nullptr;
    std::function<void(cl_int)> function = std::move(found->second);
    functions.erase(found);
    return function;
  }
};

void CL_CALLBACK run(cl_event, cl_int status, void* data) {
  guard(
      [&] {
        const auto function = Table::get().take(reinterpret_cast<std::uint64_t>(data));
        if (function) function(status);
      },
      [](flagos_status_t, const char*) {});
}

}  // namespace

std::uint64_t call_when_done(const Driver& driver, cl_event event,
                             std::function<void(cl_int)> function) {
  Table& table = Table::get();
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(table.mutex);
    number = table.next++;
    table.functions.emplace(number, std::move(function));
  }
  const cl_int code =
      driver.clSetEventCallback(event, CL_COMPLETE, run, reinterpret_cast<void*>(number));
  if (code != CL_SUCCESS) {
    cancel_callback(number);
    Driver::fail(code, "clSetEventCallback", {});
  }
  return number;
}

bool cancel_callback(std::uint64_t number) noexcept { return Table::get().take(number) != nullptr; }

}  // namespace flagos::opencl
