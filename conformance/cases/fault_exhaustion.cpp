// Every entry where the n-th mapping, file or thread of the call cannot be had: it says so, leaves nothing
// behind, and the next call works. What is judged is core and the plugin; libraries behind the plugin are left alone.
#include <cstring>
#include <filesystem>

#include "conformance/cases/negatives.hpp"
#include "conformance/cases/process.hpp"
#include "conformance/cases/work.hpp"
#include "conformance/faults/faults.hpp"

namespace flagos::conformance {
namespace {

using faults::Lasting;
using Fault = faults::Kind;

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t most_faults = 1'000'000;

// Both libraries are mapped when this is called.
void judge_plugin(Context& t, Fault kind) {
  if (!faults::available()) t.resource("a sanitizer has an allocator of its own");
  std::vector<faults::Code> code = faults::code_of("libflagos.so");
  const auto add = [&](const std::string& name) {
    const auto more = faults::code_of(name);
    t.check(!more.empty(), name + " is among the loaded libraries");
    code.insert(code.end(), more.begin(), more.end());
  };
  add(std::filesystem::path(t.settings().plugin_path).filename());
  if (kind == Fault::thread) add("libstdc++");  // it asks for the threads that they start
  faults::only_of(code);
}

bool is_exhaustion(flagos_status_t status) {
  return FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_RESOURCE ||
         status == FLAGOS_STATUS_PLUGIN_REJECTED;  // whose file could not be read
}

// These wait for other processes, start some, or end what all others need.
bool is_left_out(const Entry& entry) {
  for (const char* const name :
       {"flagos_runtime_create", "flagos_runtime_destroy", "flagos_runtime_abandon",
        "flagos_module_compile", "flagos_communicator_create", "flagos_communicator_split"})
    if (entry.name == name) return true;
  return false;
}

// One call under one plan; true when nothing was made to fail.
bool try_entry(Context& t, World& world, const Entry& entry, Fault kind, Lasting lasting,
               std::uint64_t nth) {
  flagos_device_synchronize(world.device(), patience_ns);
  Call call(world, entry);
  const flagos_status_t status = call.run_as([&](const std::function<flagos_status_t()>& run) {
    faults::arm(kind, lasting, nth);
    const flagos_status_t ended = run();
    faults::disarm();
    return ended;
  });
  const bool untouched = faults::failed() == 0;
  const auto expected = expected_when_valid(world, entry);
  const std::string what =
      entry.name + ", fault " + std::to_string(nth) + ": " + flagos_status_get_name(status);
  if (expected.contains(status)) return untouched;
  t.check(!untouched, what + ", and nothing was made to fail");
  t.check(is_exhaustion(status), what + " is no matter of resources");
  t.check(std::strlen(flagos_last_error()) != 0, what + ": there is a text");
  t.check(call.uncleared().empty(),
          what + ": out parameters are cleared, " + call.uncleared() + " is not");
  return false;
}

// Work that was taken may still find no memory when it is handed on: then its stream says so, and goes on after a reset.
void settle_stream(Context& t, World& world, bool untouched) {
  const flagos_status_t status = flagos_stream_synchronize(world.stream(), patience_ns);
  if (status == ok) return;
  t.check(
      !untouched && is_exhaustion(status),
      std::string("the stream is as good as the call, it says ") + flagos_status_get_name(status));
  t.ok(flagos_stream_reset(world.stream()), "reset the stream");
}

void sweep_entries(Context& t, Fault kind, Lasting lasting) {
  World world(t);
  t.smoke();
  judge_plugin(t, kind);
  for (const Entry& entry : entries()) {
    if (is_left_out(entry)) continue;
    {
      Call unspoilt(world, entry);
      if (!applies(unspoilt)) continue;
    }
    t.subcase(entry.name);
    std::uint64_t nth = 1;
    while (!try_entry(t, world, entry, kind, lasting, nth)) {
      settle_stream(t, world, false);
      nth += nth < 500
                 ? 1
                 : nth / 20;  // a plugin that reads a module itself allocates thousands of times
      t.check(nth < most_faults, "a call ends after some allocations");
    }
    const auto expected = expected_when_valid(world, entry);
    // What was unmapped or freed behind work is given back when that has passed.
    flagos_status_t status = FLAGOS_STATUS_BUSY;
    eventually([&] {
      flagos_device_synchronize(world.device(), patience_ns);
      status = Call(world, entry).run();
      return status != FLAGOS_STATUS_BUSY;
    });
    t.check(expected.contains(status), "the next valid call gives " + names_of(expected) +
                                           ", got " + flagos_status_get_name(status));
  }
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

// From nothing to data that comes back.
class Beginning {
 public:
  explicit Beginning(Context& t) : t_(t) {}
  ~Beginning() {
    flagos_memory_free(device_, memory_);
    flagos_stream_destroy(stream_);
    flagos_device_close(device_);
    flagos_runtime_destroy(runtime_);
  }
  Beginning(const Beginning&) = delete;
  Beginning& operator=(const Beginning&) = delete;

  // The name of the step that failed, with its status, or "".
  std::string run() {
    const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                     FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
    flagos_memory_desc_t memory{};
    memory.struct_size = sizeof memory;
    memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
    memory.size_bytes = sizeof word_;
    const std::string plugin = t_.settings().plugin_path;
    const auto step = [&](const char* name, flagos_status_t status) {
      if (status == ok) return true;
      if (!is_exhaustion(status) || std::strlen(flagos_last_error()) == 0) strange_ = true;
      what_ =
          std::string(name) + ": " + flagos_status_get_name(status) + ": " + flagos_last_error();
      return false;
    };
    const bool done =
        step("runtime_create", flagos_runtime_create(&desc, &runtime_)) &&
        step("add_plugin", flagos_runtime_add_plugin(runtime_, plugin.c_str())) &&
        step("device_open", flagos_device_open(runtime_, t_.settings().device_ordinal, &device_)) &&
        step("stream_create", flagos_stream_create(device_, nullptr, &stream_)) &&
        step("memory_alloc", flagos_memory_alloc(device_, &memory, &memory_)) &&
        step("fill", flagos_memory_fill(stream_, memory_, &pattern, 4, sizeof word_)) &&
        step("copy", flagos_memory_copy(stream_, reinterpret_cast<flagos_address_t>(&word_),
                                        memory_, sizeof word_)) &&
        step("synchronize", flagos_stream_synchronize(stream_, patience_ns));
    if (done && word_ != pattern) {
      strange_ = true;
      what_ = "the word that comes back is another one";
    }
    return what_;
  }
  bool strange() const { return strange_; }

 private:
  static constexpr std::uint32_t pattern = 0x5eed1234;
  Context& t_;
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
  flagos_address_t memory_ = 0;
  std::uint32_t word_ = 0;
  std::string what_;
  bool strange_ = false;
};

void begin_with_faults(Context& t, Fault kind) {
  {
    Beginning first(t);
    const std::string problem = first.run();
    t.check(problem.empty(), "a beginning without faults: " + problem);
    judge_plugin(t, kind);
  }
  // The later ones are as many as a run takes; the first ones all.
  const std::uint64_t stride = t.settings().quick ? 23 : 3;
  std::uint64_t nth = 1, made = 0;
  while (true) {
    t.subcase("fault " + std::to_string(nth));
    {
      Beginning attempt(t);
      faults::arm(kind, Lasting::once, nth);
      const std::string problem = attempt.run();
      faults::disarm();
      t.check(!attempt.strange(), problem);
      if (faults::failed() == 0) {
        t.check(problem.empty(), "nothing was made to fail: " + problem);
        break;
      }
    }
    ++made;
    Beginning again(t);
    const std::string problem = again.run();
    t.check(problem.empty(), "the next beginning works: " + problem);
    nth += nth < 8 ? 1 : stride;
    t.check(nth < most_faults, "a beginning ends after some allocations");
  }
  if (kind == Fault::allocation) t.check(made > 5, "there were faults");
}

}  // namespace

FLAGOS_CASE("fault.host_oom.nth",
            {.clause = "flagos.h: resource failures; one allocation of the host fails",
             .oracle = Oracle::code,
             .isolation = Isolation::own,
             .seconds = 300}) {
  sweep_entries(t, Fault::allocation, Lasting::once);
}

FLAGOS_CASE(
    "fault.host_oom.persistent",
    {.clause = "flagos.h: resource failures; the host has no memory from some allocation on",
     .oracle = Oracle::code,
     .isolation = Isolation::own,
     .seconds = 300}) {
  sweep_entries(t, Fault::allocation, Lasting::from_then_on);
}

FLAGOS_CASE("fault.mmap_fail", {.clause = "flagos.h: resource failures; nothing can be mapped",
                                .level = Level::full,
                                .oracle = Oracle::code,
                                .isolation = Isolation::own,
                                .seconds = 300}) {
  sweep_entries(t, Fault::mapping, Lasting::once);
}

FLAGOS_CASE("fault.open_fail", {.clause = "flagos.h: resource failures; no file can be opened",
                                .level = Level::full,
                                .oracle = Oracle::code,
                                .isolation = Isolation::own,
                                .seconds = 300}) {
  sweep_entries(t, Fault::opening, Lasting::once);
}

FLAGOS_CASE("fault.thread_create_fail",
            {.clause = "flagos.h: resource failures; no thread can be made",
             .level = Level::full,
             .oracle = Oracle::code,
             .isolation = Isolation::own,
             .seconds = 300}) {
  sweep_entries(t, Fault::thread, Lasting::from_then_on);
}

FLAGOS_CASE("fault.partial_init",
            {.clause = "flagos_runtime_create, add_plugin, device_open: a failure at any step",
             .oracle = Oracle::code,
             .isolation = Isolation::own,
             .seconds = 600}) {
  t.subcase("allocations");
  begin_with_faults(t, Fault::allocation);
  t.subcase("files");
  begin_with_faults(t, Fault::opening);
  t.smoke();
}

}  // namespace flagos::conformance
