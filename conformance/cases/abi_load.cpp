// The plugin as a file: what loading it does to a process, and what the file itself says.
#include <dlfcn.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "conformance/cases/elf_file.hpp"
#include "conformance/cases/plugin_probe.hpp"
#include "conformance/cases/process.hpp"

// Names that a plugin's own helpers may well have, exported by this executable. A plugin that does
// not bind its own functions to itself calls these instead.
// clang-format off
#define FLAGOS_DECOYS(X)   \
  X(device_open)           \
  X(device_close)          \
  X(stream_create)         \
  X(stream_destroy)        \
  X(memory_alloc)          \
  X(memory_copy)           \
  X(module_load)           \
  X(kernel_launch)         \
  X(event_record)          \
  X(set_last_error)        \
  X(log_message)           \
  X(submit_task)           \
  X(worker_main)           \
  X(thread_pool_submit)    \
  X(check_status)
// clang-format on
static volatile int decoy_calls = 0;
extern "C" {
#define FLAGOS_DEFINE_DECOY(name)                     \
  __attribute__((visibility("default"))) void name(); \
  void name() { decoy_calls = decoy_calls + 1; }
FLAGOS_DECOYS(FLAGOS_DEFINE_DECOY)
}

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

// Loads the plugin without core and moves data with it.
void load_and_use(Context& t, const std::string& path) {
  const PluginLibrary library(path);
  t.check(library.error().empty(), "the plugin loads: " + library.error());
  PluginProbe probe(library);
  t.status(probe.status(), ok, "flagos_plugin_open");
  const std::string problem = probe.smoke(t.settings().device_ordinal);
  t.check(problem.empty(), problem);
}

std::vector<void (*)(int)> signal_handlers() {
  std::vector<void (*)(int)> handlers;
  for (int number = 1; number < 32; ++number) {
    struct sigaction action {};
    sigaction(number, nullptr, &action);
    handlers.push_back(action.sa_handler);
  }
  return handlers;
}

FLAGOS_HELPER("abi_load_now") {
  return run_checks(h, [](Context& t) { load_and_use(t, t.settings().plugin_path); });
}

// Starts itself again with an environment of nothing but PATH, HOME and what a sanitizer reads.
FLAGOS_HELPER("abi_minimal_env") {
  std::vector<std::string> kept;
  std::size_t count = 0;
  for (char** variable = environ; *variable != nullptr; ++variable, ++count) {
    const std::string text = *variable;
    for (const char* const prefix : {"PATH=", "HOME=", "ASAN_", "TSAN_", "UBSAN_", "LSAN_"})
      if (text.starts_with(prefix)) kept.push_back(text);
  }
  if (kept.size() < count) {
    std::vector<char*> arguments, environment;
    auto words = command_line();
    for (auto& word : words) arguments.push_back(word.data());
    for (auto& variable : kept) environment.push_back(variable.data());
    arguments.push_back(nullptr);
    environment.push_back(nullptr);
    execve("/proc/self/exe", arguments.data(), environment.data());
    return 2;
  }
  return run_checks(h, [](Context& t) { t.smoke(); });
}

FLAGOS_HELPER("abi_no_ctor_device_io") {
  return run_checks(h, [](Context& t) {
    const auto descriptors = open_descriptors();
    const auto threads = thread_ids();
    const auto handlers = signal_handlers();
    const PluginLibrary library(t.settings().plugin_path);
    t.check(library.error().empty(), "the plugin loads: " + library.error());
    t.check(open_descriptors() == descriptors, "loading leaves no file or device open");
    t.check(thread_ids() == threads, "loading starts no thread");
    t.check(signal_handlers() == handlers, "loading installs no signal handler");
    PluginProbe probe(library);
    const std::string problem = probe.smoke(t.settings().device_ordinal);
    t.check(problem.empty(), problem);
  });
}

// A thread uses the plugin, the library is closed, then the thread ends and its thread-local
// objects with it.
FLAGOS_HELPER("abi_thread_exit_after_unload") {
  return run_checks(h, [](Context& t) {
    std::atomic<int> stage{0};
    std::string problem;
    std::thread user;
    {
      const PluginLibrary library(t.settings().plugin_path);
      PluginProbe probe(library);
      t.status(probe.status(), ok, "flagos_plugin_open");
      user = std::thread([&] {
        problem = probe.smoke(t.settings().device_ordinal);
        stage = 1;
        while (stage != 2) std::this_thread::yield();
      });
      while (stage != 1) std::this_thread::yield();
    }
    stage = 2;
    user.join();
    t.check(problem.empty(), problem);
  });
}

