// Row 22: a plugin brings the process down in the middle of a call. With the layer "crash" standard error says which
// plugin it was, in which call, and what came before; and the process ends as it would have ended without.
#include <doctest/doctest.h>
#include <flagos.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

namespace {

const std::string plugin = std::string(FLAGOS_ZOO) + "/libflagos_plugin_crashes.so";

struct Ended {
  int signal = 0;  // that ended it
  int code = -1;   // with which it exited
  std::string said;
  bool says(const std::string& part) const { return said.find(part) != std::string::npos; }
};

// Where the program has handlers of its own, they decide how it ends: this one with an exit code.
constexpr int exit_base = 100;
void exit_on_signal(int number) { std::exit(exit_base + number); }

// Runs the test case "child" of this program in a process of its own; `layers` for it, and the size that it allocates.
Ended run_child(const char* layers, const char* size, bool handles = true) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::setenv("FLAGOS_LAYERS", layers, 1);
    ::setenv("CRASH_SIZE", size, 1);
    ::setenv("CRASH_HANDLER", handles ? "1" : "0", 1);
    ::execl("/proc/self/exe", "child", "--test-case=child", "--no-skip", nullptr);
    ::_exit(99);
  }
  ::close(ends[1]);
  Ended ended;
  std::array<char, 4096> bytes{};
  for (ssize_t count = 1; count > 0;) {
    count = ::read(ends[0], bytes.data(), bytes.size());
    if (count > 0) ended.said.append(bytes.data(), static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) ended.signal = WTERMSIG(status);
  if (WIFEXITED(status)) ended.code = WEXITSTATUS(status);
  return ended;
}

void check_named(const Ended& ended) {
  INFO(ended.said);
  CHECK(ended.says("flagos: it happened in the plugin " + plugin + " at 0x"));
  CHECK(ended.says("flagos: the call is flagos_memory_alloc of 0x"));
  CHECK(ended.says("flagos:   before it flagos_stream_create\n"));
  CHECK_FALSE(ended.says("before it flagos_memory_alloc"));
}

}  // namespace

TEST_CASE("child" * doctest::skip()) {
  if (std::string(std::getenv("CRASH_HANDLER")) == "1") {
    for (const int number : {SIGSEGV, SIGABRT}) ::signal(number, exit_on_signal);
  }
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  flagos_runtime_t* runtime = nullptr;
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  REQUIRE(flagos_runtime_create(&desc, &runtime) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_runtime_add_plugin(runtime, plugin.c_str()) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_device_open(runtime, 0, &device) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_create(device, nullptr, &stream) == FLAGOS_STATUS_OK);
  flagos_memory_desc_t memory{};
  memory.struct_size = sizeof(memory);
  memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
  memory.size_bytes = std::strtoull(std::getenv("CRASH_SIZE"), nullptr, 10);
  flagos_address_t address = 0;
  CHECK(flagos_memory_alloc(device, &memory, &address) == FLAGOS_STATUS_OK);
  if (memory.size_bytes == 17) ::raise(SIGSEGV);  // the program's own
}

TEST_CASE("a fault in a plugin's call is told with plugin, call and object") {
  const Ended ended = run_child("crash", "13");
  CHECK(ended.code == exit_base + SIGSEGV);
  CHECK(ended.says("flagos: the process is ended by SIGSEGV at address 0x0\n"));
  check_named(ended);
}

TEST_CASE("so is one in the C library that a plugin called, and an abort") {
  const Ended fault = run_child("crash", "14");
  CHECK(fault.code == exit_base + SIGSEGV);
  check_named(fault);
  const Ended abort = run_child("crash", "15");
  CHECK(abort.code == exit_base + SIGABRT);
  CHECK(abort.says("flagos: the process is ended by SIGABRT\n"));
  check_named(abort);
}

TEST_CASE("on a thread of the plugin's own the calls of the others are told") {
  const Ended ended = run_child("crash,validation", "16");
  INFO(ended.said);
  CHECK(ended.code == exit_base + SIGSEGV);
  CHECK(ended.says("flagos: it happened in the plugin " + plugin + " at 0x"));
  CHECK(ended.says("flagos: this thread has never called flagos\n"));
  CHECK(ended.says(" is in flagos_memory_alloc\n"));
}

TEST_CASE("the program's own end is not laid on a plugin") {
  const Ended ended = run_child("crash", "17");
  INFO(ended.said);
  CHECK(ended.code == exit_base + SIGSEGV);
  CHECK(ended.says("flagos: no plugin is among the functions that were running on this thread\n"));
  CHECK(ended.says("flagos: no call of flagos is running on this thread\n"));
}

TEST_CASE("the process ends by the signal, as it would have without") {
  // doctest's own handler stands behind ours, and lets the signal through.
  CHECK(run_child("crash", "13", false).signal == SIGSEGV);
  CHECK(run_child("crash", "15", false).signal == SIGABRT);
}

TEST_CASE("nothing is told unless it was asked for") {
  const Ended ended = run_child("validation", "13");
  INFO(ended.said);
  CHECK(ended.code == exit_base + SIGSEGV);
  CHECK_FALSE(ended.says("flagos: "));
}

TEST_CASE("where nothing happens nothing is told") {
  const Ended ended = run_child("crash", "256");
  INFO(ended.said);
  CHECK(ended.code == 0);
  CHECK_FALSE(ended.says("flagos: "));
}
