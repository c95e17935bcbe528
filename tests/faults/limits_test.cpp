// A process with too few descriptors, threads or too little address space: every call is OK or says what ran out, nothing
// crashes or hangs, and when the limit is raised again everything works. Each limit is tried in a process of its own.
#include <doctest/doctest.h>
#include <flagos.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>

namespace {

constexpr flagos_status_t ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t patience_ns = 60'000'000'000;
constexpr unsigned longest_s = 100;

template <typename Desc>
Desc desc_of() {
  Desc desc{};
  desc.struct_size = sizeof desc;
  return desc;
}

bool is_exhaustion(flagos_status_t status) {
  return FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_RESOURCE ||
         status == FLAGOS_STATUS_PLUGIN_REJECTED ||  // whose file could not be read or mapped
         status == FLAGOS_STATUS_EXECUTION_FAILED;   // of work that ran out of something
}

// What a program does first, from the runtime on. What was made is destroyed in any case.
class Scenario {
 public:
  explicit Scenario(bool must_succeed) : must_succeed_(must_succeed) {}
  ~Scenario() {
    destroy("graph_exec", flagos_graph_exec_destroy(exec_));
    destroy("graph", flagos_graph_destroy(graph_));
    destroy("timeline", flagos_timeline_destroy(timeline_));
    destroy("event", flagos_event_destroy(event_));
    destroy("stream", flagos_stream_destroy(stream_));
    if (device_ != nullptr) {
      destroy("memory", flagos_memory_free(device_, memory_));
      destroy("pinned", flagos_memory_free(device_, exported_));
    }
    destroy("module", flagos_module_unload(module_));
    destroy("pool", flagos_memory_pool_destroy(pool_));
    destroy("device", flagos_device_close(device_));
    destroy("runtime", flagos_runtime_destroy(runtime_));
  }
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  void run() {
    auto runtime = desc_of<flagos_runtime_desc_t>();
    runtime.abi_version = FLAGOS_ABI_VERSION;
    runtime.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
    auto memory = desc_of<flagos_memory_desc_t>();
    memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
    memory.size_bytes = 1 << 20;
    auto exportable = memory;
    exportable.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
    auto module = desc_of<flagos_module_desc_t>();
    module.format = "elf-so";
    module.path = FLAGOS_FAULTS_KERNELS;
    auto pool = desc_of<flagos_memory_pool_desc_t>();
    pool.kind = FLAGOS_MEMORY_KIND_DEVICE;
    const std::uint32_t word = 7;
    std::uint32_t found = 0;
    const auto host = reinterpret_cast<flagos_address_t>(&found);
    const auto nothing = [](void*, flagos_status_t) {};
    const std::uint64_t one = 1;

    step("runtime_create", [&] { return flagos_runtime_create(&runtime, &runtime_); }) &&
        step("add_plugin",
             [&] { return flagos_runtime_add_plugin(runtime_, FLAGOS_FAULTS_PLUGIN); }) &&
        step("device_open", [&] { return flagos_device_open(runtime_, 0, &device_); }) &&
        step("stream_create", [&] { return flagos_stream_create(device_, nullptr, &stream_); }) &&
        step("memory_alloc", [&] { return flagos_memory_alloc(device_, &memory, &memory_); }) &&
        step("exportable", [&] { return flagos_memory_alloc(device_, &exportable, &exported_); }) &&
        step("fill", [&] { return flagos_memory_fill(stream_, memory_, &word, 4, 1 << 20); }) &&
        step("event_create", [&] { return flagos_event_create(device_, nullptr, &event_); }) &&
        step("event_record", [&] { return flagos_event_record(event_, stream_); }) &&
        step("timeline_create", [&] { return flagos_timeline_create(device_, 0, &timeline_); }) &&
        step("signal", [&] { return flagos_stream_signal_timeline(stream_, timeline_, 1); }) &&
        step("launch_host", [&] { return flagos_stream_launch_host(stream_, nothing, nullptr); }) &&
        step("module_load", [&] { return flagos_module_load(device_, &module, &module_); }) &&
        step("pool_create", [&] { return flagos_memory_pool_create(device_, &pool, &pool_); }) &&
        step("graph_create", [&] { return flagos_graph_create(device_, &graph_); }) &&
        step("instantiate", [&] { return flagos_graph_instantiate(graph_, &exec_); }) &&
        step("copy", [&] { return flagos_memory_copy(stream_, host, memory_ + 4096, 4); }) &&
        step("synchronize", [&] { return flagos_stream_synchronize(stream_, patience_ns); }) &&
        step("timeline_wait",
             [&] {
               return flagos_timeline_wait(1, &timeline_, &one, FLAGOS_WAIT_MODE_ALL, patience_ns,
                                           nullptr);
             }) &&
        step("bytes", [&] { return found == word ? ok : FLAGOS_STATUS_INTERNAL; });
  }
  bool failed() const { return failed_; }
  bool ran_out() const { return ran_out_; }

