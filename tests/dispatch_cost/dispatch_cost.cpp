// Counts what core does on a hot call: no allocation, no lock. Instructions are counted from outside, by running the
// same number of calls twice; see run.py. The plugin underneath does nothing.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "bench/bench_device.hpp"

namespace {
std::atomic<bool> counting{false};
std::atomic<long> allocations{0};
std::atomic<long> locks{0};
}  // namespace

// The program's own malloc and pthread_mutex_lock come before those of libc for every library.
extern "C" {
void* __libc_malloc(std::size_t size);
void* malloc(std::size_t size) {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1);
  return __libc_malloc(size);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static const auto real =
      reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  if (counting.load(std::memory_order_relaxed)) locks.fetch_add(1);
  return real(mutex);
}
int pthread_mutex_trylock(pthread_mutex_t* mutex) {
  static const auto real =
      reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_trylock"));
  if (counting.load(std::memory_order_relaxed)) locks.fetch_add(1);
  return real(mutex);
}
}

using namespace flagos::bench;

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: %s FOLDER_OF_NULL_PLUGINS PLUGINS CALL COUNT [PLUGIN_BESIDE]...\n",
                 argv[0]);
    return 2;
  }
  std::vector<std::string> plugins;
  for (int i = 0; i < std::atoi(argv[2]); ++i)
    plugins.push_back(std::string(argv[1]) + "/libflagos_plugin_null" + std::to_string(i) + ".so");
  plugins.insert(plugins.end(), argv + 5, argv + argc);
  BenchDevice device(plugins, "nothing", "", "nothing");
  const long count = std::atol(argv[4]);

  const std::uint64_t block[4] = {1, 2, 3, 4};
  const flagos_launch_desc_t packed = launch_desc(block, sizeof(block));
  flagos_argument_t arguments[4] = {};
  for (auto& argument : arguments) argument.dtype = FLAGOS_DTYPE_ADDRESS;
  flagos_launch_desc_t unpacked = launch_desc(nullptr, 0);
  unpacked.arguments = arguments;
  unpacked.argument_count = 4;
  flagos_prepared_t* prepared = nullptr;
  must(flagos_kernel_prepare(device.kernel, &packed, &prepared), "flagos_kernel_prepare");

  const std::uint32_t pattern = 7;
  const std::map<std::string, std::function<flagos_status_t()>> calls = {
      {"launch", [&] { return flagos_kernel_launch(device.stream, device.kernel, &packed); }},
      {"launch_arguments",
       [&] { return flagos_kernel_launch(device.stream, device.kernel, &unpacked); }},
      {"launch_prepared", [&] { return flagos_kernel_launch_prepared(device.stream, prepared); }},
      {"copy", [&] { return flagos_memory_copy(device.stream, device.target, device.source, 64); }},
      {"fill", [&] { return flagos_memory_fill(device.stream, device.target, &pattern, 4, 64); }},
      {"record", [&] { return flagos_event_record(device.event, device.stream); }},
      {"wait_event", [&] { return flagos_stream_wait_event(device.stream, device.event); }},
      {"direct",
       [&] {
         return device.table->kernel->launch(device.native_stream, device.native_kernel, &packed);
       }},
  };
  const auto call = calls.find(argv[3]);
  if (call == calls.end()) {
    std::fprintf(stderr, "no call '%s'\n", argv[3]);
    return 2;
  }
  must(call->second(), argv[3]);  // what is made at first use is not counted
  counting = true;
  flagos_status_t status = FLAGOS_STATUS_OK;
  for (long i = 0; i < count; ++i) status |= call->second();
  counting = false;
  must(status, argv[3]);
  std::printf("allocations %ld locks %ld\n", allocations.load(), locks.load());
  return allocations == 0 && locks == 0 ? 0 : 1;
}
