#include "base/thread.hpp"

#include <fenv.h>
#include <pthread.h>
#include <sched.h>

#include <system_error>
#include <utility>

#include "base/error.hpp"

namespace flagos {
namespace {

void run_on(const std::vector<int>& processors) {
  if (processors.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int processor : processors) CPU_SET(processor, &set);
  // A failure leaves the thread where it may run anyway: slower, not wrong.
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

}  // namespace

std::vector<int> usable_processors() {
  std::vector<int> processors;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set)) processors.push_back(i);
  }
  if (processors.empty()) {
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
      processors.push_back(static_cast<int>(i));
  }
  return processors;
}

std::thread start_thread(const std::string& name, const std::vector<int>& processors, std::function<void()> body) {
  const SignalsBlocked blocked;
  try {
    return std::thread([name, processors, body = std::move(body)] {
      pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
      // The creator's rounding mode and flags are inherited too; kernels expect the default.
      fesetenv(FE_DFL_ENV);
      run_on(processors);
      body();
    });
  } catch (const std::system_error& error) {
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no thread '{}': {}", name, error.what());
  }
}

}  // namespace flagos