 private:
  bool step(const char* name, const std::function<flagos_status_t()>& call) {
    const flagos_status_t status = call();
    if (status == ok) return true;
    ran_out_ = true;
    if (!must_succeed_ && is_exhaustion(status) && *flagos_last_error() != '\0') return false;
    std::fprintf(stderr, "%s: %s: %s\n", name, flagos_status_get_name(status), flagos_last_error());
    failed_ = true;
    return false;
  }
  // Frees succeed, also where everything has run out.
  void destroy(const char* name, flagos_status_t status) {
    if (status == ok || (std::strcmp(name, "runtime") == 0 && runtime_ == nullptr)) return;
    std::fprintf(stderr, "destroying the %s: %s: %s\n", name, flagos_status_get_name(status),
                 flagos_last_error());
    std::_Exit(3);
  }

  const bool must_succeed_;
  bool failed_ = false, ran_out_ = false;
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
  flagos_event_t* event_ = nullptr;
  flagos_timeline_t* timeline_ = nullptr;
  flagos_module_t* module_ = nullptr;
  flagos_memory_pool_t* pool_ = nullptr;
  flagos_graph_t* graph_ = nullptr;
  flagos_graph_exec_t* exec_ = nullptr;
  flagos_address_t memory_ = 0, exported_ = 0;
};

void set_limit(__rlimit_resource which, rlim_t value) {
  rlimit limit{};
  getrlimit(which, &limit);
  limit.rlim_cur = value == RLIM_INFINITY ? limit.rlim_max : std::min(value, limit.rlim_max);
  setrlimit(which, &limit);
}

enum Outcome { passed = 0, ran_out = 1, wrong = 2 };

// In a child: under the limit, and once more without it.
int in_child(__rlimit_resource which, rlim_t value, bool as_nobody) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(longest_s);
    if (as_nobody &&
        (setgid(65534) != 0 || setuid(65534) != 0 || access(FLAGOS_FAULTS_PLUGIN, R_OK) != 0))
      _exit(77);
    flagos_set_log_callback([](void*, flagos_log_level_t, const char*) {}, nullptr,
                            FLAGOS_LOG_LEVEL_OFF);
    set_limit(which, value);
    int outcome = passed;
    {
      Scenario scenario(false);
      scenario.run();
      if (scenario.ran_out()) outcome = ran_out;
      if (scenario.failed()) outcome = wrong;
    }
    set_limit(which, RLIM_INFINITY);
    {
      Scenario scenario(true);
      scenario.run();
      if (scenario.failed()) outcome = wrong;
    }
    _exit(outcome);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  INFO("limit " << value);
  INFO((WIFSIGNALED(status) ? std::string("signal ") + strsignal(WTERMSIG(status))
                            : std::string("it ended by itself")));
  CHECK(WIFEXITED(status));
  return WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(wrong);
}

// From a limit at which nothing goes to one at which all does.
void sweep(__rlimit_resource which, rlim_t first, rlim_t last, rlim_t stride,
           bool as_nobody = false) {
  bool has_run_out = false, has_passed = false;
  for (rlim_t value = first; value <= last && !(has_passed && has_run_out); value += stride) {
    const int outcome = in_child(which, value, as_nobody);
    if (outcome == 77) {
      MESSAGE("skipped: another user cannot read the plugin");
      return;
    }
    INFO("limit " << value);
    CHECK(outcome != wrong);
    CHECK(outcome <= wrong);
    has_run_out |= outcome == ran_out;
    has_passed |= outcome == passed;
  }
  CHECK(has_run_out);
  CHECK(has_passed);
}

rlim_t address_space_now() {
  std::ifstream file("/proc/self/statm");
  rlim_t pages = 0;
  file >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("few descriptors") { sweep(RLIMIT_NOFILE, 3, 64, 1); }

TEST_CASE("little address space") {
  constexpr rlim_t mebi = 1 << 20;
  sweep(RLIMIT_AS, address_space_now() + mebi, address_space_now() + 1024 * mebi, 6 * mebi);
}

// The limit does not hold for root, so that nobody runs it.
TEST_CASE("few threads") { sweep(RLIMIT_NPROC, 1, 64, 1, geteuid() == 0); }