// A folder of our own, removed at the end.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/flagos-conformance-XXXXXX";
    if (mkdtemp(name) != nullptr) path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return path_ / name; }
  bool made() const { return !path_.empty(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

FLAGOS_CASE("abi.load.now",
            {.clause = "design 5: dlopen with NOW and LOCAL", .isolation = Isolation::own}) {
  expect_helper(t, "abi_load_now");
}

FLAGOS_CASE("abi.load.minimal_env",
            {.clause = "flagos_plugin.h: get_config, never getenv", .isolation = Isolation::own}) {
  expect_helper(t, "abi_minimal_env");
}

FLAGOS_CASE("abi.load.no_ctor_device_io",
            {.clause = "flagos_plugin.h rule 1: constructors", .isolation = Isolation::own}) {
  expect_helper(t, "abi_no_ctor_device_io");
}

FLAGOS_CASE("abi.load.time_budget", {.clause = "flagos_plugin_open",
                                     .oracle = Oracle::live,
                                     .isolation = Isolation::own,
                                     .seconds = 150}) {
  const double start = now_seconds();
  const PluginLibrary library(t.settings().plugin_path);
  PluginProbe probe(library);
  const double opened = now_seconds();
  const std::string problem = probe.smoke(t.settings().device_ordinal);
  const double used = now_seconds();
  t.check(problem.empty(), problem);
  t.check(opened - start < 60,
          "loading and opening takes less than 60 s, it took " + std::to_string(opened - start));
  t.check(used - opened < 60,
          "the first use takes less than 60 s, it took " + std::to_string(used - opened));
}

FLAGOS_CASE("abi.load.exports_only", {.clause = "flagos_plugin.h rule 1: one exported symbol"}) {
  const ElfFile file = read_elf(t.settings().plugin_path);
  t.check(file.error.empty(), file.error);
  for (const std::string& name : file.exported)
    t.check(name == FLAGOS_PLUGIN_OPEN_SYMBOL, "nothing else is exported, found " + name);
  t.equal(file.exported.size(), 1, "exported symbols");
  t.smoke();
}

FLAGOS_CASE("abi.load.no_text_reloc_no_execstack",
            {.clause = "design 5: loading a plugin, safely"}) {
  const ElfFile file = read_elf(t.settings().plugin_path);
  t.check(file.error.empty(), file.error);
  t.check(!file.text_relocations, "no relocations in code");
  t.check(!file.executable_stack, "no executable stack");
  t.check(file.relro, "relocated data is read-only (RELRO)");
  t.check(
      folder_outside_of_origin(file).empty(),
      "libraries are looked for relative to the plugin, found " + folder_outside_of_origin(file));
  t.smoke();
}

FLAGOS_CASE("abi.load.symbol_collision_exe",
            {.clause = "flagos_plugin.h rule 1: nothing of a plugin is bound from outside",
             .isolation = Isolation::own}) {
#define FLAGOS_CHECK_DECOY(name) \
  t.check(dlsym(RTLD_DEFAULT, #name) != nullptr, "the executable exports " #name);
  FLAGOS_DECOYS(FLAGOS_CHECK_DECOY)
  load_and_use(t, t.settings().plugin_path);
  t.smoke();
  t.equal(static_cast<std::uint64_t>(decoy_calls), 0, "calls of the executable's functions");
}

FLAGOS_CASE("abi.load.twice_same_path",
            {.clause = "flagos_plugin_open: every call makes an instance of its own",
             .isolation = Isolation::own}) {
  t.smoke();
  const std::uint32_t ordinal = t.settings().device_ordinal;
  const PluginLibrary first_library(t.settings().plugin_path),
      second_library(t.settings().plugin_path);
  auto first = std::make_unique<PluginProbe>(first_library);
  PluginProbe second(second_library);
  std::string problem = first->smoke(ordinal);
  t.check(problem.empty(), "the first instance: " + problem);
  problem = second.smoke(ordinal);
  t.check(problem.empty(), "the second instance: " + problem);
  first.reset();
  problem = second.smoke(ordinal);
  t.check(problem.empty(), "the second instance after the first was closed: " + problem);
  t.status(flagos_runtime_add_plugin(t.runtime(), t.settings().plugin_path.c_str()),
           FLAGOS_STATUS_PLUGIN_REJECTED, "the same file twice in one runtime");
  flagos_candidate_info_t info{};
  info.struct_size = sizeof info;
  std::uint32_t count = 0;
  t.ok(flagos_runtime_get_candidate_count(t.runtime(), &count), "count the candidates");
  t.ok(flagos_runtime_get_candidate(t.runtime(), count - 1, &info), "the last candidate");
  t.equal(static_cast<std::uint64_t>(info.verdict), FLAGOS_VERDICT_DUPLICATE, "its verdict");
  t.smoke();
}

FLAGOS_CASE("abi.load.copy_of_binary", {.clause = "FLAGOS_VERDICT_DUPLICATE",
                                        .level = Level::full,
                                        .isolation = Isolation::own}) {
  const Folder folder;
  if (!folder.made()) t.resource("no folder can be made in /tmp");
  const std::string copy = folder.file("libanother_name.so");
  std::filesystem::copy_file(t.settings().plugin_path, copy);
  const flagos_status_t status = flagos_runtime_add_plugin(t.runtime(), copy.c_str());
  t.check(status == ok || status == FLAGOS_STATUS_PLUGIN_REJECTED,
          "a copy is loaded or rejected, got " + std::string(flagos_status_get_name(status)));
  load_and_use(t, copy);
  t.smoke();
}

FLAGOS_CASE("abi.load.unload_reload", {.clause = "flagos_plugin_t::close",
                                       .oracle = Oracle::delta,
                                       .isolation = Isolation::own}) {
  const int cycles = t.settings().quick ? 10 : 50;
  Resources before{};
  for (int i = 0; i < cycles; ++i) {
    t.subcase("cycle " + std::to_string(i));
    if (i == cycles / 5) before = resources_now();
    load_and_use(t, t.settings().plugin_path);
  }
  const Resources after = resources_now();
  t.equal(after.file_descriptors, before.file_descriptors, "open files");
  no_more_threads(t, before.threads);
  t.check(after.maps <= before.maps + 16, "mappings do not grow: " + std::to_string(before.maps) +
                                              ", then " + std::to_string(after.maps));
}

FLAGOS_CASE("abi.load.thread_exit_after_unload",
            {.clause = "flagos_plugin.h rule 6: nothing left behind",
             .isolation = Isolation::own}) {
  expect_helper(t, "abi_thread_exit_after_unload");
}

}  // namespace flagos::conformance
